import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TapStandIn } from '../../test/tap-standin.ts'
import { createLog } from '../log.ts'
import { TapConsumer } from './tap.ts'

let tap: TapStandIn
let stop: AbortController

beforeEach(async () => {
  tap = await TapStandIn.listen()
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  await tap.close()
})

function consume(store: (messages: string[]) => Promise<number[]>): TapConsumer {
  return new TapConsumer({
    url: tap.url,
    adminPassword: undefined,
    store,
    onConnect: () => {},
    log: createLog('error'),
    signal: stop.signal,
  })
}

const idsOf = (messages: string[]) => messages.map((message) => (JSON.parse(message) as { id: number }).id)

function send(from: number, to: number): void {
  for (let id = from; id < to; id++) tap.send(JSON.stringify({ id, filler: 'x'.repeat(300) }), id)
}

test('under a backlog it stops reading, and goes on where it was', async () => {
  let release: () => void = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  const consumer = consume(async (messages) => {
    await released
    return idsOf(messages)
  })
  await vi.waitUntil(() => tap.connected, 5000)
  send(0, 100_000)
  // The rest stays with tap: the socket takes no more.
  await vi.waitUntil(() => consumer.queued >= 8000, 5000)
  const before = tap.buffered
  expect(before).toBeGreaterThan(0)
  expect(consumer.queued).toBeLessThan(10_000)
  release()
  await vi.waitUntil(() => tap.acked.size === 100_000, 20_000)
})

test('messages of a megabyte are few at a time, and all of them come through', async () => {
  let most = 0
  consume(async (messages) => {
    most = Math.max(most, messages.length)
    return idsOf(messages)
  })
  await vi.waitUntil(() => tap.connected, 5000)
  for (let id = 0; id < 200; id++) tap.send(JSON.stringify({ id, filler: 'x'.repeat(2 ** 20) }), id)
  await vi.waitUntil(() => tap.acked.size === 200, 20_000)
  expect(most).toBeLessThanOrEqual(17)
})

test('nothing is acked before it is stored, and what could not be stored is sent again', async () => {
  let fail = true
  const stored: number[] = []
  consume(async (messages) => {
    if (fail) throw new Error('disk full')
    expect(tap.acked.size).toBe(stored.length)
    stored.push(...idsOf(messages))
    return idsOf(messages)
  })
  await vi.waitUntil(() => tap.connected, 5000)
  const { connections } = tap
  send(0, 1)
  await vi.waitUntil(() => tap.connections > connections, 5000)
  expect(tap.acked.size).toBe(0)
  fail = false
  await vi.waitUntil(() => tap.acked.size === 1, 10_000)
  expect(stored).toContain(0)
})

test('when it is stopped, what was taken is stored and acked', async () => {
  const stored: number[] = []
  const consumer = consume(async (messages) => {
    await new Promise((resolve) => setImmediate(resolve))
    stored.push(...idsOf(messages))
    return idsOf(messages)
  })
  await vi.waitUntil(() => tap.connected, 5000)
  send(0, 20_000)
  await vi.waitUntil(() => tap.acked.size > 0, 5000)
  stop.abort()
  await consumer.done
  await vi.waitUntil(() => tap.acked.size === stored.length, 5000)
  expect(stored.length).toBeGreaterThan(0)
})
