import 'fake-indexeddb/auto'
import { parseAtUri } from '@pollz/shared/at-uri'
import { home } from '@pollz/shared/families'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { cidOf } from '../test/cid.ts'
import { voteRecord } from '../test/vote-record.ts'
import type { Repos } from './repos.ts'
import { openServerDb, type ServerDb } from './storage.ts'
import { VoteIndex, usualVote } from './vote-index.ts'

const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
const bob = 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb'
const poll = `at://${bob}/${home.poll}/3kabc`
const otherPoll = `at://${bob}/${home.poll}/3kxyz`
const uriOf = (rkey: string) => `at://${did}/${home.vote}/${rkey}`
const usual = usualVote(did, poll)!
const createdAt = '2026-11-25T00:00:00.000Z'

type Listed = { uri: string; cid: string; value: unknown }
const record = (rkey: string, option: number, at = createdAt, subject = poll): Listed => {
  const value = voteRecord({ subject, option, createdAt: at })
  return { uri: uriOf(rkey), cid: cidOf(value), value }
}
const vote = (option: number) => ({ did, poll, option, createdAt, cid: String(option) })
const pause = () => new Promise((resolve) => setImmediate(resolve))

let records: Listed[]
/** Requests that are on their way; none: they are answered at once. */
let answers: (() => void)[] | undefined
/** Why requests fail. */
let away: Error | undefined
/** Records that fit on a page. */
let pageSize: number
/** Requests for pages of votes, and for single records. */
let lists: number
let reads: string[]
let db: ServerDb
let index: VoteIndex
/** As the next worker has it. */
let nextIndex: VoteIndex
let servers = 0

beforeEach(async () => {
  records = []
  answers = undefined
  away = undefined
  pageSize = 100
  lists = 0
  reads = []
  db = await openServerDb(`https://index-${servers++}.test`)
  await db.put('sessions', {} as never, did)
  onTestFinished(() => db.close())
  const arrive = async () => {
    if (away) throw away
    if (answers) await new Promise<void>((resolve) => answers!.push(resolve))
  }
  const repos = {
    collections: async () => [home.vote],
    list: async (_: string, collection: string, { cursor = '0' }: { cursor?: string }) => {
      if (collection !== home.vote) return { records: [] }
      lists++
      const found = records.slice(Number(cursor), Number(cursor) + pageSize)
      const end = Number(cursor) + pageSize
      const more = end < records.length
      await arrive()
      return { records: found, ...(more ? { cursor: String(end) } : {}) }
    },
    read: async (uri: string) => {
      reads.push(uri)
      const found = records.find((it) => it.uri === uri)
      await arrive()
      return found
    },
  } as unknown as Repos
  index = new VoteIndex(Promise.resolve(db), repos)
  nextIndex = new VoteIndex(Promise.resolve(db), repos)
})

const answer = (n: number) => vi.waitUntil(() => answers?.[n], { interval: 1 }).then((it) => it())
const options = async () => (await index.votesFor(did, poll)).map(({ option }) => option)

test('the vote that counts is first: the newest, of one time that of the greater key', async () => {
  records = [
    record('b', 1),
    record('a', 0),
    record('c', 2, '2026-11-24T00:00:00.000Z'),
    record('d', 3, '2026-11-25T01:00:00+02:00'),
  ]
  await index.refresh(did)
  expect(await options()).toEqual([1, 0, 3, 2])
  records = []
  await index.refresh(did, 0)
  expect(await options()).toEqual([])
})

test('a list that was begun before a write does not undo it', async () => {
  records = [record('a', 0), record('b', 0, '2026-11-24T00:00:00.000Z')]
  answers = []
  const listing = index.refresh(did)
  await vi.waitUntil(() => answers!.length === 1, { interval: 1 })
  await index.put(uriOf('a'), vote(1))
  await index.delete(uriOf('b'))
  await answer(0)
  await listing
  expect(await options()).toEqual([1])
})

test('who asks for a newer list than the one on its way gets it, together with others', async () => {
  answers = []
  const first = index.refresh(did)
  await vi.waitUntil(() => answers!.length === 1, { interval: 1 })
  const joined = index.refresh(did)
  records = [record('a', 1)]
  const newer = [index.refresh(did, 0), index.refresh(did, 0)]
  await answer(0)
  await Promise.all([first, joined])
  expect(await options()).toEqual([])
  await answer(1)
  await Promise.all(newer)
  expect(await options()).toEqual([1])
  expect(lists).toBe(2)
})

test('what is known stands when it is too old, and is listed again', async () => {
  records = [record('a', 1)]
  await index.refresh(did)
  await index.refresh(did)
  expect(lists).toBe(1)
  await index.expire(did)
  expect(await options()).toEqual([1])
  // One that was on its way then is too old as well.
  answers = []
  const listing = index.refresh(did)
  await vi.waitUntil(() => answers!.length === 1, { interval: 1 })
  await index.expire(did)
  await answer(0)
  await listing
  answers = undefined
  await index.refresh(did)
  expect(lists).toBe(3)
})

test('a list of the future, by a clock that has stepped back, is not new', async () => {
  await index.refresh(did)
  const later = Date.now() + 3_600_000
  await db.put('listed', { at: later, tried: later, pause: 0, complete: true }, did)
  await index.refresh(did)
  expect(lists).toBe(2)
})

test('a PDS that does not answer is asked again, and what it says late is nothing', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  onTestFinished(() => void vi.useRealTimers())
  records = [record('a', 0)]
  answers = []
  const failed = index.refresh(did).catch(String)
  while (answers.length === 0) await pause()
  vi.advanceTimersByTime(8_000)
  expect(await failed).toContain('too long')
  const late = answers[0]!
  answers = undefined
  records = [record('a', 1)]
  // Nor is it asked all the time.
  await vi.waitUntil(() => index.refresh(did).catch(() => true), { interval: 1 })
  expect(lists).toBe(1)
  vi.advanceTimersByTime(10_000)
  await index.refresh(did)
  late()
  for (let i = 0; i < 10; i++) await pause()
  expect(await options()).toEqual([1])
})

test('a PDS that is away is asked once, by however many polls and workers', async () => {
  away = new TypeError('fetch failed')
  for (let i = 0; i < 3; i++) await expect(index.refresh(did)).rejects.toThrow('fetch failed')
  await expect(nextIndex.refresh(did)).rejects.toThrow('a moment ago')
  expect(lists).toBe(1)
})

describe('of a repo with many votes', () => {
  const many = (n: number) =>
    Array.from({ length: n }, (_, i) => record(`z${String(i).padStart(6, '0')}`, 0, createdAt, otherPoll))

  test('nothing that is missing is deleted, unless all of it was listed', async () => {
    pageSize = 1
    records = [...many(1_000), record('last', 0)]
    await index.put(uriOf('last'), vote(1))
    await index.refresh(did)
    expect(lists).toBe(1_000)
    expect(await options()).toEqual([1])
    expect(await index.own(did, otherPoll)).toEqual({ option: 0 })
  })

  test('what was not listed is not known, but read where it should be', async () => {
    pageSize = 1
    records = [...many(1_000), record(parseAtUri(usual)!.rkey, 1)]
    await index.refresh(did)
    expect(await index.own(did, poll)).toBeUndefined()
    await index.look(did, poll)
    expect(await index.own(did, poll)).toEqual({ option: 1 })
    records = records.slice(0, -1)
    await index.look(did, poll, 0)
    expect(await index.own(did, poll)).toEqual({ option: null })
    expect(lists).toBe(1_000)
    expect(reads).toEqual([usual, usual])
  })

  test('a list goes on when nobody waits for it any more, and there is only one', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    pageSize = 1
    records = [record('b', 2), ...many(4)]
    answers = []
    const first = index.refresh(did).catch(String)
    while (answers.length < 1) await pause()
    const second = index.refresh(did).catch(String)
    await pause()
    vi.advanceTimersByTime(3_000)
    expect(await first).toContain('too long')
    while ((await Promise.race([second, pause()])) === undefined) vi.advanceTimersByTime(1_000)
    const listing = index.refresh(did)
    for (let i = 0; i < 5; i++) {
      while (answers.length <= i) await pause()
      answers[i]!()
    }
    await listing
    expect(await options()).toEqual([2])
    expect(lists).toBe(5)
  })

  test('the next list waits the longer, the more the last one has cost; single votes do not', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    pageSize = 1
    records = many(50)
    await index.refresh(did)
    records.push(record(parseAtUri(usual)!.rkey, 1))
    vi.setSystemTime(Date.now() + 60 * 60_000)
    await nextIndex.look(did, poll)
    await nextIndex.look(did, poll)
    expect(await nextIndex.own(did, poll)).toEqual({ option: 1 })
    expect([lists, reads]).toEqual([50, [usual]])
    vi.setSystemTime(Date.now() + 60 * 60_000)
    await nextIndex.look(did, poll)
    expect(lists).toBe(101)
  })

  test('a write of which nobody knows how it went does not list them again, nor is the PDS away then', async () => {
    pageSize = 1
    records = [record('a', 1), ...many(50)]
    await index.refresh(did)
    await index.expire(did)
    await index.refresh(did)
    expect(await options()).toEqual([1])
    records = records.slice(1)
    await index.look(did, poll)
    expect(await options()).toEqual([])
    expect(lists).toBe(51)
  })

  test('a list that ended with its worker has cost something, too', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    pageSize = 1
    records = many(50)
    answers = []
    const ended = index.refresh(did).catch(() => {})
    for (let i = 0; i < 20; i++) await answer(i)
    await vi.waitUntil(() => lists === 21, { interval: 1 })
    answers = undefined
    vi.setSystemTime(Date.now() + 60_000)
    await nextIndex.refresh(did)
    expect(lists).toBe(21)
    await index.forget(did)
    await ended
  })

  test('only those for one poll are read to tell its own', async () => {
    records = [...many(50), record('a', 1)]
    await index.refresh(did)
    const read = vi.spyOn(IDBIndex.prototype, 'getAll')
    onTestFinished(() => read.mockRestore())
    expect(await options()).toEqual([1])
    expect(read.mock.results.map(({ value }) => (value as IDBRequest<unknown[]>).result.length)).toEqual([1])
  })
})

test('a record that was read before a write does not undo it', async () => {
  records = [{ ...record('a', 0), uri: usual }]
  answers = []
  const reading = index.read(usual)
  await vi.waitUntil(() => answers!.length === 1, { interval: 1 })
  await index.put(usual, vote(1))
  await answer(0)
  await reading
  expect(await options()).toEqual([1])
})

describe('of accounts that are not signed in here', () => {
  beforeEach(() => db.delete('sessions', did))

  test('votes are known, and nothing is stored', async () => {
    records = [record('a', 1)]
    await index.refresh(did)
    await index.refresh(did)
    expect(await options()).toEqual([1])
    expect(lists).toBe(1)
    await index.look(did, otherPoll)
    expect(await index.own(did, otherPoll)).toEqual({ option: null })
    expect([await db.count('votes'), await db.count('listed')]).toEqual([0, 0])
    // Who signs in then is known already.
    await db.put('sessions', {} as never, did)
    expect(await options()).toEqual([1])
    expect(await db.count('votes')).toBe(1)
  })

  test('only a few are known at a time', async () => {
    records = [record('a', 1)]
    await index.refresh(did)
    for (const other of ['c', 'd', 'e']) await index.refresh(`did:plc:${other}`)
    expect(await options()).toEqual([])
  })

  test('what a session that ended elsewhere has left is deleted', async () => {
    await db.put('sessions', {} as never, did)
    records = [record('a', 1)]
    await index.refresh(did)
    await db.delete('sessions', did)
    await index.refresh(did)
    expect(await options()).toEqual([1])
    expect([await db.count('votes'), await db.count('listed')]).toEqual([0, 0])
  })
})

test('whoever signs out while their votes are listed leaves nothing behind', async () => {
  records = [record('a', 1)]
  await index.refresh(did)
  answers = []
  const failed = index.refresh(did, 0).catch(String)
  await vi.waitUntil(() => answers!.length === 1, { interval: 1 })
  await index.forget(did)
  await answer(0)
  expect(await failed).toContain('forgotten')
  expect(await db.count('votes')).toBe(0)
  expect(await db.count('listed')).toBe(0)
})

test('nor does whoever signs out while a vote of theirs is read', async () => {
  await index.refresh(did)
  records = [{ ...record('a', 1), uri: usual }]
  answers = []
  const reading = index.read(usual)
  await vi.waitUntil(() => answers!.length === 1, { interval: 1 })
  await db.delete('sessions', did)
  await index.forget(did)
  await answer(0)
  await reading
  expect(await index.all(did)).toEqual([])
  expect([await db.count('votes'), await db.count('listed')]).toEqual([0, 0])
})
