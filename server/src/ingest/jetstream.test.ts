/** The listening side of Jetstream, against a stand-in: what it makes of messages, and of instances that fail. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { collections, home } from '@pollz/shared/families'
import { JetstreamStandIn, commitMessage } from '../../test/jetstream-standin.ts'
import { createLog } from '../log.ts'
import { Hints, type HintsOptions } from './hints.ts'
import { Jetstream, readJetstream, type JetstreamOptions } from './jetstream.ts'
import type { RepoError } from './repos.ts'

const log = createLog('error')
const bob = 'did:plc:bob'
const collection = 'tech.tokimeki.poll.vote'
const rkey = '3kaaaaaaaaaa2'
const commit = { did: bob, collection, rkey }

let stop: AbortController
let jetstreams: JetstreamStandIn[]

beforeEach(() => {
  stop = new AbortController()
  jetstreams = []
})

afterEach(async () => {
  vi.useRealTimers()
  stop.abort()
  await Promise.all(jetstreams.map((it) => it.close()))
})

async function standIn(options?: { silent: boolean }): Promise<JetstreamStandIn> {
  const jetstream = await JetstreamStandIn.listen(options)
  jetstreams.push(jetstream)
  return jetstream
}

const absent = (uri: string) => {
  const [, , did, of, key] = uri.split('/') as [string, string, string, string, string]
  const change = { type: 'vote' as const, did, collection: of, rkey: key, rev: '3kaaaaaaaaaa2', vote: null }
  return { ok: true as const, value: { ...change, onlyIfHeld: true } }
}

const stored = { ok: true as const, value: undefined }

/** Hints of accounts that are on a host of their own each; nobody is tracked, and no record is there. */
function makeHints(more: Partial<HintsOptions> = {}): { hints: Hints; reads: string[] } {
  const reads: string[] = []
  const hints = new Hints({
    tracked: async () => new Set(),
    read: async (uri) => {
      reads.push(uri)
      return absent(uri)
    },
    hostOf: async (did) => ({ ok: true, value: did }),
    store: async () => stored,
    onRead: () => {},
    log,
    signal: stop.signal,
    ...more,
  })
  return { hints, reads }
}

function listen(more: Partial<JetstreamOptions> & { hints: Hints }): Jetstream {
  const jetstream = new Jetstream({
    urls: jetstreams.map(({ url }) => url),
    cursor: undefined,
    since: undefined,
    remember: async () => true,
    deletes: false,
    log,
    signal: stop.signal,
    ...more,
  })
  void jetstream.run()
  return jetstream
}

test('a commit that writes a record of a family is a hint; whatever else it says is not read', () => {
  expect(readJetstream(commitMessage({ ...commit, time: 7 }))).toEqual({
    time: 7,
    hint: { ...commit, time: 7 },
  })
  expect(readJetstream(commitMessage({ ...commit, operation: 'update', record: null }))?.hint).toBeDefined()
  expect(readJetstream(commitMessage({ ...commit, collection: home.vote }))?.hint).toBeDefined()
  // Where no tap tells of deletes, these do.
  expect(readJetstream(commitMessage({ ...commit, operation: 'delete' }), true)?.hint).toBeDefined()
})

test.each([
  ['a delete', commitMessage({ ...commit, operation: 'delete' })],
  ['an operation that nobody knows', commitMessage({ ...commit, operation: 'merge' })],
  ['another collection', commitMessage({ ...commit, collection: 'app.bsky.feed.post' })],
  ['a DID that is none', commitMessage({ ...commit, did: 'bob.test' })],
  ['a record key that is none', commitMessage({ ...commit, rkey: '../x' })],
  ['an identity', '{"did":"did:plc:bob","time_us":7,"kind":"identity","identity":{"handle":"bob.test"}}'],
  ['a kind that nobody knows', '{"did":"did:plc:bob","time_us":7,"kind":"label"}'],
])('%s is no hint, but a sign of life', (_, text) => {
  expect(readJetstream(text)).toEqual({ time: expect.any(Number) })
})

test.each([
  ['nothing', ''],
  ['no JSON', '{"did":'],
  ['an array', '[]'],
  ['null', 'null'],
  ['no time', '{"did":"did:plc:bob","kind":"commit"}'],
  ['a time that is no number', '{"did":"did:plc:bob","time_us":"7","kind":"identity"}'],
  ['a time before all', '{"did":"did:plc:bob","time_us":-7,"kind":"identity"}'],
  ['a time that no number holds', '{"did":"did:plc:bob","time_us":1e300,"kind":"identity"}'],
  ['a commit that is a text', '{"did":"did:plc:bob","time_us":7,"kind":"commit","commit":"create"}'],
  ['what is nested without end', '['.repeat(60_000)],
  ['what is larger than any poll', commitMessage({ ...commit, record: 'x'.repeat(64 * 1024) })],
])('%s is no message', (_, text) => {
  expect(readJetstream(text)).toBeUndefined()
})

test('it asks for all collections, and a hint is read', async () => {
  const jetstream = await standIn()
  const { hints, reads } = makeHints()
  const began = Date.now() * 1000
  listen({ hints })
  await vi.waitUntil(() => jetstream.connected)
  expect(jetstream.asked[0]!.getAll('wantedCollections')).toEqual(collections)
  // What is told between the start and the connection is not left out.
  const cursor = Number(jetstream.asked[0]!.get('cursor'))
  expect(cursor).toBeGreaterThan(began - 10_000_000)
  expect(cursor).toBeLessThan(began + 1_000_000)
  jetstream.send('{', commitMessage(commit), '[]')
  await vi.waitUntil(() => reads.length === 1)
  expect(reads).toEqual([`at://${bob}/${collection}/${rkey}`])
})

test('what is no message is passed over, and the connection goes on', async () => {
  const jetstream = await standIn()
  const { hints, reads } = makeHints()
  listen({ hints })
  await vi.waitUntil(() => jetstream.connected)
  jetstream.send(
    '',
    '\0',
    Buffer.from([0xff, 0xfe, 0x28, 0xb5, 0x2f, 0xfd]),
    JSON.stringify({ did: bob, time_us: 7, kind: 'commit', commit: { x: 'x'.repeat(1_000_000) } }),
    commitMessage({ ...commit, did: 'did:plc:../../etc' }),
    commitMessage({ ...commit, did: `did:plc:${'a'.repeat(3_000)}` }),
    JSON.stringify({ did: bob, time_us: 7, kind: 'label', commit: { collection, rkey } }),
    commitMessage(commit),
  )
  await vi.waitUntil(() => reads.length > 0)
  expect(reads).toEqual([`at://${bob}/${collection}/${rkey}`])
  expect(jetstream.asked).toHaveLength(1)
})

test('after a close it goes on with the same instance where there is one, a little before where it was', async () => {
  const only = await standIn()
  const { hints, reads } = makeHints()
  listen({ hints })
  await vi.waitUntil(() => only.connected)
  const time = Date.now() * 1000
  only.send(commitMessage({ ...commit, time }))
  await vi.waitUntil(() => reads.length === 1)
  only.disconnect()
  await vi.waitUntil(() => only.asked.length === 2)
  expect(only.asked[1]!.get('cursor')).toBe(String(time - 5_000_000))
})

test('after a close it goes on with the next instance, a little before where it was', async () => {
  const first = await standIn()
  const second = await standIn()
  const { hints, reads } = makeHints()
  listen({ hints })
  await vi.waitUntil(() => first.connected)
  const time = Date.now() * 1000
  first.send(commitMessage({ ...commit, time }))
  await vi.waitUntil(() => reads.length === 1)
  first.disconnect()
  await vi.waitUntil(() => second.connected)
  expect(second.asked[0]!.get('cursor')).toBe(String(time - 5_000_000))
})

test('one that is away is passed over, one that answers nothing is left, and so is one that says nothing', async () => {
  const silent = await standIn({ silent: true })
  const mute = await standIn()
  const good = await standIn()
  const { hints } = makeHints()
  listen({
    hints,
    urls: ['ws://127.0.0.1:9', silent.url, mute.url, good.url],
    silence: 200,
    stuck: 600,
  })
  await vi.waitUntil(() => good.connected, 10_000)
  expect(silent.asked).toHaveLength(1)
  expect(mute.asked).toHaveLength(1)
})

test('where it was is remembered: never ahead of this clock, nor of a hint that waits', async () => {
  const jetstream = await standIn()
  const remembered: number[] = []
  let answer = () => {}
  const answered = new Promise<void>((resolve) => (answer = resolve))
  const { hints, reads } = makeHints({
    read: async (uri) => {
      reads.push(uri)
      await answered
      return absent(uri)
    },
  })
  const listening = listen({
    hints,
    cursor: 5,
    remember: async (name, time) => {
      if (name === 'cursor') remembered.push(time)
      return true
    },
    rememberEvery: 10,
  })
  await vi.waitUntil(() => jetstream.connected)
  expect(jetstream.asked[0]!.get('cursor')).toBe('0')
  const time = (Date.now() - 1000) * 1000
  jetstream.send(
    commitMessage({ ...commit, time }),
    commitMessage({ ...commit, did: 'did:plc:carol', time: Date.UTC(2200, 0) * 1000 }),
  )
  await vi.waitUntil(() => reads.length === 2)
  await vi.waitUntil(() => remembered.length > 0)
  expect(remembered).toEqual([time])
  answer()
  await vi.waitUntil(() => remembered.length > 1)
  expect(remembered[1]).toBeGreaterThanOrEqual(time)
  expect(remembered[1]).toBeLessThanOrEqual(Date.now() * 1000)
  expect(listening.until).toBe(remembered.at(-1))
})

test('a flood of made-up accounts is read few at a time, and the rest is left with Jetstream', async () => {
  const jetstream = await standIn()
  let running = 0
  let most = 0
  const waiting: (() => void)[] = []
  const { hints, reads } = makeHints({
    read: async (uri) => {
      reads.push(uri)
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => waiting.push(resolve))
      running--
      return { ok: false, error: 'RepoNotFound', message: 'nobody' }
    },
  })
  listen({ hints })
  await vi.waitUntil(() => jetstream.connected)
  // Far more than the sockets on the way hold.
  const flood = Array.from({ length: 13_000 }, (_, i) =>
    commitMessage({ ...commit, did: `did:plc:${i}`, record: 'x'.repeat(4_000) }),
  )
  jetstream.send(...flood)
  await vi.waitUntil(() => hints.full, 20_000)
  await vi.waitUntil(() => jetstream.buffered > 0)
  expect(hints.size).toBeLessThan(12_000)
  const end = setInterval(() => {
    for (const resolve of waiting.splice(0)) resolve()
  }, 0)
  await vi.waitUntil(() => hints.size === 0 && jetstream.buffered === 0, 60_000)
  await vi.waitUntil(() => reads.length === flood.length, 60_000)
  clearInterval(end)
  expect(most).toBeLessThanOrEqual(32)
})

test('of one account one record is read at a time; of somebody who is tracked meanwhile none', async () => {
  const tracked = new Set<string>()
  const waiting: (() => void)[] = []
  const { hints, reads } = makeHints({
    tracked: async (dids) => new Set(dids.filter((did) => tracked.has(did))),
    read: async (uri) => {
      reads.push(uri)
      await new Promise<void>((resolve) => waiting.push(resolve))
      tracked.add(bob)
      const { value } = absent(uri)
      return { ok: true, value: { ...value, onlyIfHeld: false } }
    },
  })
  for (let i = 0; i < 1000; i++) hints.add({ did: bob, collection, rkey: `${i}`, time: i })
  await vi.waitUntil(() => waiting.length === 1)
  hints.add({ did: 'did:plc:carol', collection, rkey: '1', time: 1 })
  await vi.waitUntil(() => waiting.length === 2)
  while (hints.size > 0) {
    for (const resolve of waiting.splice(0)) resolve()
    await new Promise(setImmediate)
  }
  const ofBob = reads.filter((uri) => uri.includes(bob))
  expect(ofBob.length).toBeLessThanOrEqual(11)
  hints.add({ did: bob, collection, rkey: 'x', time: 1 })
  await vi.waitUntil(() => hints.size === 0)
  expect(reads.filter((uri) => uri.includes(bob))).toEqual(ofBob)
})

test('whose server did not answer is read again, who is not there is not', async () => {
  const errors: RepoError[] = ['InvalidProof', 'UpstreamFailure', 'RepoNotFound']
  const { hints, reads } = makeHints({
    again: [1, 1, 1],
    read: async (uri) => {
      reads.push(uri)
      return { ok: false, error: errors.shift()!, message: 'not now' }
    },
  })
  hints.add({ did: bob, collection, rkey: '1', time: 1 })
  await vi.waitUntil(() => errors.length === 0)
  await vi.waitUntil(() => hints.size === 0)
  expect(reads).toHaveLength(3)
  expect(hints.oldest).toBeUndefined()
})

test('what was proved is stored once the database answers, and not read anew for it', async () => {
  let stores = 0
  let answers = false
  const { hints, reads } = makeHints({
    pause: 1,
    store: async () => {
      stores++
      return answers ? stored : { ok: false, error: 'StoreFailure', message: 'away' }
    },
  })
  for (let i = 0; i < 8; i++) hints.add({ did: `did:plc:${i}`, collection, rkey, time: 1 })
  await vi.waitUntil(() => stores >= 32)
  expect(hints.size).toBe(8)
  answers = true
  await vi.waitUntil(() => hints.size === 0)
  expect(reads).toHaveLength(8)
})

test.each([
  ['hang', 10_000, 1],
  ['take nearly as long as they may, each for ten records', 9_900, 10],
])('accounts on hosts that %s delay nobody on another by more than seconds', async (_, ms, records) => {
  vi.useFakeTimers()
  const began = Date.now()
  let late: number | undefined
  let running = 0
  let most = 0
  const { hints } = makeHints({
    hostOf: async (did) => ({ ok: true, value: /evil\d/.exec(did)?.[0] ?? 'honest' }),
    read: async (uri) => {
      if (uri.includes(bob)) late ??= Date.now() - began
      else {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, ms))
        running--
        if (records === 1) return { ok: false, error: 'UpstreamFailure', message: 'took too long' }
      }
      return absent(uri)
    },
  })
  // Three hosts, and thousands of accounts on them.
  for (let i = 0; i < 3000; i++)
    for (let n = 0; n < records; n++)
      hints.add({ did: `did:plc:evil${i % 3}x${i}`, collection, rkey: `${n}`, time: 1 })
  hints.add({ did: bob, collection, rkey, time: 2 })
  await vi.advanceTimersByTimeAsync(9_000)
  expect(late).toBeDefined()
  expect(most).toBeLessThanOrEqual(24)
  // The cursor does not wait for them for long.
  await vi.advanceTimersByTimeAsync(120_000)
  expect(hints.oldest).toBeUndefined()
})

test('waiting hints are bounded by their bytes', () => {
  const { hints } = makeHints({ tracked: () => new Promise(() => {}) })
  let names = 0
  for (let n = 0; !hints.full; n++) {
    const did = `did:web:${String(n).padStart(2000, 'a')}`
    for (let k = 0; k < 10; k++) {
      const key = String(k).padStart(500, 'b')
      hints.add({ did, collection, rkey: key, time: 1 })
      names += key.length
    }
    names += did.length
  }
  expect(names).toBeLessThan(10_000_000)
})

test('from when on nothing was left out: a gap is what no instance keeps any more', async () => {
  const now = Date.now() * 1000
  const hour = 3_600_000_000
  const since = now - 100 * hour
  const first = await standIn()
  const { hints } = makeHints()
  const short = listen({ hints, cursor: now - hour, since })
  await vi.waitUntil(() => short.connected)
  expect(short.since).toBe(since)
  expect(short.until).toBe(now - hour)
  const long = listen({ hints, cursor: now - 40 * hour, since })
  await vi.waitUntil(() => long.connected)
  expect(long.since).toBeGreaterThan(now - 36 * hour)
  // What it has is older than a moment until it has told what it kept.
  expect(long.until).toBe(now - 40 * hour)
  first.send(commitMessage({ ...commit, collection: 'app.bsky.feed.post', time: now - 20 * hour }))
  await vi.waitUntil(() => long.until === now - 20 * hour)
})

test('an instance that opens connections and closes them, or says nothing, tells nothing', async () => {
  const only = await standIn()
  const { hints } = makeHints()
  const listening = listen({ hints })
  await vi.waitUntil(() => listening.connected)
  expect(listening.until).toBeUndefined()
  only.disconnect()
  await vi.waitUntil(() => only.asked.length === 2)
  expect(listening.until).toBeUndefined()
})

test('an address that is none is left for the next, and ends nothing', async () => {
  const good = await standIn()
  const { hints } = makeHints()
  const listening = listen({ hints, urls: ['ws://127.0.0.1/#x', good.url] })
  await vi.waitUntil(() => listening.connected)
  expect(good.asked).toHaveLength(1)
})
