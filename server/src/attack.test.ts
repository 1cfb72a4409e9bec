/** Clients that ask for much, read nothing or never leave, on a server whole: what the others notice of them. */
import { connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { emptyDatabase } from '../test/database.ts'
import { T0, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { connectWatcher } from '../test/watcher.ts'
import { readConfig } from './config.ts'
import { MAX_BUFFERED } from './live/hub.ts'
import { createLog } from './log.ts'
import { startServer } from './server.ts'

const alice = 'did:plc:alice'

let tap: TapStandIn
let stop: AbortController
let port: number
let done: Promise<void>
let database: Awaited<ReturnType<typeof emptyDatabase>>

beforeEach(async () => {
  database = await emptyDatabase()
  tap = await TapStandIn.listen()
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: database.url,
    DATABASE_AUTH_TOKEN: database.authToken,
    TAP_URL: tap.url,
    PLC_URL: 'http://127.0.0.1:9',
    LOG_LEVEL: 'error',
  })
  ;({ port, done } = await startServer(config, createLog('error'), stop.signal))
  await vi.waitUntil(() => tap.connected, 5000)
})

afterEach(async () => {
  stop.abort()
  await done
  await tap.close()
  await database.close()
})

let nextId = 1

/** Sends records and waits for their acks. */
async function deliver(...events: Parameters<typeof recordMessage>[0][]): Promise<void> {
  const ids = events.map((event) => {
    const id = nextId++
    tap.send(recordMessage(event, id), id)
    return id
  })
  await vi.waitUntil(() => ids.every((id) => tap.acked.has(id)), 5000)
}

/** A poll of the greatest size there is. */
function bigPoll(uri: string) {
  const event = pollEvent(uri, Array<string>(10).fill('W'.repeat(100)), T0)
  return { ...event, record: { ...(event.record as object), text: 'W'.repeat(300) } }
}

const live = () => connectWatcher(`http://127.0.0.1:${port}`)

const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`)

const buffered = async () =>
  Number(/^pollz_buffered_bytes (\d+)$/m.exec(await (await get('/metrics')).text())![1])

test('a client that asks for everything and reads nothing costs a bound of bytes, and the others nothing', async () => {
  const uris = Array.from({ length: 50 }, (_, i) => pollUri(alice, `poll${i}`))
  // A hundred kilobytes for all of them: after some dozen answers the network itself holds no more.
  await deliver(...uris.map((uri) => bigPoll(uri)))
  const honest = await live()
  honest.socket.send(JSON.stringify({ type: 'watch', uris }))
  await vi.waitUntil(() => honest.messages.filter(({ type }) => type === 'snapshot').length === uris.length)

  let voters = 0
  /** Ms from a vote to its tally at the honest client, for one vote for each of some polls. */
  const latencies = async () => {
    const all: number[] = []
    for (const uri of uris.slice(0, 10)) {
      const before = honest.messages.length
      const began = performance.now()
      await deliver(voteEvent(`did:plc:voter${++voters}`, uri, 0, T0 + voters))
      await vi.waitUntil(() => honest.messages.length > before, { timeout: 5000, interval: 1 })
      all.push(performance.now() - began)
      expect(honest.messages.at(-1)).toMatchObject({ type: 'tally', uri })
    }
    return all.toSorted((a, b) => a - b).map(Math.round)
  }

  const memory = () => Math.round(process.memoryUsage().rss / 1e6)
  const [alone, before] = [await latencies(), memory()]
  const greedy = await live()
  greedy.socket.pause()
  const ask = JSON.stringify({ type: 'watch', uris })
  for (let i = 0; i < 999; i++) {
    await new Promise((sent) => greedy.socket.send(ask, sent))
    // Each by itself: those that come together have one answer.
    for (let turn = 0; turn < 3; turn++) await setImmediate()
  }
  await vi.waitUntil(async () => (await buffered()) >= MAX_BUFFERED, 5000)
  const [attacked, after] = [await latencies(), memory()]
  const waiting = await buffered()
  const longest = Math.max(...honest.messages.map((message) => JSON.stringify(message).length))
  console.log(
    `999 x 50 polls asked for, nothing read: ${waiting} bytes wait, memory ${before} -> ${after} MB;`,
    `vote to tally, median and worst: alone ${alone[5]}, ${alone[9]} ms; beside it ${attacked[5]}, ${attacked[9]} ms`,
  )
  expect(waiting).toBeLessThan(MAX_BUFFERED + longest)

  // Every last tally, never an older one after a newer one.
  for (const uri of uris) {
    const told = honest.messages.filter((it) => it.type === 'tally' && it.uri === uri)
    expect(told.at(-1)).toMatchObject(uris.indexOf(uri) < 10 ? { total: 2 } : {})
    const versions = told.map((it) => it.type === 'tally' && it.version)
    expect(versions).toEqual(versions.toSorted())
  }
  // Who reads again is told how things stand.
  greedy.socket.resume()
  await vi.waitUntil(
    () =>
      uris.slice(0, 10).every((uri) => {
        const last = greedy.messages.findLast((it) => 'uri' in it && it.uri === uri)
        return last?.type === 'snapshot' ? last.poll.total === 2 : last?.type === 'tally' && last.total === 2
      }),
    10_000,
  )
  for (const { socket } of [honest, greedy]) socket.close()
}, 60_000)

/** A connection that only says what it is told to. */
function raw(text: string): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => (received += chunk.toString('latin1')))
  socket.on('error', () => {})
  return new Promise((resolve) => socket.write(text, () => resolve({ socket, received: () => received })))
}

const upgrade =
  'GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'

test('it stops within the time that a test has, whoever is still there', async () => {
  const never = await raw(upgrade)
  const deaf = await raw(upgrade)
  const half = await raw('POST /api/votes HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"uri"')
  const head = await raw('GET /health HT')
  const idle = await raw('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  await vi.waitUntil(() => [never, deaf].every(({ received }) => received().includes('101 Switching')))
  await vi.waitUntil(() => idle.received().includes('200 OK'))
  deaf.socket.pause()
  const all = [never, deaf, half, head, idle]
  const closed = all.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)))
  stop.abort()
  await done
  // 0x88: a close frame; 1001.
  expect(never.received()).toContain('\x88\x18\x03\xe9the server is stopping')
  await expect(get('/health')).rejects.toThrow('fetch failed')
  deaf.socket.resume()
  await Promise.all(closed)
})
