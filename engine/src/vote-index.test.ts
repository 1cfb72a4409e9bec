import 'fake-indexeddb/auto'
import { home } from '@pollz/shared/families'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Repos } from './repos.ts'
import { openServerDb, type ServerDb } from './storage.ts'
import { VoteIndex } from './vote-index.ts'

const did = 'did:plc:a'
const poll = 'at://did:plc:b/tech.waow.poll/3kabc'
const uriOf = (rkey: string) => `at://${did}/${home.vote}/${rkey}`
const createdAt = '2026-11-25T00:00:00.000Z'

type Listed = { uri: string; cid: string; value: unknown }
const record = (rkey: string, option: number, at = createdAt): Listed => ({
  uri: uriOf(rkey),
  cid: `${rkey} ${option}`,
  value: home.writeVote({ subject: poll, option, createdAt: at }),
})
const vote = (option: number) => ({ did, poll, option, createdAt, cid: String(option) })

let records: Listed[]
/** Lists that are on their way; none: they are answered at once. */
let answers: (() => void)[] | undefined
let lists: number
let db: ServerDb
let index: VoteIndex
let servers = 0

beforeEach(async () => {
  records = []
  answers = undefined
  lists = 0
  db = await openServerDb(`https://index-${servers++}.test`)
  onTestFinished(() => db.close())
  const list = async (_: string, collection: string) => {
    if (collection !== home.vote) return { records: [] }
    lists++
    const found = records
    if (answers) await new Promise<void>((resolve) => answers!.push(resolve))
    return { records: found }
  }
  index = new VoteIndex(Promise.resolve(db), { list } as unknown as Repos)
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
  expect(await index.isListed(did)).toBe(true)
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
  await db.put('listed', Date.now() + 3_600_000, did)
  await index.refresh(did)
  expect(lists).toBe(2)
})

test('a PDS that does not answer is asked again, and what it says late is nothing', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const pause = () => new Promise((resolve) => setImmediate(resolve))
  records = [record('a', 0)]
  answers = []
  const failed = index.refresh(did).catch(String)
  while (answers.length === 0) await pause()
  vi.advanceTimersByTime(8_000)
  expect(await failed).toContain('too long')
  const late = answers[0]!
  answers = undefined
  records = [record('a', 1)]
  await index.refresh(did)
  late()
  for (let i = 0; i < 10; i++) await pause()
  expect(await options()).toEqual([1])
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
  expect(await index.isListed(did)).toBe(false)
})
