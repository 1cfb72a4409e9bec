import { effect, signal, type Signal } from '@preact/signals'
import type { PollView } from '@pollz/shared/wire'
import { families } from '@pollz/shared/families'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { PageAccount, ToEngine } from '@pollz/shared/engine'
import { shareOf } from '@pollz/shared/share'
import { isAskedIn, PollModel } from './model.ts'

const uri = 'at://did:plc:b/tech.waow.poll/1'
const alice = { did: 'did:plc:a', handle: 'alice.test' }
const bob = { did: 'did:plc:b', handle: 'bob.test' }
const host = {} as Element

const poll = (counts: number[], version = 1): PollView => ({
  uri,
  repo: 'did:plc:b',
  rkey: '1',
  text: '?',
  options: counts.map((count, i) => ({ text: String(i), count })),
  total: counts.reduce((sum, count) => sum + count, 0),
  createdAt: '2026-11-23T20:15:00.000Z',
  edited: false,
  version,
})

let sent: ToEngine[]
const account = signal<PageAccount | undefined>(alice)
const connection: Signal<{ online: boolean; since: number; ahead?: number }> = signal({
  online: true,
  since: 0,
})
const reminders = signal<ReadonlySet<string> | undefined>(undefined)
let model: PollModel

beforeEach(() => {
  sent = []
  account.value = alice
  connection.value = { online: true, since: 0 }
  reminders.value = undefined
  model = new PollModel(uri, {
    send: (message) => sent.push(message),
    account,
    connection,
    resultsFirst: signal(false),
    hasVoted: signal(true),
    knowsSignIn: signal(true),
    linkTo: (it) => it,
    profileOf: (it) => it,
    resultLink: (it) => it.uri,
    compose: (it) => it,
    reminders,
    second: signal(''),
  })
})

const lastId = () => sent.findLast((it) => it.type === 'act')!.id
/** What the engine says of the act that was sent last, or of another. */
const done = (option: number | null, id = lastId()) =>
  model.receive({ type: 'done', id, act: { type: 'vote', uri, option }, uri })

/** @param signedIn whether whoever clicked has not to sign in first */
const accept = (signedIn = true) => {
  const { id, act } = sent.findLast((it) => it.type === 'act')!
  model.receive({ type: 'accepted', id, act, ...(signedIn ? { signedIn } : {}) })
}

const live = (counts: number[], version?: number) =>
  model.receive({ type: 'poll', uri, poll: poll(counts, version), tally: 'live' })
const counts = () => model.shown.value?.options.map(({ count }) => count)

describe('watching', () => {
  test('only while a widget is in view on a page in view', () => {
    model.visible(host, true)
    model.visible({} as Element, true)
    model.pageVisible(false)
    model.pageVisible(true)
    model.visible(host, false)
    expect(sent.map(({ type }) => type)).toEqual(['watch', 'unwatch', 'watch'])
    expect(model.watched).toBe(true)
  })

  test('a new background is told only what is in view, and a click that was under way', () => {
    model.reconnected()
    expect(sent).toEqual([])
    model.vote([1])
    model.reconnected()
    expect(sent).toEqual([sent[0], { ...sent[0], again: true }])
    const act = { type: 'vote', uri, option: 1 } as const
    expect(sent[0]).toMatchObject({ type: 'act', act, account: alice })
    // What was accepted is not sent again: how it is, is asked.
    model.receive({ type: 'accepted', id: lastId(), act })
    model.reconnected()
    expect(sent.slice(2)).toEqual([{ type: 'ask', id: lastId(), act }])
  })
})

test('a click outlives a switch of accounts: it is sent until the engine has it', () => {
  model.vote([1])
  const click = sent.at(-1)!
  account.value = bob
  model.accountChanged()
  model.vote([0])
  const [first, second] = sent.splice(0)
  expect(click).toBe(first)
  model.reconnected()
  expect(sent).toEqual([
    { ...first, again: true },
    { ...second, again: true },
  ])
  for (const it of [first, second])
    if (it?.type === 'act') model.receive({ type: 'accepted', id: it.id, act: it.act })
  sent.splice(0)
  model.reconnected()
  expect(sent.map(({ type }) => type)).toEqual(['ask'])
})

test('a click that opens the connection is sent once', () => {
  const wire: ToEngine[] = []
  const fresh: PollModel = new PollModel(uri, {
    ...model.around,
    send: (message) => {
      if (wire.length === 0) fresh.reconnected()
      wire.push(message)
    },
  })
  fresh.vote([1])
  expect(wire.map(({ type }) => type)).toEqual(['act'])
  expect(wire[0]).not.toHaveProperty('again')
})

describe('results', () => {
  test('are hidden until one asks or votes, and stay then', () => {
    live([1, 2])
    expect(model.showsResults.value).toBe(false)
    model.vote([0])
    accept()
    expect(model.showsResults.value).toBe(true)
    done(0)
    model.receive({ type: 'own', uri, voter: alice, option: null })
    expect(model.showsResults.value).toBe(true)
  })

  test('one’s own click is in them before the server says so, and out when it is refused', () => {
    live([1, 2])
    model.receive({ type: 'own', uri, voter: alice, option: 0 })
    model.vote([1])
    expect(counts()).toEqual([0, 3])
    model.receive({
      type: 'refused',
      id: lastId(),
      act: { type: 'vote', uri, option: 1 },
      reason: { name: 'unreachable' },
    })
    expect(counts()).toEqual([1, 2])
    expect(model.chosen.value).toEqual([0])
  })

  test('a tally that has one’s own click in it already does not count it twice', () => {
    live([1, 2])
    model.receive({ type: 'own', uri, voter: alice, option: 0 })
    model.vote([1])
    // By the socket, before the answer to the click.
    live([0, 3], 2)
    expect(counts()).toEqual([0, 3])
    model.reconnected()
    expect(counts()).toEqual([0, 3])
    model.receive({ type: 'own', uri, voter: alice, option: 1 })
    expect(counts()).toEqual([0, 3])
    done(1)
    expect(counts()).toEqual([0, 3])
    // Clicked again before the first was through: from what there was at first.
    model.vote([0])
    const first = lastId()
    model.vote([1])
    live([1, 2], 3)
    done(0, first)
    expect(counts()).toEqual([0, 3])
    live([0, 3], 4)
    done(1)
    expect(counts()).toEqual([0, 3])
  })

  describe('of a server that counts later', () => {
    const counted = (option: number | null, version: number, voter = alice.did) =>
      model.receive({ type: 'counted', uri, voter, option, version })
    const own = (option: number | null) => model.receive({ type: 'own', uri, voter: alice, option })

    beforeEach(() => {
      live([1, 2], 1)
      own(0)
    })

    test('keep one’s own click until it is counted', () => {
      model.vote([1])
      own(1)
      done(1)
      expect(counts()).toEqual([0, 3])
      // Somebody else’s: nobody can tell whether one’s own is in it.
      live([2, 2], 2)
      expect(counts()).toEqual([0, 3])
      counted(1, 3, bob.did)
      counted(0, 1)
      expect(counts()).toEqual([0, 3])
      counted(1, 3)
      expect(counts()).toEqual([0, 3])
      live([1, 3], 3)
      expect(counts()).toEqual([1, 3])
      live([1, 4], 4)
      expect(counts()).toEqual([1, 4])
    })

    test('do so where it is counted before the answer to the click', () => {
      model.vote([1])
      live([0, 3], 2)
      counted(1, 2)
      live([5, 3], 3)
      expect(counts()).toEqual([0, 3])
      own(1)
      done(1)
      expect(counts()).toEqual([5, 3])
    })

    test('begin with what there was before all that is not counted', () => {
      model.vote([1])
      own(1)
      done(1)
      model.vote([])
      expect(counts()).toEqual([0, 2])
      // Of the first one.
      live([0, 3], 2)
      counted(1, 2)
      expect(counts()).toEqual([0, 2])
      own(null)
      done(null)
      expect(counts()).toEqual([0, 2])
      live([0, 2], 3)
      counted(null, 3)
      live([7, 2], 4)
      expect(counts()).toEqual([7, 2])
    })

    test('do not take what was counted before for what was clicked since', () => {
      model.vote([1])
      own(1)
      done(1)
      live([0, 3], 2)
      counted(1, 2)
      for (const option of [0, 1]) {
        model.vote(option === null ? [] : [option])
        own(option)
        done(option)
      }
      live([1, 2], 3)
      expect(counts()).toEqual([0, 3])
    })

    test('show the vote before where the next one is refused', () => {
      model.vote([1])
      own(1)
      done(1)
      model.vote([])
      const act = { type: 'vote', uri, option: null } as const
      model.receive({ type: 'refused', id: lastId(), act, reason: { name: 'unreachable' } })
      expect(counts()).toEqual([0, 3])
      expect(model.chosen.value).toEqual([1])
    })

    test('do not keep what does not count', () => {
      model.vote([1])
      done(1)
      counted(1, 0)
      expect(counts()).toEqual([1, 2])
    })

    test.each([
      ['after it is done', ['done', 'leave', 'come back']],
      ['before it is done', ['leave', 'done', 'come back']],
      ['until it is done', ['leave', 'come back', 'done']],
    ])('are those of the server where one looked away %s: it may have been counted meanwhile', (_, steps) => {
      model.visible(host, true)
      model.vote([1])
      for (const step of steps)
        if (step === 'done') done(1)
        else model.visible(host, step === 'come back')
      live([50, 70], 9)
      expect(counts()).toEqual([50, 70])
      // The next click is seen to its end.
      own(1)
      model.vote([0])
      done(0)
      live([60, 80], 10)
      expect(counts()).toEqual([51, 69])
    })

    test('are not held by what the account before has done', () => {
      model.vote([0])
      const first = lastId()
      account.value = bob
      model.accountChanged()
      model.vote([1])
      done(0, first)
      const act = { type: 'vote', uri, option: 1 } as const
      model.receive({ type: 'refused', id: lastId(), act, reason: { name: 'offline' } })
      live([10, 20], 5)
      expect(counts()).toEqual([10, 20])
      expect(model.showsResults.value).toBe(false)
    })

    test('are those of the server after a switch of accounts, or where the engine was away', () => {
      model.vote([1])
      done(1)
      model.reconnected()
      expect(counts()).toEqual([1, 2])
      model.vote([1])
      done(1)
      account.value = bob
      model.accountChanged()
      expect(counts()).toEqual([1, 2])
    })
  })

  test('what is only remembered is shown until the server speaks, and never instead', () => {
    model.receive({ type: 'poll', uri, poll: poll([5, 5], 9), tally: { at: 1000 } })
    expect(counts()).toEqual([5, 5])
    live([1, 0], 2)
    expect(counts()).toEqual([1, 0])
    model.receive({ type: 'poll', uri, poll: poll([5, 5], 9), tally: { at: 1000 } })
    expect(counts()).toEqual([1, 0])
    model.receive({ type: 'missing', uri, error: 'PollNotFound' })
    model.receive({ type: 'poll', uri, poll: poll([5, 5], 9), tally: { at: 1000 } })
    expect(model.missing.value).toBe('PollNotFound')
  })

  test('say how old they are', () => {
    model.receive({ type: 'poll', uri, poll: poll([5, 5]), tally: { at: 1000 } })
    expect(model.stale.value).toBeUndefined()
    connection.value = { online: false, since: 2000 }
    expect(model.stale.value).toBe(1000)
    live([5, 6])
    expect(model.stale.value).toBe(2000)
  })

  test('say how old the server says that they are, by the reader’s clock', () => {
    connection.value = { online: true, since: 0, ahead: 500 }
    const asOf = new Date(60_000).toISOString() as `${string}-${string}-${string}T${string}Z`
    model.receive({ type: 'poll', uri, poll: { ...poll([5, 5]), asOf }, tally: 'live' })
    expect(model.stale.value).toBe(59_500)
    live([5, 6])
    expect(model.stale.value).toBeUndefined()
  })

  test('are not made up where only the poll is known', () => {
    connection.value = { online: false, since: 2000 }
    model.receive({ type: 'poll', uri, poll: poll([0, 0]), tally: 'unknown' })
    model.asked.value = true
    expect(model.stale.value).toBe('unknown')
    expect(model.showsResults.value).toBe(false)
  })
})

describe('results do not come before the vote', () => {
  test('of somebody who is still to be asked for their account', () => {
    account.value = undefined
    live([1, 2])
    model.vote([1])
    const act = { type: 'vote', uri, option: 1 } as const
    expect([model.chosen.value, model.showsResults.value, counts()]).toEqual([[], false, [1, 2]])
    model.receive({ type: 'whoAreYou', id: lastId(), act, last: alice })
    expect(model.showsResults.value).toBe(false)
    model.click.start(act, { account: alice })
    accept()
    expect([model.chosen.value, model.showsResults.value, counts()]).toEqual([[1], true, [1, 3]])
  })

  test('of somebody who has still to sign in, whoever else has signed in here', () => {
    live([1, 2])
    const seen: boolean[] = []
    onTestFinished(effect(() => void seen.push(model.showsResults.value)))
    model.vote([1])
    accept(false)
    const act = { type: 'vote', uri, option: 1 } as const
    model.receive({ type: 'signingIn', id: lastId(), act, as: 'alice.test' })
    expect([model.chosen.value, seen]).toEqual([[], [false]])
    done(1)
    expect(seen).toEqual([false, true])
  })

  test('nor of the next one, of another account', () => {
    live([1, 2])
    model.vote([1])
    accept()
    expect(model.showsResults.value).toBe(true)
    account.value = bob
    model.accountChanged()
    model.vote([1])
    expect(model.showsResults.value).toBe(false)
  })
})

describe('a late refusal', () => {
  const refuse = (id: string) =>
    model.receive({
      type: 'refused',
      id,
      act: { type: 'vote', uri, option: 0 },
      reason: { name: 'refused', detail: 'no' },
    })

  test('does not reach the next act', () => {
    live([1, 2])
    model.vote([0])
    const first = lastId()
    model.vote([1])
    refuse(first)
    expect(model.click.phase.value).toMatchObject({ name: 'busy', act: { option: 1 } })
  })

  test('nor the account that was switched to', () => {
    live([1, 2])
    model.vote([0])
    account.value = bob
    model.accountChanged()
    refuse(lastId())
    expect(model.click.phase.value.name).toBe('idle')
  })

  test('not even on the next page', () => {
    account.value = bob
    const act = { type: 'vote', uri, option: 0 } as const
    model.receive({ type: 'refused', id: 'x', act, voter: alice.did, reason: { name: 'unreachable' } })
    expect(model.click.phase.value.name).toBe('idle')
  })

  test('but a page that came back from signing in is told', () => {
    live([1, 2])
    refuse('of another page')
    expect(model.click.phase.value.name).toBe('refused')
  })
})

test('results are hidden while it is asked who somebody is', () => {
  live([1, 2])
  model.vote([0])
  model.receive({ type: 'whoAreYou', id: lastId(), act: { type: 'vote', uri, option: 0 }, last: bob })
  expect(model.showsResults.value).toBe(false)
  model.click.start({ type: 'vote', uri, option: 0 }, { account: bob })
  expect(sent.at(-1)).toMatchObject({ account: bob })
})

test('a poll that could not be had is asked for again', () => {
  model.receive({ type: 'missing', uri, error: 'UpstreamFailure' })
  model.retry()
  expect(model.missing.value).toBeUndefined()
  expect(sent).toEqual([{ type: 'retry', uri }])
})

test('is found once it is known, and no more when it is gone', () => {
  expect(model.found.value).toBe(false)
  model.receive({ type: 'missing', uri, error: 'PollNotFound' })
  expect(model.found.value).toBe(false)
  live([1, 0])
  expect(model.found.value).toBe(true)
  model.receive({ type: 'missing', uri, error: 'UpstreamFailure' })
  expect(model.found.value).toBe(true)
  model.receive({ type: 'missing', uri, error: 'PollNotFound' })
  expect(model.found.value).toBe(false)
})

describe('its question was read in', () => {
  const asked = { ...poll([0, 0]), text: 'Tea?\n\nOr not?', post: `at://${bob.did}/app.bsky.feed.post/3k` }

  test.each([
    ['the post whose text it is', { rkey: '3k', text: 'Tea?\n\nOr not?' }, true],
    ['that post, its lines closed up', { rkey: '3k', text: 'Tea?\nOr not? ' }, true],
    ['no other post, whatever it says', { rkey: '3l', text: 'Tea?\n\nOr not?' }, false],
    ['no post that took its key to ask something else', { rkey: '3k', text: 'Coffee?' }, false],
  ])('%s', (_, shown, expected) => {
    expect(isAskedIn(asked, shown)).toBe(expected)
  })

  test('no post, where the question is the poll’s own', () => {
    expect(isAskedIn(poll([0, 0]), { rkey: '1', text: '?' })).toBe(false)
  })
})

describe('accounts', () => {
  test('another account’s vote is not marked', () => {
    live([1, 2])
    model.receive({ type: 'own', uri, voter: bob, option: 1 })
    expect(model.chosen.value).toEqual([])
  })

  test('after a switch nothing of the account before is left', () => {
    model.visible(host, true)
    live([1, 2])
    model.receive({ type: 'own', uri, voter: alice, option: 1 })
    account.value = bob
    model.accountChanged()
    expect(model.chosen.value).toEqual([])
    expect(sent.at(-1)).toEqual({ type: 'watch', uri, account: bob })
  })

  test.each(families)('$poll: its author changes and deletes only what is ours', (family) => {
    account.value = bob
    const theirs = `at://${bob.did}/${family.poll}/1`
    model.receive({ type: 'poll', uri, poll: { ...poll([1, 2]), uri: theirs }, tally: 'live' })
    expect(model.manageable.value).toBe(family === families[0])
  })

  describe('where the page uses none', () => {
    const act = { type: 'vote', uri, option: 1 } as const
    const own = (voter: PageAccount, option: number) => model.receive({ type: 'own', uri, voter, option })
    const shown = () => [model.chosen.value[0] ?? null, model.showsResults.value, model.manageable.value]

    beforeEach(() => {
      account.value = undefined
      live([1, 2])
    })

    test('nothing is shown of an account that another page uses', () => {
      own(bob, 1)
      expect(shown()).toEqual([null, false, false])
    })

    test('the vote of the account that voted here is marked, and may be changed elsewhere', () => {
      model.vote([1])
      model.receive({ type: 'whoAreYou', id: lastId(), act, last: bob })
      model.click.start(act, { account: bob })
      model.receive({ type: 'accepted', id: lastId(), act, voter: bob.did })
      own(bob, 1)
      model.receive({ type: 'done', id: lastId(), act, uri, voter: bob.did })
      expect(shown()).toEqual([1, true, true])
      own(alice, 0)
      own(bob, 0)
      expect(shown()).toEqual([0, true, true])
      account.value = alice
      model.accountChanged()
      account.value = undefined
      model.accountChanged()
      own(bob, 0)
      expect(shown()).toEqual([null, false, false])
    })

    test('so is that of one who had to sign in for it', () => {
      model.vote([1])
      model.click.start(act, { identifier: 'bob.test' })
      model.receive({ type: 'accepted', id: lastId(), act })
      model.receive({ type: 'signingIn', id: lastId(), act, as: 'bob.test' })
      own(bob, 1)
      model.receive({ type: 'done', id: lastId(), act, uri, voter: bob.did })
      expect(shown()).toEqual([1, true, true])
    })
  })
})

describe('who voted', () => {
  const vote = (voter: string) => ({ voter, option: 0, uri: `at://${voter}/v/1`, createdAt: '' })

  test('comes in pages, and gives the results away', () => {
    live([1, 2])
    model.toggleVoters()
    expect(model.showsResults.value).toBe(true)
    model.receive({ type: 'voters', uri, votes: [vote('a')], cursor: '1', author: 'bob.test' })
    model.moreVoters()
    expect(sent.at(-1)).toEqual({ type: 'voters', uri, cursor: '1' })
    model.receive({ type: 'voters', uri, votes: undefined, cursor: undefined, author: undefined })
    expect(model.voters.value).toMatchObject({ state: 'failed', cursor: '1' })
    model.moreVoters()
    model.receive({ type: 'voters', uri, votes: [vote('b')], cursor: undefined, author: undefined })
    expect(model.voters.value?.votes.map(({ voter }) => voter)).toEqual(['a', 'b'])
    model.toggleVoters()
    model.receive({ type: 'voters', uri, votes: [vote('c')], cursor: undefined, author: undefined })
    expect(model.voters.value).toBeUndefined()
  })

  test('is asked for anew as far as it is shown, and stays there meanwhile', () => {
    const answer = (votes: string[], cursor?: string) =>
      model.receive({ type: 'voters', uri, votes: votes.map(vote), cursor, author: 'bob.test' })
    const shown = () => model.voters.value?.votes.map(({ voter }) => voter).join('')
    model.renewVoters()
    expect(sent).toEqual([])
    model.toggleVoters()
    answer(['a', 'b'], '2')
    model.moreVoters()
    answer(['c'], '3')
    model.renewVoters()
    expect(sent.at(-1)).toEqual({ type: 'voters', uri, cursor: undefined })
    answer(['b', 'x'], '2')
    expect(sent.at(-1)).toEqual({ type: 'voters', uri, cursor: '2' })
    expect(shown()).toBe('abc')
    // Meanwhile somebody asks for more.
    model.moreVoters()
    answer(['c', 'd'], '4')
    expect(shown()).toBe('bxcd')
    expect(sent.at(-1)).toEqual({ type: 'voters', uri, cursor: '4' })
    answer(['e'])
    expect(shown()).toBe('bxcde')
    expect(model.voters.value?.state).toBe('there')
    // What can't be had now leaves what is there.
    model.renewVoters()
    model.receive({ type: 'voters', uri, votes: undefined, cursor: undefined, author: undefined })
    expect(model.voters.value).toMatchObject({ state: 'there' })
    expect(shown()).toBe('bxcde')
  })
})

test('an ended poll shows its results', () => {
  model.receive({
    type: 'poll',
    uri,
    poll: { ...poll([1, 2]), endsAt: '2026-01-01T00:00:00Z' },
    tally: 'live',
  })
  expect(model.ended.value).toBe(true)
  expect(model.showsResults.value).toBe(true)
})

describe('where several may be chosen', () => {
  const several = (counts: number[], voters: number, version = 1) =>
    model.receive({
      type: 'poll',
      uri,
      poll: { ...poll(counts, version), multiple: true, voters },
      tally: 'live',
    })
  const cast = () => sent.findLast((it) => it.type === 'act')?.act

  test('what is ticked is cast together, and nothing before', () => {
    several([1, 1, 0], 1)
    model.tick(2)
    model.tick(0)
    model.tick(1)
    model.tick(1)
    expect([model.ticked.value, model.chosen.value, sent]).toEqual([[0, 2], [], []])
    model.vote(model.ticked.value!)
    expect(cast()).toEqual({ type: 'vote', uri, option: 0, options: [0, 2] })
    expect([model.chosen.value, counts()]).toEqual([
      [0, 2],
      [2, 1, 1],
    ])
    expect(model.shown.value).toMatchObject({ total: 4, voters: 2 })
    model.receive({ type: 'done', id: lastId(), act: cast() as never, uri, voter: alice.did })
    expect(model.ticked.value).toBeUndefined()
    // Whoever changes their vote is no further voter, and begins with what they have chosen.
    model.receive({ type: 'own', uri, voter: alice, option: 0, options: [0, 2] })
    model.receive({ type: 'counted', uri, voter: alice.did, option: 0, options: [0, 2], version: 2 })
    several([2, 1, 1], 2, 2)
    model.tick(0)
    model.vote(model.ticked.value!)
    expect(cast()).toEqual({ type: 'vote', uri, option: 2 })
    expect([counts(), model.shown.value?.voters]).toEqual([[1, 1, 1], 2])
    model.vote([])
    expect([counts(), model.shown.value?.voters]).toEqual([[1, 1, 0], 1])
  })

  test('what the PDS refuses stays ticked', () => {
    several([1, 1], 1)
    model.tick(1)
    model.vote(model.ticked.value!)
    const reason = { name: 'refused', detail: 'not today' } as const
    model.receive({ type: 'refused', id: lastId(), act: cast() as never, reason })
    expect([model.ticked.value, model.chosen.value, counts()]).toEqual([[1], [], [1, 1]])
    account.value = bob
    model.accountChanged()
    expect(model.ticked.value).toBeUndefined()
  })

  test('a tally waits for all of a vote', () => {
    several([0, 0], 0)
    model.vote([0, 1])
    model.receive({ type: 'done', id: lastId(), act: cast() as never, uri, voter: alice.did })
    model.receive({ type: 'counted', uri, voter: alice.did, option: 0, version: 2 })
    several([1, 0], 1, 2)
    expect([counts(), model.shown.value?.voters]).toEqual([[1, 1], 1])
    model.receive({ type: 'counted', uri, voter: alice.did, option: 0, options: [0, 1], version: 3 })
    several([1, 1], 1, 3)
    expect(counts()).toEqual([1, 1])
  })

  test('shares are of voters', () => {
    const view = { ...poll([2, 1]), multiple: true, voters: 2 }
    expect([shareOf(view, 2), shareOf(view, 1), shareOf(poll([2, 2]), 2)]).toEqual([1, 0.5, 0.5])
    expect(shareOf({ ...poll([0]), voters: 0 }, 0)).toBe(0)
  })
})

describe('a poll that ends', () => {
  const END = Date.parse('2026-11-25T12:00:00.000Z')
  const ends = (endsAt: string | undefined, version = 1) =>
    model.receive({
      type: 'poll',
      uri,
      poll: { ...poll([1, 0], version), ...(endsAt === undefined ? {} : { endsAt }) },
      tally: 'live',
    })

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: END - 90_500 })
    onTestFinished(() => void vi.useRealTimers())
    ends(new Date(END).toISOString())
    model.visible(host, true)
  })

  test('is counted down, and final at the second of its end', () => {
    const seen: (number | undefined)[] = []
    onTestFinished(effect(() => void seen.push(model.left.value)))
    vi.advanceTimersByTime(90_499)
    expect([seen[0], seen[1], seen[2], seen[3]]).toEqual([90_500, 60_000, 59_000, 58_000])
    expect([model.ended.value, model.showsResults.value]).toEqual([false, false])
    vi.advanceTimersByTime(1)
    expect([model.ended.value, model.showsResults.value]).toEqual([true, true])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('ends by the server’s clock', () => {
    connection.value = { online: true, since: 0, ahead: 60_000 }
    model.lookAtClock()
    vi.advanceTimersByTime(30_499)
    expect(model.ended.value).toBe(false)
    vi.advanceTimersByTime(1)
    expect(model.ended.value).toBe(true)
    connection.value = { online: true, since: 0, ahead: -3_600_000 }
    model.lookAtClock()
    expect(model.ended.value).toBe(false)
  })

  test('goes on where its end moved or is none, and no clock runs for what nobody sees', () => {
    ends(new Date(END + 60_000).toISOString(), 2)
    vi.advanceTimersByTime(90_500)
    expect(model.ended.value).toBe(false)
    model.visible(host, false)
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(60_000)
    model.visible(host, true)
    expect(model.ended.value).toBe(true)
    ends(undefined, 3)
    expect([model.ended.value, model.left.value, vi.getTimerCount()]).toEqual([false, undefined, 0])
    ends('9999-12-31T23:59:59Z', 4)
    expect([model.ended.value, vi.getTimerCount()]).toEqual([false, 1])
  })
})

describe('being told of the end', () => {
  const endsAt = new Date(Date.now() + 3_600_000).toISOString()
  const ending = (more: Partial<PollView> = {}) =>
    model.receive({ type: 'poll', uri, poll: { ...poll([1, 2]), endsAt, ...more }, tally: 'live' })

  test('is offered of what will end, where somebody can be told', () => {
    ending()
    expect(model.reminded.value).toBeUndefined()
    reminders.value = new Set()
    expect(model.reminded.value).toBe(false)
    live([1, 2], 2)
    expect(model.reminded.value).toBeUndefined()
    ending({ version: 3, endsAt: new Date(Date.now() - 1_000).toISOString() })
    expect(model.reminded.value).toBeUndefined()
    // A preview is of a poll that has no address yet.
    ending({ version: 4, uri: '' })
    expect(model.reminded.value).toBeUndefined()
  })

  test('is asked for by the poll’s own name, also where a link has a handle, and undone', () => {
    reminders.value = new Set()
    const byHandle = new PollModel('at://bob.test/tech.waow.poll/1', model.around)
    byHandle.receive({ type: 'poll', uri: byHandle.uri, poll: { ...poll([1, 2]), endsAt }, tally: 'live' })
    byHandle.remind(true)
    expect(sent).toEqual([{ type: 'remind', uri, text: '?', endsAt }])
    reminders.value = new Set([uri])
    expect(byHandle.reminded.value).toBe(true)
    byHandle.remind(false)
    expect(sent.at(-1)).toEqual({ type: 'unremind', uri })
  })

  test('needs no account', () => {
    account.value = undefined
    reminders.value = new Set()
    ending()
    expect(model.reminded.value).toBe(false)
  })
})

test('a poll of any family is its author’s to post, though not to change', () => {
  const other = `at://${alice.did}/tech.tokimeki.poll.poll/1`
  model.receive({ type: 'poll', uri, poll: { ...poll([1, 2]), uri: other, repo: alice.did }, tally: 'live' })
  expect([model.authored.value, model.manageable.value]).toEqual([true, false])
  account.value = bob
  expect(model.authored.value).toBe(false)
})
