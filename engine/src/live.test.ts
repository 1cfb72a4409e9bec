/** The one socket, with a real server on loopback; time is played, and nobody waits for it. */
import 'fake-indexeddb/auto'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { ToPage } from '@pollz/shared/engine'
import {
  MAX_URIS,
  PING_INTERVAL,
  type ClientMessage,
  type PollView,
  type ServerMessage,
} from '@pollz/shared/wire'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocketServer, type WebSocket as ServerSocket } from 'ws'
import { Live } from './live.ts'
import { look } from './look.ts'
import { Pages, type Port } from './pages.ts'
import type { ReadPoll } from './repos.ts'
import { openServerDb, type ServerDb } from './storage.ts'

const author = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
const uriOf = (rkey: string | number) => `at://${author}/tech.waow.poll/${rkey}`
const uri = uriOf('a')
/** When a server that has fallen silent is noticed at the latest, in ms. */
const NOTICED = 1.75 * PING_INTERVAL
/** Longer than any wait between two tries, in ms. */
const LONGEST = 60_000

const view = (poll: string, version: number, ...counts: number[]): PollView => ({
  uri: poll,
  repo: author,
  rkey: poll.slice(poll.lastIndexOf('/') + 1),
  text: '?',
  options: counts.map((count, i) => ({ text: `${i}`, count })),
  createdAt: '2026-01-01T00:00:00Z',
  total: counts.reduce((sum, count) => sum + count, 0),
  edited: false,
  version,
})

/** Played time stands still, so a condition is looked at again whenever the machine has done something else. */
async function until(condition: () => unknown): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

class Server {
  sockets: { socket: ServerSocket; said: ClientMessage[] }[] = []
  /** What it answers to a watch; undefined: nothing. */
  answer: (uri: string) => ServerMessage | undefined = () => undefined
  port = 0
  #server!: WebSocketServer

  async start(): Promise<void> {
    this.#server = new WebSocketServer({ host: '127.0.0.1', port: this.port })
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
    this.#server.on('connection', (socket) => {
      const said: ClientMessage[] = []
      this.sockets.push({ socket, said })
      socket.on('message', (data) => {
        const message = JSON.parse(String(data)) as ClientMessage
        said.push(message)
        if (message.type === 'watch') for (const it of message.uris) this.say(this.answer(it), socket)
      })
    })
  }

  say(message: ServerMessage | undefined, socket = this.sockets.at(-1)!.socket): void {
    if (message) socket.send(JSON.stringify(message))
  }

  async stop(): Promise<void> {
    for (const { socket } of this.sockets) socket.terminate()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let server: Server
let db: ServerDb
let stop: AbortController
let pages: Pages
let readPoll: (uri: string) => Promise<ReadPoll>

beforeEach(async () => {
  vi.useFakeTimers({
    toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
    now: Date.parse('2026-03-01T12:00:00Z'),
  })
  server = new Server()
  server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 1, 1, 0) })
  await server.start()
  db = await openServerDb(randomUUID())
  stop = new AbortController()
  pages = new Pages()
  readPoll = async () => ({ ok: false, error: 'Unreachable' })
})

afterEach(async () => {
  stop.abort()
  await server.stop()
  db.close()
  vi.useRealTimers()
})

const engine = () =>
  new Live(`http://127.0.0.1:${server.port}`, pages, stop.signal, {
    db: Promise.resolve(db),
    readPoll: (it) => readPoll(it),
  })

function openPage() {
  const heard: ToPage[] = []
  const port: Port = { postMessage: (message) => void heard.push(message) }
  pages.add(port, 1)
  const tallies = () => heard.flatMap((it) => (it.type === 'poll' ? [it] : []))
  return {
    port,
    heard,
    tallies,
    counts: () =>
      tallies()
        .at(-1)
        ?.poll.options.map(({ count }) => count),
    /** Since when it was not live, each time that it was said. */
    breaks: () => heard.flatMap((it) => (it.type === 'connection' && !it.online ? [it.since] : [])),
    connection: () => heard.findLast((it) => it.type === 'connection'),
    missing: () => heard.filter((it) => it.type === 'missing').length,
  }
}

test('a socket from which nothing comes any more, not even a ping, is given up, and the page told since when', async () => {
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  const [half] = server.sockets
  await vi.advanceTimersByTimeAsync(PING_INTERVAL)
  let heard = Date.now()
  server.say({ type: 'ping' })
  // It has been read when what was sent after it has.
  server.say({ type: 'tally', uri, counts: [2, 0], total: 2, version: 2 })
  await until(() => page.counts()?.[0] === 2)
  await vi.advanceTimersByTimeAsync(PING_INTERVAL)
  expect(page.connection()).toMatchObject({ online: true })

  server.answer = () => undefined
  await vi.advanceTimersByTimeAsync(NOTICED - PING_INTERVAL)
  expect(page.breaks()).toEqual([heard])
  await vi.advanceTimersByTimeAsync(1_000)
  await until(() => server.sockets.length === 2)
  await until(() => page.connection()?.online)
  heard = page.heard.length
  // What it says after all comes too late: the new one has been asked.
  half!.socket.send(JSON.stringify({ type: 'tally', uri, counts: [9, 9], total: 18, version: 9 }))
  server.say({ type: 'tally', uri, counts: [3, 0], total: 3, version: 3 })
  await until(() => page.heard.length > heard)
  expect(page.counts()).toEqual([3, 0])
})

test('so it is where the clock was set back meanwhile', async () => {
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  server.answer = () => undefined
  vi.setSystemTime(Date.now() - 8 * 3_600_000)
  // From when that was noticed at the latest.
  await vi.advanceTimersByTimeAsync(NOTICED + PING_INTERVAL / 4)
  expect(page.breaks().length).toBe(1)
  await vi.advanceTimersByTimeAsync(1_000)
  await until(() => server.sockets.length === 2)
})

test('a connection that is never there is given up too', async () => {
  const real = globalThis.WebSocket
  const begun: { closed: boolean }[] = []
  const since = Date.now()
  vi.stubGlobal(
    'WebSocket',
    class {
      static OPEN = real.OPEN
      static CONNECTING = real.CONNECTING
      readyState = real.CONNECTING
      closed = false
      constructor() {
        begun.push(this)
      }
      close() {
        this.closed = true
      }
    },
  )
  const page = openPage()
  engine().watch(page.port, uri)
  await vi.advanceTimersByTimeAsync(0.75 * PING_INTERVAL)
  vi.unstubAllGlobals()
  expect(begun[0]).toMatchObject({ closed: true })
  expect(page.breaks()).toEqual([since])
  await vi.advanceTimersByTimeAsync(PING_INTERVAL)
  await until(() => page.connection()?.online)
})

test('a machine that slept asks anew as soon as somebody looks', async () => {
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  const heard = Date.now()
  vi.setSystemTime(heard + 8 * 3_600_000)
  server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 2, 5, 5) })
  live.wake()
  expect(page.breaks()).toEqual([heard])
  await until(() => page.counts()?.[0] === 5)
  expect(page.connection()).toMatchObject({ online: true })
})

test('a poll that comes into view ends the back-off', async () => {
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  await server.stop()
  await until(() => page.connection()?.online === false)
  const begun: WebSocket[] = []
  vi.stubGlobal(
    'WebSocket',
    class extends WebSocket {
      constructor(url: string) {
        super(url)
        begun.push(this)
      }
    },
  )
  for (let tries = 1; tries < 7; tries++) {
    await vi.advanceTimersByTimeAsync(LONGEST)
    await until(() => begun.length >= tries && begun.at(-1)!.readyState === WebSocket.CLOSED)
  }
  vi.unstubAllGlobals()
  await server.start()
  // Time stands still: what waits goes on waiting.
  live.watch(page.port, uriOf('b'))
  await until(() => page.tallies().some((it) => it.uri === uriOf('b')))
  expect(page.connection()).toMatchObject({ online: true })
})

test('after a break every poll is watched again, in messages that the server takes', async () => {
  const live = engine()
  const page = openPage()
  const uris = Array.from({ length: MAX_URIS + 1 }, (_, i) => uriOf(i))
  for (const it of uris) live.watch(page.port, it)
  await until(() => page.tallies().length >= uris.length)
  server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 2, 7, 0) })
  server.sockets[0]!.socket.terminate()
  await until(() => page.connection()?.online === false)
  await vi.advanceTimersByTimeAsync(500)
  await until(
    () =>
      new Set(
        page
          .tallies()
          .filter(({ poll }) => poll.version === 2)
          .map((it) => it.uri),
      ).size === uris.length,
  )
  const said = server.sockets[1]!.said
  expect(said.map((it) => it.uris.length)).toEqual([MAX_URIS, 1])
})

test('a poll that could not be had is asked for again by itself, ever less often, and by the button at once', async () => {
  const live = engine()
  const page = openPage()
  server.answer = (it) => ({
    type: 'error',
    uri: it,
    error: 'Unreachable',
    message: 'its PDS does not answer',
  })
  live.watch(page.port, uri)
  await until(() => page.missing() === 1)
  for (const [i, wait] of [5_000, 10_000].entries()) {
    await vi.advanceTimersByTimeAsync(wait - 1)
    server.say({ type: 'ping' })
    expect(page.missing()).toBe(i + 1)
    await vi.advanceTimersByTimeAsync(1)
    await until(() => page.missing() === i + 2)
  }
  live.retry(uri)
  await until(() => page.missing() === 4)
  server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 1, 1, 0) })
  await vi.advanceTimersByTimeAsync(5_000)
  await until(() => page.counts())
  const asked = server.sockets[0]!.said.length
  await vi.advanceTimersByTimeAsync(PING_INTERVAL)
  expect(server.sockets[0]!.said.length).toBe(asked)
})

test('what does not exist is not asked for again by itself, nor what nobody looks at', async () => {
  const live = engine()
  const page = openPage()
  const [gone, left, wanted] = ['gone', 'left', 'wanted'].map(uriOf) as [string, string, string]
  const error = (it: string) => (it === gone ? 'PollNotFound' : 'Unreachable')
  server.answer = (it) => ({ type: 'error', uri: it, error: error(it), message: '' })
  for (const it of [gone, left, wanted]) live.watch(page.port, it)
  await until(() => page.missing() === 3)
  const { said } = server.sockets[0]!
  const begun = said.length
  live.unwatch(page.port, left)
  await vi.advanceTimersByTimeAsync(5_000)
  await until(() => page.missing() === 4)
  live.retry(left)
  live.retry(gone)
  await until(() => page.missing() === 5)
  const again = said.slice(begun).filter(({ type }) => type === 'watch')
  expect(again.flatMap(({ uris }) => uris)).toEqual([wanted, gone])
})

test('without the server a poll is read from its author’s PDS, tried again until that answers', async () => {
  await server.stop()
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.missing() === 1)
  readPoll = async (it) => ({ ok: true, poll: view(it, 0, 0, 0) })
  await vi.advanceTimersByTimeAsync(5_000)
  await until(() => page.tallies().length > 0)
  expect(page.tallies().at(-1)).toMatchObject({ uri, tally: 'unknown' })
  await server.start()
  live.retry(uri)
  await until(() => page.tallies().at(-1)?.tally === 'live')
})

test('of one connection an older tally never replaces a newer one, wherever it comes from', async () => {
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  live.update(view(uri, 5, 5, 0))
  live.update(view(uri, 4, 4, 0))
  server.say({ type: 'tally', uri, counts: [3, 0], total: 3, version: 3 })
  server.say({ type: 'snapshot', uri, poll: view(uri, 2, 2, 0) })
  server.say({ type: 'tally', uri, counts: [6, 0], total: 6, version: 6 })
  await until(() => page.counts()?.[0] === 6)
  expect(page.tallies().map(({ poll }) => poll.version)).toEqual([1, 5, 6])
  // A server that was set back to a backup counts anew.
  server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 1, 1, 0) })
  server.sockets[0]!.socket.terminate()
  await until(() => page.connection()?.online === false)
  await vi.advanceTimersByTimeAsync(500)
  await until(() => page.counts()?.[0] === 1)
})

test('a tally that was kept says of when it is', async () => {
  const before = engine()
  const page = openPage()
  before.watch(page.port, uri)
  await until(() => page.counts())
  await vi.advanceTimersByTimeAsync(1_000)
  const kept = Date.now()
  while (!(await db.get('polls', uri))) await new Promise((resolve) => setImmediate(resolve))
  stop.abort()
  await server.stop()

  stop = new AbortController()
  pages = new Pages()
  vi.setSystemTime(kept + 86_400_000)
  const next = openPage()
  engine().watch(next.port, uri)
  await until(() => next.tallies().length > 0 && next.connection())
  expect(next.tallies()[0]).toMatchObject({ tally: { at: kept }, poll: { version: 1 } })
  await server.start()
})

test('while nothing is watched nothing is said of the connection; the next poll is not taken for live', async () => {
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  live.unwatch(page.port, uri)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(live.online).toBeUndefined()
  await until(() => server.sockets[0]!.socket.readyState === WebSocket.CLOSED)
  await server.stop()
  live.watch(page.port, uri)
  await until(() => page.connection()?.online === false)
  await until(() => page.tallies().length >= 2)
  expect(page.tallies()[1]!.tally).not.toBe('live')
  await vi.advanceTimersByTimeAsync(LONGEST)
  await server.start()
  live.wake()
  await until(() => page.connection()?.online)
})

describe('a server that has another poll for the one that is asked for', () => {
  const byHandle = `at://alice.test/tech.waow.poll/a`
  const eve = 'did:plc:eeeeeeeeeeeeeeeeeeeeeeee'
  const evil = `at://${eve}/tech.waow.poll/a`

  test.each<[why: string, asked: string, poll: PollView]>([
    ['of another author', uri, { ...view(evil, 1, 0, 1), repo: eve }],
    ['of another key', uri, view(uriOf('b'), 1, 0, 1)],
    ['of another kind', uri, view(`at://${author}/tech.waow.pollz.poll/a`, 1, 0, 1)],
    ['by a handle, of another key', byHandle, view(uriOf('b'), 1, 0, 1)],
    ['by a handle, without its author', byHandle, { ...view(byHandle, 1, 0, 1), repo: 'alice.test' }],
    ['that is filed under another key', uri, { ...view(uri, 1, 0, 1), rkey: 'b' }],
    ['that is filed under another author', uri, { ...view(uri, 1, 0, 1), repo: eve }],
  ])('is refused: one %s', async (_, asked, poll) => {
    server.answer = (it) => ({ type: 'snapshot', uri: it, poll })
    const live = engine()
    const page = openPage()
    live.watch(page.port, asked)
    await until(() => page.missing() + page.tallies().length)
    expect([page.missing(), page.tallies(), live.known(asked)]).toEqual([1, [], undefined])
    // And no other way leads there.
    server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(uri, 1, 1, 0) })
    live.retry(asked)
    await until(() => page.counts())
    const shown = page.tallies().length
    live.update({ ...poll, version: 9 })
    server.say({ type: 'snapshot', uri: asked, poll: { ...poll, version: 9 } })
    server.say({ type: 'tally', uri, counts: [5, 5], total: 10, version: 10 })
    await until(() => page.counts()?.[0] === 5)
    expect(page.tallies().slice(shown)).toMatchObject([{ poll: { uri, repo: author, rkey: 'a' } }])
  })

  test('gets none that was kept shown either', async () => {
    await db.put('polls', { poll: { ...view(evil, 1, 0, 1), repo: eve }, at: 0 }, uri)
    server.answer = () => undefined
    await server.stop()
    const page = openPage()
    engine().watch(page.port, uri)
    await until(() => page.missing())
    expect(page.tallies()).toEqual([])
    await server.start()
  })
})

test('an engine that has ended, and its database with it, leaves no error behind', async () => {
  const said = vi.spyOn(console, 'error')
  const live = engine()
  const page = openPage()
  stop.abort()
  db.close()
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', note)
  live.watch(page.port, uri)
  live.retry(uri)
  // Node says what nobody handled when a turn of its loop is over.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
  expect(said).not.toHaveBeenCalled()
})

test('pages know by how much the server’s clock is ahead, and hear no more of it while it stays so', async () => {
  server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 1, 1, 0), now: Date.now() + 90_000 })
  const live = engine()
  const page = openPage()
  live.watch(page.port, uri)
  await until(() => page.counts())
  expect(page.connection()).toMatchObject({ online: true, ahead: 90_000 })
  const heard = page.heard.filter(({ type }) => type === 'connection').length
  server.say({ type: 'snapshot', uri, poll: view(uri, 2, 2, 0), now: Date.now() + 90_100 })
  await until(() => page.counts()?.[0] === 2)
  expect(page.heard.filter(({ type }) => type === 'connection')).toHaveLength(heard)
  expect(live.connection).toMatchObject({ ahead: 90_000 })
  server.say({ type: 'snapshot', uri, poll: view(uri, 3, 3, 0), now: Date.now() })
  await until(() => page.counts()?.[0] === 3)
  expect(page.connection()).toMatchObject({ ahead: 0 })
})

describe('a poll that is asked for once', () => {
  const hour = 3_600_000

  test('is as the server has it, by its clock, and nothing stays open for it', async () => {
    const now = Date.now() + hour
    server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 3, 2, 1), now })
    const live = engine()
    const snapshots: unknown[] = []
    live.onSnapshot = (poll, at) => snapshots.push([poll.version, at])
    expect(await look({ live, pages }, uri)).toEqual({ poll: view(uri, 3, 2, 1), now })
    expect(snapshots).toEqual([[3, now]])
    expect(pages.all()).toEqual([])
    await vi.advanceTimersByTimeAsync(LONGEST)
    await until(() => server.sockets[0]!.socket.readyState === WebSocket.CLOSED)
    expect(server.sockets).toHaveLength(1)
  })

  test('is asked for though a page shows it, which goes on doing so', async () => {
    const live = engine()
    const page = openPage()
    live.watch(page.port, uri)
    await until(() => page.counts())
    server.answer = (it) => ({ type: 'snapshot', uri: it, poll: view(it, 2, 5, 1) })
    expect(await look({ live, pages }, uri)).toMatchObject({ poll: { version: 2 } })
    expect(pages.all()).toEqual([uri])
    expect(page.counts()).toEqual([5, 1])
  })

  test('is gone, or its server is away: at once where that is known, after a while where it is silent', async () => {
    const live = engine()
    server.answer = (it) => ({ type: 'error', uri: it, error: 'PollNotFound', message: '' })
    expect(await look({ live, pages }, uri)).toBe('gone')
    server.answer = (it) => ({ type: 'error', uri: it, error: 'UpstreamFailure', message: '' })
    expect(await look({ live, pages }, uri)).toBe('away')
    server.answer = () => undefined
    const said = server.sockets[0]!.said.length
    const silent = look({ live, pages }, uri)
    await until(() => server.sockets[0]!.said.length > said)
    await vi.advanceTimersByTimeAsync(LONGEST)
    expect(await silent).toBe('away')
    await server.stop()
    expect(await look({ live, pages }, uri)).toBe('away')
    expect(pages.all()).toEqual([])
    await server.start()
  })

  test('is not taken for what was known of it', async () => {
    await db.put('polls', { poll: view(uri, 1, 1, 0), at: 0 }, uri)
    server.answer = () => undefined
    const live = engine()
    const asked = look({ live, pages }, uri)
    await until(() => server.sockets[0]?.said.length)
    server.say({ type: 'snapshot', uri, poll: view(uri, 2, 5, 0) })
    expect(await asked).toMatchObject({ poll: { version: 2 } })
  })
})
