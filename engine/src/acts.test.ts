import 'fake-indexeddb/auto'
import { XRPCError } from '@atproto/api'
import type { Act, ActMessage, PageAccount, Reason, ToEngine, ToPage } from '@pollz/shared/engine'
import { home } from '@pollz/shared/families'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Accounts } from './accounts.ts'
import { Acts, type Doing } from './acts.ts'
import { Pages } from './pages.ts'
import { openServerDb, type JournalledAct, type ServerDb } from './storage.ts'

const alice = { did: 'did:plc:a', handle: 'alice.test' }
const byDid = 'at://did:plc:b/tech.waow.poll/3kabc'
const byHandle = 'at://bob.test/tech.waow.poll/3kabc'
const other = 'at://did:plc:b/tech.waow.poll/3kxyz'

/** Something that an engine does until the test says how it goes. */
type Deed = { act: Act; doing: Doing; succeed: () => void; fail: (error: Error) => void }

let server: string
let db: ServerDb
let deeds: Deed[]
let told: ActMessage[]
/** Who is signed in. */
let sessions: PageAccount[]
/** Pages to sign in, by who was to. */
let opened: string[]
let openTabs: Set<number>
/** Pages to sign in that were closed for whoever had been brought there. */
let closedTabs: number[]
/** What was asked for and not granted. */
let denied: string[]
/** What the engine knows of other names. */
let aliases: Record<string, string>
/** When somebody voted elsewhere. */
let lastVote: number
let cannotSignIn: Error | undefined
let servers = 0

beforeEach(async () => {
  server = `https://${servers++}.test`
  db = await openServerDb(server)
  deeds = []
  told = []
  sessions = [alice]
  opened = []
  openTabs = new Set()
  closedTabs = []
  denied = []
  aliases = {}
  lastVote = 0
  cannotSignIn = undefined
})

type WorkerOptions = { knowsTabs?: boolean; before?: (acts: Acts) => void; ids?: number[] }

/** An engine, as far as acts go. `die`: nothing that it has begun goes on */
async function startWorker({ knowsTabs = true, before, ids = [1, 2] }: WorkerOptions = {}) {
  const stop = new AbortController()
  const own = await openServerDb(server)
  const pages = new Pages()
  const heard: ActMessage[] = []
  const hear = (it: ToPage) => {
    if (!('act' in it)) return
    heard.push(it)
    told.push(it)
  }
  for (const id of ids) pages.add({ postMessage: hear }, id)
  pages.share(server, stop.signal)
  const accounts = {
    isSignedIn: async (did: string) => sessions.some((it) => it.did === did),
    all: async () => sessions,
    lastUsed: async () => sessions[0],
    used: async (did: string) => ({ did }),
    mayGet: async () => true,
    noteDenied: async (did: string, nsids: string[]) => void denied.push(`${did} ${nsids.join(' ')}`),
    identify: async (handle: string) => {
      if (handle !== alice.handle) throw new Error(`nobody is ${handle}`)
      return alice
    },
    signIn: async (who: string, keep: (tab: number) => Promise<void>) => {
      if (cannotSignIn) throw cannotSignIn
      opened.push(who)
      openTabs.add(opened.length)
      await keep(opened.length)
    },
  } as unknown as Accounts
  const doer = (act: Act, doing: Doing) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    deeds.push({ act, doing, succeed: () => resolve(byDid), fail: reject })
    return promise
  }
  const acts = new Acts({
    db: Promise.resolve(own),
    accounts,
    pages,
    doers: { vote: doer, publish: doer, delete: doer },
    canonical: (uri) => aliases[uri] ?? uri,
    votedSince: async (_, __, at) => at < lastVote,
    ...(knowsTabs
      ? {
          signInOpen: async (tab: number) => openTabs.has(tab),
          closeSignIn: async (tab: number) => void closedTabs.push(tab),
        }
      : {}),
    signal: stop.signal,
  })
  const resumed = acts.resume()
  before?.(acts)
  await resumed
  const die = () => {
    stop.abort()
    own.close()
  }
  onTestFinished(die)
  return { acts, die, db: own, heard }
}

let clicks = 0
const click = (act: Act, more: Partial<ToEngine & { type: 'act' }> = {}): ToEngine & { type: 'act' } => ({
  type: 'act',
  id: `act ${++clicks}`,
  at: 1_000 + clicks,
  act,
  account: alice,
  ...more,
})
const vote = (option: number | null, uri = byDid): Act => ({ type: 'vote', uri, option })
const endings = async () => Object.fromEntries((await db.getAll('acts')).map((it) => [it.id, endOf(it)]))
const endOf = ({ state }: JournalledAct) => (state.name === 'ended' ? state.message.type : state.name)
const ended = (id: string, how: string) =>
  vi.waitUntil(async () => (await endings())[id] === how, { interval: 1 })
const deed = (n: number) => vi.waitUntil(() => deeds[n], { interval: 1 })
const options = () => deeds.map(({ act }) => act.type === 'vote' && act.option)
const reasonOf = (id: string): Reason | undefined => {
  const message = told.findLast((it) => it.id === id)
  return message?.type === 'refused' ? message.reason : undefined
}
/** What somebody has clicked reaches the engine. */
async function accept(acts: Acts, message: ToEngine & { type: 'act' }, page = 1): Promise<string> {
  await acts.accept(page, message)
  return message.id
}

describe('clicks on one poll', () => {
  test('are done one after the other, and those that a newer one supersedes are not', async () => {
    const { acts } = await startWorker()
    const ids = [
      await accept(acts, click(vote(0))),
      await accept(acts, click(vote(1))),
      await accept(acts, click(vote(2))),
    ]
    ;(await deed(0)).succeed()
    ;(await deed(1)).succeed()
    await ended(ids[2]!, 'done')
    expect(options()).toEqual([0, 2])
    expect(await endings()).toEqual({ [ids[0]!]: 'done', [ids[1]!]: 'superseded', [ids[2]!]: 'done' })
    expect(told.filter(({ type }) => type === 'accepted').map(({ id }) => id)).toEqual(ids)
    expect(told.every((it) => it.type !== 'accepted' || it.signedIn)).toBe(true)
    // Whose it was: the page may have another account now.
    expect(told.every(({ voter }) => voter === alice.did)).toBe(true)
  })

  test('do not wait for those on another', async () => {
    const { acts } = await startWorker()
    await accept(acts, click(vote(0)))
    await accept(acts, click(vote(1, other)))
    await deed(1)
    expect(options()).toEqual([0, 1])
  })

  test('are in the order in which they came, whatever the clock says', async () => {
    const { acts } = await startWorker()
    await accept(acts, click(vote(0), { at: 9_000 }))
    const before = await accept(acts, click(vote(1), { at: 9_001 }))
    const after = await accept(acts, click(vote(2), { at: 5_000 }))
    ;(await deed(0)).succeed()
    ;(await deed(1)).succeed()
    await ended(after, 'done')
    expect((await endings())[before]).toBe('superseded')
    expect(deeds[1]!.doing.at).toBe(5_000)
  })

  test('that are sent again are as old as they are', async () => {
    const { acts } = await startWorker()
    const newer = await accept(acts, click(vote(1), { at: 9_000 }), 2)
    ;(await deed(0)).succeed()
    await ended(newer, 'done')
    const again = await accept(acts, click(vote(0), { at: 8_000, again: true }))
    await ended(again, 'superseded')
    expect(options()).toEqual([1])
  })

  test('go on after one that failed, and a refusal is told of the act that it is of', async () => {
    const { acts } = await startWorker()
    const first = await accept(acts, click(vote(0)))
    const second = await accept(acts, click(vote(1)))
    ;(await deed(0)).fail(new Error('broken'))
    ;(await deed(1)).succeed()
    await ended(second, 'done')
    expect(reasonOf(first)).toEqual({ name: 'fault', detail: 'broken' })
    expect(reasonOf(second)).toBeUndefined()
  })

  test('by handle and by DID wait for each other, before and after it is known that they are one', async () => {
    const { acts } = await startWorker()
    await accept(acts, click(vote(0, byHandle)))
    const unknown = await accept(acts, click(vote(1, byDid)))
    aliases = { [byHandle]: byDid }
    const last = await accept(acts, click(vote(2, byHandle)))
    expect(options()).toEqual([0])
    ;(await deed(0)).succeed()
    ;(await deed(1)).succeed()
    await ended(last, 'done')
    expect(options()).toEqual([0, 2])
    expect((await endings())[unknown]).toBe('superseded')
  })

  test('by a name of which nothing is known are all done', async () => {
    const { acts } = await startWorker()
    await accept(acts, click(vote(0, byHandle), { at: 9_000 }))
    await accept(acts, click(vote(1, byDid), { at: 8_000 }))
    const last = await accept(acts, click(vote(2, byHandle), { at: 7_000 }))
    for (const i of [0, 1, 2]) {
      expect(deeds.length).toBeLessThanOrEqual(i + 1)
      ;(await deed(i)).succeed()
      if (i === 1) await vi.waitUntil(() => deeds.length === 3, { interval: 1 })
    }
    await ended(last, 'done')
    expect(options()).toEqual([0, 1, 2])
  })

  test('of a person whose handle was typed and who is signed in need no other sign-in', async () => {
    const { acts } = await startWorker()
    await accept(acts, click(vote(0)))
    const typed = await accept(acts, click(vote(1), { account: undefined, identifier: '@Alice.test' }))
    expect(options()).toEqual([0])
    ;(await deed(0)).succeed()
    ;(await deed(1)).succeed()
    await ended(typed, 'done')
    expect(opened).toEqual([])
  })
})

test('what is withdrawn is not done, unless it is being done', async () => {
  const { acts } = await startWorker()
  const first = await accept(acts, click(vote(0)))
  await deed(0)
  const second = await accept(acts, click(vote(1)))
  await Promise.all([acts.withdraw(first), acts.withdraw(second)])
  deeds[0]!.succeed()
  await ended(first, 'done')
  expect(await endings()).toEqual({ [first]: 'done', [second]: 'superseded' })
})

test('deleting a poll is not undone by a vote on it', async () => {
  sessions = []
  const { acts } = await startWorker()
  const deletion = await accept(acts, click({ type: 'delete', uri: byDid }))
  await accept(acts, click(vote(0)))
  expect((await endings())[deletion]).toBe('signingIn')
})

test('where nobody is known it is asked who it is, and nothing is kept', async () => {
  const { acts } = await startWorker()
  const id = await accept(acts, click(vote(0), { account: undefined }))
  expect(told).toEqual([{ type: 'whoAreYou', id, act: vote(0), last: alice }])
  expect(await db.count('acts')).toBe(0)
})

test('two engines with one journal tell the page that an act is of, whichever does it', async () => {
  const one = await startWorker({ ids: [1] })
  const two = await startWorker({ ids: [2] })
  const first = await accept(one.acts, click(vote(0)), 1)
  await deed(0)
  const second = await accept(two.acts, click(vote(1)), 2)
  deeds[0]!.succeed()
  ;(await deed(1)).succeed()
  const endingOf = ({ heard }: { heard: ActMessage[] }, id: string) =>
    vi.waitUntil(() => heard.find((it) => it.id === id && it.type !== 'accepted'), { interval: 1 })
  // Nobody waits for the one that is superseded, though it is being done.
  expect(await endingOf(one, first)).toMatchObject({ type: 'superseded' })
  expect(await endingOf(two, second)).toMatchObject({ type: 'done' })
})

describe('where the journal', () => {
  const full = () => Promise.reject(new DOMException('the disk is full', 'QuotaExceededError'))
  beforeEach(() => {
    const silent = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => silent.mockRestore())
  })

  test('can’t be written, what is clicked is refused', async () => {
    const { acts, db: own } = await startWorker()
    vi.spyOn(own, 'put').mockImplementation(full)
    const id = await accept(acts, click(vote(0)))
    expect(told).toEqual([
      { type: 'refused', id, act: vote(0), reason: { name: 'fault', detail: 'the disk is full' } },
    ])
    expect(await acts.signIn('alice.test')).toEqual({ name: 'fault', detail: 'the disk is full' })
    expect(deeds).toEqual([])
  })

  test('is closed, what is clicked or asked for is refused', async () => {
    const { acts, db: own } = await startWorker()
    own.close()
    const id = await accept(acts, click(vote(0)))
    expect(reasonOf(id)).toMatchObject({ name: 'fault' })
    told = []
    await acts.tell(1, { type: 'ask', id, act: vote(0) })
    expect(reasonOf(id)).toMatchObject({ name: 'fault' })
  })

  test('can’t be written any more, how an act went is told all the same', async () => {
    const { acts, db: own } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    await deed(0)
    const transaction = own.transaction.bind(own)
    vi.spyOn(own, 'transaction').mockImplementation((() => {
      throw new DOMException('the disk is full', 'QuotaExceededError')
    }) as typeof transaction)
    deeds[0]!.succeed()
    await vi.waitUntil(() => told.some(({ type }) => type === 'done'), { interval: 1 })
    expect(told.find(({ type }) => type === 'done')).toMatchObject({ id, voter: alice.did })
  })
})

test('two engines with one journal do not both do what is in it', async () => {
  const one = await startWorker()
  const first = await accept(one.acts, click(vote(0)))
  await deed(0)
  const two = await startWorker()
  const second = await accept(two.acts, click(vote(1)))
  expect(options()).toEqual([0])
  deeds[0]!.succeed()
  ;(await deed(1)).succeed()
  await ended(second, 'done')
  expect(options()).toEqual([0, 1])
  expect(first).not.toBe(second)
})

describe('signing in', () => {
  const publish: Act = { type: 'publish', rkey: '3kabc', draft: { text: '?', options: ['a', 'b'] } }

  beforeEach(() => {
    sessions = []
  })

  test('is said to be needed with the first answer: nothing is shown before it that a vote would show', async () => {
    const { acts } = await startWorker()
    const message = click(vote(0))
    await accept(acts, message)
    await accept(acts, click(vote(1, other), { account: undefined, identifier: 'alice.test' }))
    const accepted = told.filter(({ type }) => type === 'accepted')
    expect(accepted.length).toBe(2)
    for (const it of accepted) expect(it).not.toHaveProperty('signedIn')
  })

  test('opens one page for what is sent twice', async () => {
    const { acts } = await startWorker()
    const message = click(publish)
    const again = { ...message, again: true } as const
    await Promise.all([accept(acts, message), accept(acts, again)])
    await ended(message.id, 'signingIn')
    await accept(acts, again)
    expect(opened).toEqual([alice.did])
    expect(told.at(-1)).toMatchObject({ type: 'signingIn', id: message.id, as: alice.handle })
  })

  test('is for the newest click', async () => {
    const { acts } = await startWorker()
    const first = await accept(acts, click(vote(0)))
    await ended(first, 'signingIn')
    const second = await accept(acts, click(vote(1)))
    sessions = [alice]
    await Promise.all([acts.signedIn(1, { did: alice.did }), deed(0).then(({ succeed }) => succeed())])
    expect(opened).toEqual([alice.did])
    expect(options()).toEqual([1])
    expect(await endings()).toEqual({ [first]: 'superseded', [second]: 'done' })
    expect(told.filter(({ id }) => id === second).map(({ type }) => type)).toEqual(['signingIn', 'done'])
  })

  test('opens another page where the first is gone, or nobody can tell', async () => {
    for (const knowsTabs of [true, false]) {
      opened = []
      openTabs.clear()
      const { acts, die } = await startWorker({ knowsTabs })
      const first = await accept(acts, click(vote(0)))
      await ended(first, 'signingIn')
      if (knowsTabs) openTabs.clear()
      const second = await accept(acts, click(vote(1)))
      await ended(second, 'signingIn')
      expect((await endings())[first]).toBe('superseded')
      expect(opened.length).toBe(2)
      await db.clear('acts')
      die()
    }
  })

  test('opens another page where the first was opened long ago: it may be used for something else', async () => {
    const { acts } = await startWorker()
    const first = await accept(acts, click(vote(0)))
    await ended(first, 'signingIn')
    const entry = (await db.get('acts', first))!
    await db.put(
      'acts',
      { ...entry, state: { name: 'signingIn', tab: 1, since: Date.now() - 180_001 } },
      first,
    )
    const second = await accept(acts, click(vote(1)))
    await vi.waitUntil(() => opened.length === 2, { interval: 1 })
    await ended(second, 'signingIn')
    expect((await endings())[first]).toBe('superseded')
  })

  test('is not waited for where somebody has signed in elsewhere', async () => {
    const { acts } = await startWorker()
    await ended(await accept(acts, click(vote(0))), 'signingIn')
    sessions = [alice]
    const next = await accept(acts, click(vote(1)))
    ;(await deed(0)).succeed()
    await ended(next, 'done')
    expect(opened.length).toBe(1)
  })

  test('as somebody else does nothing in their name', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    await ended(id, 'signingIn')
    sessions = [{ did: 'did:plc:c' }]
    await acts.signedIn(1, { did: 'did:plc:c' })
    await ended(id, 'refused')
    expect(reasonOf(id)).toEqual({ name: 'otherAccount', as: 'did:plc:c' })
    expect(deeds).toEqual([])
  })

  test('by a handle is its owner’s, and nobody else’s', async () => {
    const { acts } = await startWorker()
    const typed = { account: undefined, identifier: '@Alice.test ' }
    const others = await accept(acts, click(vote(0, other), typed))
    await ended(others, 'signingIn')
    sessions = [{ did: 'did:plc:c' }]
    await acts.signedIn(1, { did: 'did:plc:c' })
    await ended(others, 'refused')
    expect(reasonOf(others)).toEqual({ name: 'otherAccount', as: 'did:plc:c' })
    const id = await accept(acts, click(vote(0), typed))
    await ended(id, 'signingIn')
    expect(told.at(-1)).toMatchObject({ voter: alice.did, as: alice.handle })
    expect(opened).toEqual([alice.did, alice.did])
    sessions = [alice]
    await Promise.all([acts.signedIn(2, { did: alice.did }), deed(0).then(({ succeed }) => succeed())])
    expect(deeds[0]!.doing.did).toBe(alice.did)
    expect((await endings())[id]).toBe('done')
  })

  test('by a handle that nobody has is refused before anything is opened', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0), { account: undefined, identifier: 'nobody.test' }))
    await ended(id, 'refused')
    expect(reasonOf(id)).toEqual({ name: 'fault', detail: 'nobody is nobody.test' })
    expect(opened).toEqual([])
  })

  test('by a handle does not undo what the same person has clicked since', async () => {
    const { acts } = await startWorker()
    const typed = await accept(acts, click(vote(0), { account: undefined, identifier: 'alice.test' }))
    await ended(typed, 'signingIn')
    sessions = [alice]
    const newer = await accept(acts, click(vote(1)))
    ;(await deed(0)).succeed()
    await ended(newer, 'done')
    await acts.signedIn(1, { did: alice.did })
    await ended(typed, 'superseded')
    expect(options()).toEqual([1])
  })

  test('again, where the session ends meanwhile; but not for ever', async () => {
    sessions = [alice]
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    const { fail } = await deed(0)
    sessions = []
    fail(new Error('revoked'))
    await ended(id, 'signingIn')
    await acts.signedIn(1, { did: alice.did })
    await ended(id, 'refused')
    expect(reasonOf(id)).toMatchObject({ name: 'signInFailed' })
    expect(opened.length).toBe(1)
  })

  test('in vain is remembered: whoever has just signed in may not write all the same', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0, `at://did:plc:b/${home.poll}/3kabc`)))
    await ended(id, 'signingIn')
    sessions = [alice]
    const refuse = deed(0).then(({ fail }) => fail(new XRPCError(403, 'ScopeMissingError')))
    await Promise.all([acts.signedIn(1, { did: alice.did }), refuse])
    expect(reasonOf(id)).toEqual({ name: 'noScope' })
    expect(denied).toEqual([`${alice.did} ${home.vote}`])
  })

  test('that failed, or can’t begin, is said', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    await ended(id, 'signingIn')
    await acts.signedIn(1, { failed: { name: 'notFinished' } })
    expect(reasonOf(id)).toEqual({ name: 'notFinished' })
    expect(await acts.signIn('alice.test')).toBeUndefined()
    cannotSignIn = new Error('no such handle')
    expect(await acts.signIn('nobody.test')).toEqual({ name: 'fault', detail: 'no such handle' })
  })

  test('for what is withdrawn meanwhile does nothing', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    await ended(id, 'signingIn')
    await acts.withdraw(id)
    expect(told.at(-1)).toMatchObject({ type: 'superseded', id })
    expect(closedTabs).toEqual([1])
    sessions = [alice]
    await acts.signedIn(1, { did: alice.did })
    // What is clicked now is done next.
    const next = await accept(acts, click(vote(1)))
    ;(await deed(0)).succeed()
    await ended(next, 'done')
    expect(options()).toEqual([1])
  })

  test('in a page that another act has taken over is not ended with the first', async () => {
    const { acts } = await startWorker()
    const first = await accept(acts, click(vote(0)))
    await ended(first, 'signingIn')
    const second = await accept(acts, click(vote(1)))
    await acts.withdraw(first)
    expect(closedTabs).toEqual([])
    await acts.withdraw(second)
    expect(closedTabs).toEqual([1])
    await acts.withdraw(second)
    expect(closedTabs).toEqual([1])
  })

  test('in a page from long ago closes nothing: somebody may use it for something else', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    await ended(id, 'signingIn')
    const entry = (await db.get('acts', id))!
    await db.put('acts', { ...entry, state: { name: 'signingIn', tab: 1, since: Date.now() - 180_001 } }, id)
    await acts.withdraw(id)
    expect((await endings())[id]).toBe('superseded')
    expect(closedTabs).toEqual([])
  })

  test('in pages that the browser has opened again comes back to nobody', async () => {
    const { acts } = await startWorker()
    const id = await accept(acts, click(vote(0)))
    await ended(id, 'signingIn')
    sessions = [alice]
    const doing = await accept(acts, click(vote(0, other)))
    told = []
    await acts.forgetTabs()
    ;(await deed(0)).succeed()
    await ended(doing, 'done')
    expect(await endings()).toEqual({ [id]: 'refused', [doing]: 'done' })
    // Another page may have the number of the one where it was begun.
    expect(told).toEqual([])
  })
})

describe('the next worker', () => {
  test('goes on with what one was doing, and with what waited', async () => {
    const first = await startWorker()
    const before = click(vote(0))
    await accept(first.acts, before)
    const elsewhere = await accept(first.acts, click(vote(2, other)))
    await deed(1)
    first.die()
    await startWorker()
    // As the first had it: what is written is the same.
    expect((await deed(2)).doing.at).toBe(before.at)
    deeds[2]!.succeed()
    ;(await deed(3)).succeed()
    await ended(before.id, 'done')
    await ended(elsewhere, 'done')
    expect(options()).toEqual([0, 2, 0, 2])
  })

  test('puts what is clicked while it starts after what was left', async () => {
    const first = await startWorker()
    const old = await accept(first.acts, click(vote(0)))
    await deed(0)
    first.die()
    const message = click(vote(1), { at: 1 })
    await startWorker({ before: (acts) => void acts.accept(1, message) })
    // Whether the old one had begun again or not, the newer one is last.
    await vi.waitUntil(
      async () => {
        for (const { succeed } of deeds) succeed()
        return (await endings())[message.id] === 'done'
      },
      { interval: 1 },
    )
    expect(options().at(-1)).toBe(1)
    expect(['done', 'superseded']).toContain((await endings())[old])
  })

  test('does not do what nobody expects any more, and says so', async () => {
    const first = await startWorker()
    const id = await accept(first.acts, click(vote(0)))
    await deed(0)
    first.die()
    const entry = (await db.get('acts', id))!
    const since = Date.now() - 600_001
    await db.put('acts', { ...entry, state: { name: 'ready', signedIn: false, since } }, id)
    const { acts } = await startWorker()
    await ended(id, 'refused')
    expect(reasonOf(id)).toEqual({ name: 'tooLate' })
    // A page that was cut off for long sends it again.
    const again = await accept(acts, click(vote(1, other), { at: since, again: true }))
    await ended(again, 'refused')
    expect(reasonOf(again)).toEqual({ name: 'tooLate' })
    expect(deeds.length).toBe(1)
  })

  test('does not undo what was voted elsewhere since', async () => {
    const first = await startWorker()
    const before = await accept(first.acts, click(vote(0), { at: 5_000 }))
    const after = await accept(first.acts, click(vote(0, other), { at: 7_000 }))
    await deed(1)
    first.die()
    lastVote = 6_000
    const { acts } = await startWorker()
    await ended(before, 'superseded')
    ;(await deed(2)).succeed()
    await ended(after, 'done')
    // Of what is clicked now a clock that was set back says nothing.
    const now = await accept(acts, click(vote(1), { at: 4_000 }))
    ;(await deed(3)).succeed()
    await ended(now, 'done')
    expect(deeds.map(({ doing }) => doing.at)).toEqual([5_000, 7_000, 7_000, 4_000])
  })

  test('waits for a page to sign in that is still open', async () => {
    sessions = []
    const first = await startWorker()
    const id = await accept(first.acts, click(vote(0)))
    await ended(id, 'signingIn')
    first.die()
    const { acts } = await startWorker()
    sessions = [alice]
    await Promise.all([acts.signedIn(1, { did: alice.did }), deed(0).then(({ succeed }) => succeed())])
    expect((await endings())[id]).toBe('done')
  })

  test('says of one that was closed meanwhile that it was not finished', async () => {
    sessions = []
    const first = await startWorker()
    const id = await accept(first.acts, click(vote(0)))
    await ended(id, 'signingIn')
    first.die()
    openTabs.clear()
    await startWorker()
    expect(reasonOf(id)).toEqual({ name: 'notFinished' })
  })

  test('gives up a sign-in that nobody can look for after an hour', async () => {
    sessions = []
    const first = await startWorker({ knowsTabs: false })
    const old = await accept(first.acts, click(vote(0)))
    const recent = await accept(first.acts, click(vote(0, other)))
    await ended(old, 'signingIn')
    await ended(recent, 'signingIn')
    first.die()
    const entry = (await db.get('acts', old))!
    const state = { ...entry.state, since: Date.now() - 3_600_001 } as JournalledAct['state']
    await db.put('acts', { ...entry, state }, old)
    await startWorker({ knowsTabs: false })
    expect(await endings()).toEqual({ [old]: 'refused', [recent]: 'signingIn' })
  })

  test('says how an act ended, for an hour; then that it knows it no longer', async () => {
    const first = await startWorker()
    const id = await accept(first.acts, click(vote(0)))
    ;(await deed(0)).succeed()
    await ended(id, 'done')
    first.die()
    told = []
    const second = await startWorker()
    await second.acts.tell(2, { type: 'ask', id, act: vote(0) })
    expect(told.map(({ type }) => type)).toEqual(['done'])
    second.die()
    const entry = (await db.get('acts', id))!
    const state = { ...entry.state, at: Date.now() - 3_600_001 } as JournalledAct['state']
    await db.put('acts', { ...entry, state }, id)
    const third = await startWorker()
    expect(await db.count('acts')).toBe(0)
    await third.acts.tell(2, { type: 'ask', id, act: vote(0) })
    expect(told.at(-1)).toEqual({ type: 'superseded', id, act: vote(0) })
  })
})

describe('after twenty seconds', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
  })

  /** Waits without timers, which stand still. */
  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise((resolve) => setImmediate(resolve))
  }

  test('an act is refused, and what comes of it later changes nothing', async () => {
    const { acts } = await startWorker()
    const slow = await accept(acts, click(vote(0)))
    const next = await accept(acts, click(vote(1)))
    await until(() => deeds.length === 1)
    vi.advanceTimersByTime(19_999)
    expect(deeds[0]!.doing.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    await until(() => deeds.length === 2)
    expect(deeds[0]!.doing.signal.aborted).toBe(true)
    expect(reasonOf(slow)).toEqual({ name: 'unreachable' })
    deeds[0]!.succeed()
    deeds[1]!.succeed()
    await until(async () => (await endings())[next] === 'done')
    expect((await endings())[slow]).toBe('refused')
    expect(told.filter(({ id }) => id === slow).map(({ type }) => type)).toEqual(['accepted', 'refused'])
  })
})
