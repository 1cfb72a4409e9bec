import 'fake-indexeddb/auto'
import type { ToPage } from '@pollz/shared/engine'
import type { PollView } from '@pollz/shared/wire'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Api } from './api.ts'
import type { Live } from './live.ts'
import { Outbox } from './outbox.ts'
import { Pages } from './pages.ts'
import { openServerDb, type ServerDb } from './storage.ts'

const poll = 'at://did:plc:b/tech.waow.poll/3kabc'
const byHandle = 'at://bob.test/tech.waow.poll/3kabc'
const vote = 'at://did:plc:a/tech.waow.vote/3kabc'
const view = (version: number) => ({ uri: poll, version }) as PollView

type Answer = PollView | 'none' | 'away'
let asked: { uri: string; answer: (answer: Answer) => void }[]
let told: ToPage[]
let outbox: Outbox
/** As the next worker has it. */
let another: () => Outbox
let db: ServerDb
let servers = 0

beforeEach(async () => {
  asked = []
  told = []
  db = await openServerDb(`https://outbox-${servers++}.test`)
  const stop = new AbortController()
  onTestFinished(() => {
    stop.abort()
    db.close()
  })
  const pages = new Pages()
  const port = { postMessage: (it: ToPage) => void told.push(it) }
  pages.add(port, 1)
  pages.shown(port).add(byHandle).add('at://did:plc:b/tech.waow.poll/3kxyz')
  const api = {
    announce: (_: string, uri: string) => new Promise<Answer>((answer) => asked.push({ uri, answer })),
  } as unknown as Api
  const live = {
    update: () => {},
    known: (uri: string) => (uri === byHandle ? view(0) : undefined),
  } as unknown as Live
  another = () => new Outbox({ api, live, pages, db: Promise.resolve(db) }, stop.signal)
  outbox = another()
})

const request = (n: number) => vi.waitUntil(() => asked[n], { interval: 1 })
const isEmpty = () => vi.waitUntil(async () => (await db.count('announcements')) === 0, { interval: 1 })

test('pages hear of a vote that was counted, and since which version', async () => {
  await outbox.add('votes', vote, { poll, option: 1 })
  ;(await request(0)).answer(view(7))
  await vi.waitUntil(() => told.length > 0, { interval: 1 })
  expect(told).toEqual([{ type: 'counted', uri: byHandle, voter: 'did:plc:a', option: 1, version: 7 }])
  await isEmpty()
})

test('of a vote that was changed meanwhile they hear when the change is counted', async () => {
  await outbox.add('votes', vote, { poll, option: 1 })
  const first = await request(0)
  await outbox.add('votes', vote, { poll, option: null })
  first.answer(view(7))
  ;(await request(1)).answer('none')
  await vi.waitUntil(() => told.length > 0, { interval: 1 })
  expect(told).toMatchObject([{ type: 'counted', option: null, version: 0 }])
  await isEmpty()
})

test('of what is being written it is told when that has ended, however, or by the next worker', async () => {
  const [written, failed] = [vote, 'at://did:plc:a/tech.waow.vote/3kxyz']
  await outbox.hold('votes', [written, failed])
  await outbox.flush()
  expect(asked).toEqual([])
  await outbox.add('votes', written, { poll, option: 1 })
  ;(await request(0)).answer(view(1))
  await vi.waitUntil(() => told.length > 0, { interval: 1 })
  outbox.release([written, failed])
  ;(await request(1)).answer('none')
  await isEmpty()
  expect(asked.map(({ uri }) => uri)).toEqual([written, failed])
  await outbox.hold('votes', [written])
  void another().flush()
  expect((await request(2)).uri).toBe(written)
})

test('what the server can’t read holds up nothing else', async () => {
  const theirs = 'at://did:plc:c/tech.waow.vote/3kabc'
  await outbox.add('votes', vote, { poll, option: 1 })
  ;(await request(0)).answer('away')
  await outbox.add('votes', theirs, { poll, option: 0 })
  ;(await request(1)).answer(view(1))
  await vi.waitUntil(async () => (await db.count('announcements')) === 1, { interval: 1 })
  expect(asked.map(({ uri }) => uri)).toEqual([vote, theirs])
  // With the next connection it is tried again, and so it is when it changes.
  void outbox.retry()
  ;(await request(2)).answer('away')
  await outbox.add('votes', vote, { poll, option: null })
  ;(await request(3)).answer('none')
  await isEmpty()
  expect(asked.map(({ uri }) => uri)).toEqual([vote, theirs, vote, vote])
})

test('where the server is away it is told later', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const until = async (n: number) => {
    while (asked.length < n) await new Promise((resolve) => setImmediate(resolve))
    return asked[n - 1]!
  }
  await outbox.add('polls', poll)
  ;(await until(1)).answer('away')
  while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve))
  vi.advanceTimersByTime(5_000)
  ;(await until(2)).answer(view(1))
  while ((await db.count('announcements')) > 0) await new Promise((resolve) => setImmediate(resolve))
  expect(told).toEqual([])
})
