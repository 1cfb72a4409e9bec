import 'fake-indexeddb/auto'
import { Agent, XRPCError } from '@atproto/api'
import { parseAtUri } from '@pollz/shared/at-uri'
import { choiceOf } from '@pollz/shared/choices'
import type { ToPage } from '@pollz/shared/engine'
import { families } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import type { PollView } from '@pollz/shared/wire'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { cidOf } from '../test/cid.ts'
import type { Accounts } from './accounts.ts'
import type { Live } from './live.ts'
import type { Outbox } from './outbox.ts'
import { Pages } from './pages.ts'
import { reasonOf } from './reasons.ts'
import type { Repos } from './repos.ts'
import { openServerDb, type CastVote } from './storage.ts'
import { VoteIndex } from './vote-index.ts'
import { Votes } from './votes.ts'

const alice = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
const bob = 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb'
const AT = Date.UTC(2026, 10, 25)
const key = tid(AT * 1_000)
const createdAt = '2026-11-25T00:00:00.000Z'
/** Of the polls' records. */
const cid = cidOf({ a: 'poll' })
const newerCid = cidOf({ a: 'newer poll' })

type Stored = { cid: string; value: Record<string, unknown> }

let records: Map<string, Stored>
let known: PollView | undefined
let announced: [string, CastVote | undefined][]
/** Records of which the server is told, whatever becomes of them. */
let held: string[]
let listed: string[]
let told: ToPage[]
let lose: boolean
let commits: number
/** What happens to a request before it arrives. */
let wire: (arrive: () => Response) => Promise<Response>
/** What bob's PDS answers when it is asked for a poll. */
let readPoll: () => Promise<{ cid: string; value: unknown } | undefined>
let votes: Votes
let index: VoteIndex
let servers = 0

/** A PDS's `putRecord` and `deleteRecord`, with its checks of what is swapped. */
async function serve(url: string, init: RequestInit): Promise<Response> {
  const body = (await new Response(init.body as BodyInit).json()) as Record<string, unknown>
  return wire(() => arrive(url, body))
}

function arrive(url: string, body: Record<string, unknown>): Response {
  const uri = `at://${alice}/${String(body['collection'])}/${String(body['rkey'])}`
  const there = records.get(uri)
  const value = body['record'] as Record<string, unknown> | undefined
  if (there?.cid !== (value && cidOf(value))) {
    const isOther = 'swapRecord' in body && (there?.cid ?? null) !== body['swapRecord']
    if (isOther || (body['swapCommit'] ?? head()) !== head())
      return Response.json({ error: 'InvalidSwap', message: 'another version' }, { status: 400 })
    commits++
    if (value) records.set(uri, { cid: cidOf(value), value })
    else records.delete(uri)
  }
  if (lose) throw new TypeError('fetch failed')
  return Response.json({ uri, cid: records.get(uri)?.cid, commit: { cid: head(), rev: key } })
}

/** cid of the repo's last commit. */
const head = () => cidOf({ commits })

beforeEach(async () => {
  records = new Map()
  known = undefined
  announced = []
  held = []
  listed = []
  told = []
  lose = false
  commits = 0
  wire = async (it) => it()
  readPoll = async () => ({ cid, value: {} })
  const pages = new Pages()
  const port = { postMessage: (message: ToPage) => void told.push(message) }
  pages.add(port, 1)
  for (const { poll } of families) pages.shown(port).add(pollOf(poll))
  const db = openServerDb(`https://family-votes-${servers++}.test`)
  const repos = {
    canonical: async (uri: string) => uri,
    collections: async () => [...records.keys()].map((uri) => parseAtUri(uri)!.collection),
    head: async () => head(),
    list: async (_: string, collection: string) => {
      listed.push(collection)
      const found = [...records].filter(([uri]) => parseAtUri(uri)!.collection === collection)
      return { records: found.map(([uri, stored]) => ({ uri, ...stored })) }
    },
    read: async (uri: string) => (parseAtUri(uri)!.repo === bob ? readPoll() : records.get(uri)),
  } as unknown as Repos
  index = new VoteIndex(db, repos)
  votes = new Votes({
    accounts: { agent: async () => new Agent((url, init) => serve(url, init)) } as unknown as Accounts,
    live: { known: () => known } as unknown as Live,
    repos,
    pages,
    index,
    outbox: {
      add: async (_: string, uri: string, vote?: CastVote) => void announced.push([uri, vote]),
      hold: async (_: string, uris: Iterable<string>) => void held.push(...uris),
      release: () => {},
    } as unknown as Outbox,
    voted: () => {},
  })
  const opened = await db
  await opened.put('sessions', {} as never, alice)
  onTestFinished(() => opened.close())
})

const pollOf = (collection: string) => `at://${bob}/${collection}/3kaaaaaaaaaa2`
const cast = (collection: string, choices: number[], at = AT, { signal } = new AbortController()) =>
  votes.cast({ type: 'vote', uri: pollOf(collection), ...choiceOf(choices) }, { did: alice, at, signal })
const own = (collection: string) => index.own(alice, pollOf(collection))
const stored = () =>
  Object.fromEntries([...records].map(([uri, { value }]) => [uri.slice(`at://${alice}/`.length), value]))
/** What another client has written. */
const write = (path: string, value: Record<string, unknown>) => {
  commits++
  records.set(`at://${alice}/${path}`, { cid: cidOf(value), value })
}
const isKnown = (collection: string) =>
  (known = { uri: pollOf(collection), cid: newerCid, options: [] as PollView['options'] } as PollView)

const TOKIMEKI = 'tech.tokimeki.poll.poll'
const LEAFLET = 'pub.leaflet.poll.definition'
const RED_DWARF = 'app.reddwarf.embed.poll'

describe('a vote is written as its family’s clients write it', () => {
  test('TOKIMEKI: a new TID, a strongRef of the poll; a change is the same record, taking back deletes it', async () => {
    const poll = { uri: pollOf(TOKIMEKI), cid }
    const path = `tech.tokimeki.poll.vote/${key}`
    await cast(TOKIMEKI, [2])
    expect(stored()).toEqual({
      [path]: { $type: 'tech.tokimeki.poll.vote', poll, optionIndex: 2, createdAt },
    })
    isKnown(TOKIMEKI)
    await cast(TOKIMEKI, [0], AT + 1)
    expect(stored()).toEqual({
      [path]: {
        $type: 'tech.tokimeki.poll.vote',
        // The version that the voter sees.
        poll: { uri: poll.uri, cid: newerCid },
        optionIndex: 0,
        createdAt: '2026-11-25T00:00:00.001Z',
      },
    })
    await cast(TOKIMEKI, [], AT + 2)
    expect(stored()).toEqual({})
  })

  test('Leaflet: the index as a string, and no date', async () => {
    await cast(LEAFLET, [1])
    expect(stored()).toEqual({
      [`pub.leaflet.poll.vote/${key}`]: {
        $type: 'pub.leaflet.poll.vote',
        poll: { uri: pollOf(LEAFLET), cid },
        option: ['1'],
      },
    })
    await cast(LEAFLET, [0], AT + 1)
    expect(stored()).toMatchObject({ [`pub.leaflet.poll.vote/${key}`]: { option: ['0'] } })
    expect(records.size).toBe(1)
    await cast(LEAFLET, [], AT + 2)
    expect(stored()).toEqual({})
  })

  test('Red Dwarf: a record for each option, of which those that change are written and deleted', async () => {
    const subject = { uri: pollOf(RED_DWARF), cid }
    const vote = (letter: string) => `app.reddwarf.poll.vote.${letter}`
    await cast(RED_DWARF, [0, 2])
    expect(stored()).toEqual({
      [`${vote('a')}/${key}`]: { $type: vote('a'), subject, createdAt },
      [`${vote('c')}/${key}`]: { $type: vote('c'), subject, createdAt },
    })
    expect(await own(RED_DWARF)).toEqual({ option: 0, options: [0, 2] })
    await cast(RED_DWARF, [1, 2], AT + 1)
    expect(stored()).toEqual({
      [`${vote('c')}/${key}`]: { $type: vote('c'), subject, createdAt },
      [`${vote('b')}/${tid((AT + 1) * 1_000)}`]: {
        $type: vote('b'),
        subject,
        createdAt: '2026-11-25T00:00:00.001Z',
      },
    })
    expect(await own(RED_DWARF)).toEqual({ option: 1, options: [1, 2] })
    await cast(RED_DWARF, [], AT + 2)
    expect(stored()).toEqual({})
    expect(await own(RED_DWARF)).toEqual({ option: null })
    expect(announced.at(-1)![1]).toEqual({ poll: subject.uri, option: null })
  })

  test('tech.waow: all choices beside the first, in one record', async () => {
    const { poll } = families[0]!
    await cast(poll, [2, 0, 2])
    expect(Object.values(stored())).toEqual([
      { $type: 'tech.waow.vote', subject: pollOf(poll), option: 0, options: [0, 2], createdAt },
    ])
    expect(told.at(-1)).toMatchObject({ type: 'own', option: 0, options: [0, 2] })
    await cast(poll, [1], AT + 1)
    expect(Object.values(stored())[0]).not.toHaveProperty('options')
  })
})

test.each(families)(
  '$poll: what is begun again writes the same, also where an answer was lost',
  async ({ poll }) => {
    const choices = poll === RED_DWARF || poll === families[0]!.poll ? [0, 1] : [1]
    await cast(poll, choices)
    const before = stored()
    await index.forget(alice)
    await cast(poll, choices)
    expect(stored()).toEqual(before)
    await index.forget(alice)
    lose = true
    const changed = choices.length > 1 ? [1] : [0]
    // One of several records at a time: what is left is done when it is tried again.
    await cast(poll, changed, AT + 5).catch(() => cast(poll, changed, AT + 5))
    expect(await own(poll)).toEqual(choiceOf(changed))
  },
)

test('a vote of another client is changed under its key, whatever cid it names', async () => {
  const poll = { uri: pollOf(TOKIMEKI), cid: cidOf({ an: 'older poll' }) }
  write('tech.tokimeki.poll.vote/3kother', {
    $type: 'tech.tokimeki.poll.vote',
    poll,
    optionIndex: 3,
    createdAt,
  })
  await cast(TOKIMEKI, [1], AT + 1)
  expect(stored()).toMatchObject({ 'tech.tokimeki.poll.vote/3kother': { optionIndex: 1 } })
  expect(records.size).toBe(1)
})

test('one’s own vote of any family is known from its record', async () => {
  for (const { poll, votes: collections, writeVote } of families) {
    const [vote] = writeVote({ poll: { uri: pollOf(poll), cid }, choices: [1], createdAt })
    write(`${vote!.collection}/${key}`, { ...vote!.record })
    expect(collections.map(({ nsid }) => nsid)).toContain(vote!.collection)
  }
  await index.refresh(alice)
  for (const { poll } of families) expect(await own(poll)).toEqual({ option: 1 })
})

test('only the collections that a repo has are listed', async () => {
  write(`pub.leaflet.poll.vote/${key}`, {
    $type: 'pub.leaflet.poll.vote',
    poll: { uri: pollOf(LEAFLET), cid },
    option: ['0'],
  })
  await index.refresh(alice)
  expect(listed).toEqual(['pub.leaflet.poll.vote'])
  expect(await own(TOKIMEKI)).toEqual({ option: null })
})

test('a poll’s version is the server’s word only where it is that poll’s', async () => {
  known = { uri: `at://${bob}/${TOKIMEKI}/3kother`, cid: newerCid } as PollView
  await cast(TOKIMEKI, [0])
  expect(Object.values(stored())).toMatchObject([{ poll: { cid } }])
})

describe('a vote whose request comes late', () => {
  /** Casts a vote that is on its way when nobody waits any more. @returns lets it arrive */
  async function castLate(collection: string, choices: number[], at: number): Promise<() => Response> {
    const stop = new AbortController()
    const sent = Promise.withResolvers<() => Response>()
    wire = (it) => {
      sent.resolve(it)
      return new Promise((_, reject) => {
        stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error))
      })
    }
    const casting = cast(collection, choices, at, stop)
    const late = await sent.promise
    stop.abort(new DOMException('it took too long', 'TimeoutError'))
    await expect(casting).rejects.toThrow('it took too long')
    wire = async (it) => it()
    return late
  }

  const listedChoice = async (collection: string) => {
    await index.refresh(alice, 0)
    return own(collection)
  }

  test.each([TOKIMEKI, LEAFLET, RED_DWARF])('%s: is not there beside a newer one', async (collection) => {
    const late = await castLate(collection, [0], AT)
    await cast(collection, [1], AT + 1)
    expect(late().status).toBe(400)
    expect([await listedChoice(collection), records.size]).toEqual([{ option: 1 }, 1])
  })

  test.each([TOKIMEKI, LEAFLET, RED_DWARF])(
    '%s: is changed by the newer one where it comes just before',
    async (collection) => {
      const late = await castLate(collection, [0], AT)
      let before: (() => Response) | undefined = late
      wire = async (it) => {
        before?.()
        before = undefined
        return it()
      }
      await cast(collection, [1], AT + 1)
      expect([await listedChoice(collection), records.size]).toEqual([{ option: 1 }, 1])
    },
  )

  test('what somebody does elsewhere all the time keeps nobody from voting', async () => {
    wire = async (it) => {
      commits++
      return it()
    }
    for (const collection of [TOKIMEKI, RED_DWARF]) await cast(collection, [0])
    expect(records.size).toBe(2)
  })
})

describe('the server is told', () => {
  const path = (letter: string) => `at://${alice}/app.reddwarf.poll.vote.${letter}/${key}`
  const vote = (letter: string) => ({
    $type: `app.reddwarf.poll.vote.${letter}`,
    subject: { uri: pollOf(RED_DWARF), cid },
    createdAt,
  })
  const record = (letter: string) => write(path(letter).slice(`at://${alice}/`.length), vote(letter))

  test('of all that is to be written before it is', async () => {
    record('a')
    lose = true
    await cast(RED_DWARF, [1, 2]).catch(() => {})
    expect([...new Set(held)].toSorted()).toEqual(['a', 'b', 'c'].map(path))
  })

  test('of what a worker had written that could say so no more', async () => {
    record('a')
    record('c')
    await cast(RED_DWARF, [0, 2])
    const cast1 = { poll: pollOf(RED_DWARF), option: 0, options: [0, 2] }
    expect(announced).toEqual([
      [path('a'), cast1],
      [path('c'), cast1],
    ])
  })

  test('of what comes late', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    onTestFinished(() => void vi.useRealTimers())
    lose = true
    await expect(cast(RED_DWARF, [1, 2])).rejects.toThrow('fetch failed')
    // What a worker had sent that has ended since.
    record('a')
    while (announced.length === 0) await vi.advanceTimersByTimeAsync(100)
    expect(announced).toEqual([[path('a'), undefined]])
  })

  test('of what it had deleted', async () => {
    record('a')
    await index.refresh(alice)
    records.clear()
    await index.expire(alice)
    await cast(RED_DWARF, [])
    expect(announced).toEqual([[path('a'), { poll: pollOf(RED_DWARF), option: null }]])
  })
})

describe('the version that a vote names', () => {
  test('is read from the author’s PDS where the server does not say it', async () => {
    isKnown(TOKIMEKI)
    delete known!.cid
    await cast(TOKIMEKI, [0])
    expect(Object.values(stored())).toMatchObject([{ poll: { cid } }])
  })

  test.each([
    ['there is no such poll', async () => undefined, { name: 'noPoll' }],
    [
      'its author’s account is gone',
      () => Promise.reject(new XRPCError(400, 'RepoDeactivated', 'Repo has been deactivated')),
      { name: 'noPoll' },
    ],
    [
      'its author’s server is away',
      () => Promise.reject(new TypeError('fetch failed')),
      { name: 'authorUnreachable' },
    ],
  ])('is nobody’s to know: %s', async (_, answer, reason) => {
    readPoll = answer
    for (const collection of [TOKIMEKI, LEAFLET, RED_DWARF])
      expect(await cast(collection, [0]).catch(reasonOf)).toEqual(reason)
    expect(stored()).toEqual({})
    // A vote of ours names none, and what is taken back neither.
    await cast(families[0]!.poll, [0])
    await cast(TOKIMEKI, [])
    expect(records.size).toBe(1)
  })
})

describe('where another client has written several records for a poll', () => {
  const poll = (collection: string) => ({ uri: pollOf(collection), cid })
  const earlier = tid((AT - 2_000) * 1_000)
  const later = tid((AT - 1_000) * 1_000)
  const tokimeki = (optionIndex: number, at: number) => ({
    $type: 'tech.tokimeki.poll.vote',
    poll: poll(TOKIMEKI),
    optionIndex,
    createdAt: new Date(at).toISOString(),
  })
  const leaflet = (option: number) => ({
    $type: 'pub.leaflet.poll.vote',
    poll: poll(LEAFLET),
    option: [String(option)],
  })
  const redDwarf = (letter: string) => ({
    $type: `app.reddwarf.poll.vote.${letter}`,
    subject: poll(RED_DWARF),
    createdAt,
  })

  test('TOKIMEKI: the newest by its date is shown, changed, and goes with the others', async () => {
    // Whose key is the greater one is not asked.
    write(`tech.tokimeki.poll.vote/${earlier}`, tokimeki(1, AT - 500))
    write(`tech.tokimeki.poll.vote/${later}`, tokimeki(2, AT - 600))
    await index.refresh(alice)
    expect(await own(TOKIMEKI)).toEqual({ option: 1 })
    await cast(TOKIMEKI, [3])
    expect(stored()).toEqual({
      [`tech.tokimeki.poll.vote/${earlier}`]: tokimeki(3, AT),
      [`tech.tokimeki.poll.vote/${later}`]: tokimeki(2, AT - 600),
    })
    expect(await own(TOKIMEKI)).toEqual({ option: 3 })
    await cast(TOKIMEKI, [])
    expect(stored()).toEqual({})
    expect(await own(TOKIMEKI)).toEqual({ option: null })
  })

  test('TOKIMEKI: of two of the same time the one with the greater key', async () => {
    write(`tech.tokimeki.poll.vote/${later}`, tokimeki(2, AT - 500))
    write(`tech.tokimeki.poll.vote/${earlier}`, tokimeki(1, AT - 500))
    await index.refresh(alice)
    expect(await own(TOKIMEKI)).toEqual({ option: 2 })
  })

  test('Leaflet: the one with the newest key', async () => {
    write(`pub.leaflet.poll.vote/${later}`, leaflet(1))
    write(`pub.leaflet.poll.vote/${earlier}`, leaflet(0))
    await index.refresh(alice)
    expect(await own(LEAFLET)).toEqual({ option: 1 })
    await cast(LEAFLET, [0])
    expect(stored()).toEqual({
      [`pub.leaflet.poll.vote/${later}`]: leaflet(0),
      [`pub.leaflet.poll.vote/${earlier}`]: leaflet(0),
    })
    await cast(LEAFLET, [])
    expect(stored()).toEqual({})
  })

  test('Red Dwarf: one option’s records are one choice, and go together', async () => {
    const vote = (letter: string, key: string) => `app.reddwarf.poll.vote.${letter}/${key}`
    for (const key of [earlier, later]) write(vote('a', key), redDwarf('a'))
    write(vote('c', earlier), redDwarf('c'))
    await index.refresh(alice)
    expect(await own(RED_DWARF)).toEqual({ option: 0, options: [0, 2] })
    await cast(RED_DWARF, [2, 3])
    expect(stored()).toEqual({
      [vote('c', earlier)]: redDwarf('c'),
      [vote('d', key)]: redDwarf('d'),
    })
    write(vote('d', earlier), redDwarf('d'))
    await index.expire(alice)
    await cast(RED_DWARF, [])
    expect(stored()).toEqual({})
    // The server is told of each.
    expect(
      announced
        .slice(-3)
        .map(([uri]) => uri.slice(`at://${alice}/`.length))
        .toSorted(),
    ).toEqual([vote('c', earlier), vote('d', earlier), vote('d', key)])
  })
})
