/**
 * After SIGTERM the server ends by itself with code 0, whatever its database, taps and watchers do. What was acked is
 * stored, and what was not acked comes again. How long it took is printed: README promises five seconds.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import type { PollView } from '@pollz/shared/wire'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { contentsOf, loadRelease, newFile } from '../test/database.ts'
import { LibsqlServer } from '../test/libsql-server.ts'
import { holdLock } from '../test/lock.ts'
import { T0, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { Wire } from '../test/wire.ts'
import { openDatabase, type DatabaseOptions } from './store/database.ts'
import { recount } from './store/recount.ts'

const main = join(import.meta.dirname, 'main.ts')
const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
/** Ms after which a server that has not ended is killed. */
const KILL_AFTER = 15_000

let tap: TapStandIn
let running: ChildProcess | undefined

beforeEach(async () => (tap = await TapStandIn.listen()))
afterEach(async () => {
  running?.kill('SIGKILL')
  await tap.close()
})

/** `stop` resolves with what it logged from then on. */
type Server = { pid: number; base: () => Promise<string>; stop: () => Promise<string> }

function spawnServer({ url, authToken }: DatabaseOptions, tapUrl = tap.url): Server {
  const server = spawn('node', [main], {
    env: {
      ...process.env,
      PORT: '0',
      HOST: '127.0.0.1',
      DATABASE_URL: url,
      DATABASE_AUTH_TOKEN: authToken,
      TAP_URL: tapUrl,
      LOG_LEVEL: 'info',
      PLC_URL: 'http://127.0.0.1:9',
      RECONCILE_PAUSE: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running = server
  let log = ''
  for (const stream of [server.stdout, server.stderr])
    stream.on('data', (data: Buffer) => (log += data.toString()))
  return {
    pid: server.pid!,
    base: async () =>
      `http://127.0.0.1:${await vi.waitUntil(() => /"listening","port":(\d+)/.exec(log)?.[1])}`,
    stop: async () => {
      const before = log.length
      const began = performance.now()
      const kill = setTimeout(() => server.kill('SIGKILL'), KILL_AFTER)
      server.kill('SIGTERM')
      const [code, signal] = (await once(server, 'close')) as [number | null, string | null]
      clearTimeout(kill)
      const said = log.slice(before)
      console.log(
        `${expect.getState().currentTestName}: ended after ${Math.round(performance.now() - began)} ms`,
      )
      expect({ code, signal, said }).toMatchObject({ code: 0, signal: null })
      return said
    },
  }
}

async function start(options: DatabaseOptions, tapUrl?: string) {
  const server = spawnServer(options, tapUrl)
  return { base: await server.base(), stop: server.stop }
}

const votes = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i).map((id) => ({
    id,
    message: recordMessage(voteEvent(`did:plc:voter${id}`, tea, id % 2, T0 + id), id),
  }))
const send = (all: { id: number; message: string }[]) => {
  for (const { id, message } of all) tap.send(message, id)
}
const areAcked = (all: { id: number }[]) =>
  vi.waitUntil(() => all.every(({ id }) => tap.acked.has(id)), { timeout: 40_000, interval: 50 })

async function begin(): Promise<{ id: number; message: string }[]> {
  const poll = { id: 0, message: recordMessage(pollEvent(tea, ['yes', 'no'], T0), 0) }
  const first = [poll, ...votes(1, 101)]
  await vi.waitUntil(() => tap.connected)
  send(first)
  await areAcked(first)
  return first
}

/** Of a server that stopped, once it is started again and all has come that was not acked. */
const nothingLost = (total: number) => ({ missing: [], total, differences: [] })

/**
 * Looks into the database before anything comes again, then lets it all come.
 *
 * @returns ids that were acked and whose votes are missing; the votes in the end, and where a recount differs
 */
async function afterwards(direct: DatabaseOptions) {
  const client = await openDatabase(direct)
  const { rows } = await client.execute('SELECT did FROM votes JOIN accounts ON accounts.id = voter')
  const stored = new Set(rows.map((row) => String(row['did'])))
  const missing = [...tap.acked].filter((id) => id > 0 && !stored.has(`did:plc:voter${id}`))
  const server = await start(direct)
  await vi.waitUntil(() => tap.outstanding.size === 0, { timeout: 40_000, interval: 50 })
  const response = await fetch(`${server.base}/api/polls/${encodeURIComponent(tea)}`)
  const { total } = (await response.json()) as PollView & { total: number }
  const differences = await recount(client)
  client.close()
  await server.stop()
  return { missing, total, differences }
}

/** A WebSocket in the raw: it is opened, and from then on nothing is read, answered or ended. */
async function deafWatcher(base: string): Promise<Socket> {
  const socket = connect(Number(new URL(base).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    'GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await once(socket, 'data')
  socket.pause()
  // {"type":"watch","uris":[…]}, masked by zeros.
  const watch = Buffer.from(JSON.stringify({ type: 'watch', uris: [tea] }))
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | watch.length, 0, 0, 0, 0]), watch]))
  return socket
}

/**
 * Takes the channel, sends what it is given, and answers nothing after that: no ping, no close frame, no request.
 *
 * @param opens false: it does not even answer the handshake
 */
async function deafTap(messages: string[], opens = true) {
  const sockets = new Set<Socket>()
  const server = createServer(() => {})
  let connections = 0
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
  })
  server.on('upgrade', (request, socket) => {
    connections++
    if (!opens) return
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    for (const message of messages) {
      const data = Buffer.from(message)
      const head = Buffer.from([0x81, 126, 0, 0])
      head.writeUInt16BE(data.length, 2)
      socket.write(Buffer.concat([head, data]))
    }
    socket.pause()
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connected: () => connections > 0,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('a database that hangs', async () => {
  const database = await LibsqlServer.start()
  const wire = await Wire.listen(database.url)
  const server = await start({ url: wire.url, authToken: database.authToken })
  const first = await begin()
  wire.break('hang')
  const more = votes(101, 301)
  send(more)
  // Readers hang as well.
  const asked = fetch(`${server.base}/api/polls`).catch(() => {})
  await vi.waitUntil(() => wire.hits.hang > 0)
  await server.stop()
  await asked
  await wire.close()
  expect(await afterwards(database)).toEqual(nothingLost(first.length + more.length - 1))
  await database.close()
})

test('a file that somebody else has locked, with thousands of events queued', async () => {
  const file: DatabaseOptions = { url: newFile(), authToken: undefined }
  const server = await start(file)
  const first = await begin()
  const letGo = await holdLock(file)
  const more = votes(101, 10_101)
  send(more)
  const queued = async () => {
    const text = await (await fetch(`${server.base}/metrics`)).text()
    return Number(/^\w*queued\w* (\d+)$/m.exec(text)?.[1])
  }
  await vi.waitUntil(async () => (await queued()) > 4000)
  await server.stop()
  await letGo()
  expect(await afterwards(file)).toEqual(nothingLost(first.length + more.length - 1))
})

test('a locked file that several wait for', async () => {
  const file: DatabaseOptions = { url: newFile(), authToken: undefined }
  const others = await Promise.all(Array.from({ length: 4 }, () => TapStandIn.listen()))
  const server = await start(file, [tap, ...others].map(({ url }) => url).join())
  await vi.waitUntil(() => others.every(({ connected }) => connected))
  const first = await begin()
  const letGo = await holdLock(file)
  const more = votes(101, 106)
  for (const [i, { id, message }] of more.entries()) [tap, ...others][i]!.send(message, id)
  const waiting = async () => {
    const { database } = (await (await fetch(`${server.base}/ready`)).json()) as { database: string }
    return database !== 'ok'
  }
  await vi.waitUntil(waiting)
  await server.stop()
  await letGo()
  expect(await afterwards(file)).toEqual(nothingLost(first.length))
  for (const other of others) await other.close()
})

test.runIf(existsSync('/proc/self/fd'))('a file that is locked when the server starts', async () => {
  const url = newFile()
  const file: DatabaseOptions = { url, authToken: undefined }
  await loadRelease('release-0.2.0.sql', file)
  const before = await contentsOf(file)
  const letGo = await holdLock(file)
  const { pid, stop } = spawnServer(file)
  const hasOpened = () =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      // It may have closed that one meanwhile.
      try {
        return url.endsWith(readlinkSync(`/proc/${pid}/fd/${fd}`))
      } catch {
        return false
      }
    })
  await vi.waitUntil(hasOpened, { interval: 5 })
  await stop()
  await letGo()
  expect(await contentsOf(file)).toEqual(before)
})

test('a database that hangs when the server starts', async () => {
  const database = await LibsqlServer.start()
  const wire = await Wire.listen(database.url)
  wire.break('hang')
  const { stop } = spawnServer({ url: wire.url, authToken: database.authToken })
  await vi.waitUntil(() => wire.hits.hang > 0)
  expect(await stop()).toBe('')
  await wire.close()
  await database.close()
})

test('thousands of events queued, in order', async () => {
  const file: DatabaseOptions = { url: newFile(), authToken: undefined }
  const server = await start(file)
  const first = await begin()
  const more = votes(101, 10_101)
  send(more)
  await vi.waitUntil(() => tap.acked.size > first.length, { interval: 1 })
  expect(await server.stop()).toMatch(/"message":"stopped"}\n$/)
  expect(await afterwards(file)).toEqual(nothingLost(first.length + more.length - 1))
})

test.each([
  ['never answers the close frame', true],
  ['never answers the handshake', false],
])('a tap that %s', async (_, opens) => {
  const file: DatabaseOptions = { url: newFile(), authToken: undefined }
  const deaf = await deafTap(
    [recordMessage(pollEvent(tea, ['yes', 'no'], T0), 0), ...votes(1, 1001).map(({ message }) => message)],
    opens,
  )
  const server = await start(file, `${tap.url},${deaf.url}`)
  await vi.waitUntil(() => deaf.connected())
  const first = await begin()
  await server.stop()
  deaf.close()
  expect(await afterwards(file)).toEqual(nothingLost(opens ? 1000 : first.length - 1))
})

test('watchers that read nothing', async () => {
  const file: DatabaseOptions = { url: newFile(), authToken: undefined }
  const server = await start(file)
  const first = await begin()
  const watchers = await Promise.all(Array.from({ length: 20 }, () => deafWatcher(server.base)))
  const more = votes(101, 2_101)
  send(more)
  await areAcked(more)
  await server.stop()
  for (const socket of watchers) socket.destroy()
  expect(await afterwards(file)).toEqual(nothingLost(first.length + more.length - 1))
})

test('all of it at once', async () => {
  const database = await LibsqlServer.start()
  const wire = await Wire.listen(database.url)
  const deaf = await deafTap([])
  const server = await start({ url: wire.url, authToken: database.authToken }, `${tap.url},${deaf.url}`)
  const first = await begin()
  const watchers = await Promise.all(Array.from({ length: 20 }, () => deafWatcher(server.base)))
  wire.break('hang')
  const more = votes(101, 10_101)
  send(more)
  await vi.waitUntil(() => wire.hits.hang > 0)
  await server.stop()
  for (const socket of watchers) socket.destroy()
  deaf.close()
  await wire.close()
  expect(await afterwards(database)).toEqual(nothingLost(first.length + more.length - 1))
  await database.close()
})
