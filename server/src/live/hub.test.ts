import { EventEmitter } from 'node:events'
import { MAX_WATCHED, PING_INTERVAL, type PollView, type ServerMessage } from '@pollz/shared/wire'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { unlimited, type Budget } from '../ingest/budget.ts'
import { createLog } from '../log.ts'
import { Hub, MAX_BUFFERED } from './hub.ts'
import type { Found } from './lookup.ts'

/** Stands in for a client's socket where it has to be exact what was written and what waits. */
class SocketStandIn extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  /** Whether what is sent waits until `drain`. */
  reads = true
  readonly frames: (string | Buffer)[] = []
  readonly pongs: Buffer[] = []
  bufferedAmount = 0
  /** The greatest that `bufferedAmount` was. */
  most = 0
  closed: number | undefined
  terminated = false
  #waiting: (() => void)[] = []

  send(frame: string | Buffer, _: object, sent: () => void): void {
    this.frames.push(frame)
    this.#write(Buffer.byteLength(frame), sent)
  }

  pong(data: Buffer, _: boolean, sent: () => void): void {
    this.pongs.push(data)
    this.#write(data.length, sent)
  }

  #write(bytes: number, sent: () => void): void {
    if (this.reads) {
      queueMicrotask(sent)
      return
    }
    this.bufferedAmount += bytes
    this.most = Math.max(this.most, this.bufferedAmount)
    this.#waiting.push(sent)
  }

  /** Writes all that waits. */
  drain(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.bufferedAmount = 0
    for (const sent of waiting) sent()
  }

  close(code: number): void {
    this.readyState = 2
    this.closed ??= code
  }

  terminate(): void {
    this.terminated = true
    this.readyState = 3
    this.emit('close')
  }

  say(type: 'watch' | 'unwatch', ...uris: string[]): void {
    this.emit('message', Buffer.from(JSON.stringify({ type, uris })))
  }

  get messages(): ServerMessage[] {
    return this.frames.map((frame) => JSON.parse(frame.toString()) as ServerMessage)
  }
}

const uriOf = (n: number) => `at://did:plc:a/tech.waow.poll/${n}`
const tea = uriOf(0)
const budget = unlimited('a client')

/** Polls as the server would find them. */
const polls = new Map<string, PollView>()
const find = vi.fn<(uri: string, budget: Budget) => Promise<Found>>()
const foundNow = (uri: string): Found => {
  const poll = polls.get(uri)
  return poll
    ? { ok: true, uri, poll }
    : { ok: false, uri: undefined, error: 'InvalidRequest', message: 'no such uri' }
}
let stop: AbortController
let hub: Hub
let version: number

const createPoll = (uri: string, text = '?', more: Partial<PollView> = {}) =>
  polls.set(uri, {
    uri,
    repo: 'did:plc:a',
    rkey: uri.split('/').at(-1)!,
    text,
    options: [{ text: 'yes', count: 0 }],
    createdAt: '2026-11-23T20:15:00.000Z',
    total: 0,
    edited: false,
    version: ++version,
    ...more,
  })

/** Commits one more vote. */
function vote(uri: string): void {
  const poll = polls.get(uri)!
  const total = poll.total + 1
  polls.set(uri, { ...poll, options: [{ text: 'yes', count: total }], total, version: ++version })
  hub.apply({
    tallies: new Map([[uri, { counts: new Map([[0, total]]), edited: false, version }]]),
    polls: new Map(),
  })
}

function connect(): SocketStandIn {
  const socket = new SocketStandIn()
  hub.add(socket as unknown as WebSocket, budget)
  return socket
}

/** As long as the hub may wait before it tells. */
const flushed = () => vi.advanceTimersByTimeAsync(300)
const pinged = () => vi.advanceTimersByTimeAsync(PING_INTERVAL * 0.9)
const settled = () => vi.advanceTimersByTimeAsync(0)

beforeEach(() => {
  vi.useFakeTimers()
  polls.clear()
  version = 0
  find.mockReset().mockImplementation(async (uri) => foundNow(uri))
  stop = new AbortController()
  hub = new Hub(find, createLog('error'), stop.signal)
  createPoll(tea)
})

afterEach(() => {
  stop.abort()
  vi.useRealTimers()
})

describe('what is told', () => {
  test('a snapshot whenever it is asked for, then tallies, once for several names and votes', async () => {
    const byHandle = 'at://a.example/tech.waow.poll/0'
    find.mockImplementation(async (uri) => foundNow(uri === byHandle ? tea : uri))
    const socket = connect()
    socket.say('watch', tea, byHandle)
    await settled()
    socket.say('watch', tea)
    await settled()
    expect(socket.messages.map((it) => 'uri' in it && it.uri)).toEqual([tea, byHandle, tea])
    vote(tea)
    vote(tea)
    await flushed()
    expect(socket.messages.slice(3)).toMatchObject([{ type: 'tally', uri: tea, total: 2 }])
    socket.say('unwatch', tea)
    vote(tea)
    await flushed()
    expect(socket.messages.slice(4)).toMatchObject([{ type: 'tally', uri: tea, total: 3 }])
    socket.say('unwatch', byHandle)
    vote(tea)
    await flushed()
    expect(socket.messages).toHaveLength(5)
  })

  test('one answer to all who ask before it comes, and no tally that it has told already', async () => {
    const socket = connect()
    socket.say('watch', tea)
    socket.say('watch', tea)
    await settled()
    expect(socket.messages).toHaveLength(1)
    vote(tea)
    socket.say('watch', tea)
    await flushed()
    expect(socket.messages.slice(1)).toMatchObject([{ type: 'snapshot', poll: { total: 1 } }])
  })

  test('one frame serves all watchers of a poll', async () => {
    const sockets = [connect(), connect()]
    for (const socket of sockets) socket.say('watch', tea)
    await settled()
    vote(tea)
    await flushed()
    expect(sockets[0]!.frames[1]).toBeInstanceOf(Buffer)
    expect(sockets[1]!.frames[1]).toBe(sockets[0]!.frames[1])
  })

  test('all polls are looked at again where it is not known what changed', async () => {
    createPoll(uriOf(1))
    const socket = connect()
    socket.say('watch', tea, uriOf(1))
    await settled()
    createPoll(tea, 'another')
    hub.recheckAll()
    await flushed()
    expect(socket.messages.slice(2)).toMatchObject([
      { type: 'snapshot', uri: tea, poll: { text: 'another' } },
    ])
    polls.delete(tea)
    find.mockImplementation(async (uri) =>
      uri === tea ? { ok: false, uri, error: 'PollNotFound', message: 'gone' } : foundNow(uri),
    )
    hub.recheckAll()
    await flushed()
    hub.recheckAll()
    await flushed()
    expect(socket.messages.slice(3)).toMatchObject([{ type: 'error', uri: tea, error: 'PollNotFound' }])
    find.mockImplementation(async (uri) => foundNow(uri))
    createPoll(tea)
    hub.recheckAll()
    await flushed()
    expect(socket.messages.slice(4)).toMatchObject([{ type: 'snapshot', uri: tea }])
  })

  test('a uri that means nothing is answered once, by one lookup, and takes no place', async () => {
    const lookup = Promise.withResolvers<void>()
    find.mockImplementation(async (uri) => {
      if (!polls.has(uri)) await lookup.promise
      return foundNow(uri)
    })
    const socket = connect()
    socket.say('watch', 'nonsense')
    socket.say('watch', 'nonsense')
    await settled()
    expect(find).toHaveBeenCalledTimes(1)
    lookup.resolve()
    await settled()
    expect(socket.messages).toMatchObject([{ type: 'error', uri: 'nonsense', error: 'InvalidRequest' }])
    for (let i = 0; i < MAX_WATCHED; i++) {
      createPoll(uriOf(i))
      socket.say('watch', uriOf(i))
    }
    await settled()
    expect(socket.messages.filter(({ type }) => type === 'snapshot')).toHaveLength(MAX_WATCHED)
    socket.say('watch', 'one more')
    expect(socket.messages.at(-1)).toMatchObject({ error: 'TooManyPolls', uri: 'one more' })
  })
})

describe('in order', () => {
  /** A lookup that has read, and answers when it is told to. */
  const slowly = () => {
    const answer = Promise.withResolvers<void>()
    find.mockImplementationOnce(async (uri) => {
      const found = foundNow(uri)
      await answer.promise
      return found
    })
    return answer.resolve
  }
  const totals = (socket: SocketStandIn) =>
    socket.messages.map((it) => (it.type === 'snapshot' ? it.poll.total : it.type === 'tally' && it.total))

  test('a tally is not told before a snapshot that is older', async () => {
    const other = connect()
    other.say('watch', tea)
    await settled()
    const answer = slowly()
    const socket = connect()
    socket.say('watch', tea)
    vote(tea)
    await flushed()
    expect([totals(other), totals(socket)]).toEqual([[0, 1], []])
    answer()
    await settled()
    expect(totals(socket)).toEqual([0, 1])
  })

  test('what is committed while a handle is looked up is not missed', async () => {
    const byHandle = 'at://a.example/tech.waow.poll/0'
    const answer = Promise.withResolvers<Found>()
    find.mockImplementationOnce(() => answer.promise)
    const socket = connect()
    socket.say('watch', byHandle)
    const before = foundNow(tea)
    vote(tea)
    await flushed()
    answer.resolve(before)
    await settled()
    expect(totals(socket)).toEqual([1])
  })

  test('a tally that was read before the poll went is not told after it', async () => {
    const socket = connect()
    socket.say('watch', tea)
    await settled()
    const answer = slowly()
    vote(tea)
    await flushed()
    polls.delete(tea)
    find.mockImplementation(async (uri) => ({ ok: false, uri, error: 'Hidden', message: 'not shown' }))
    hub.recheck((uri) => uri === tea)
    await flushed()
    answer()
    await flushed()
    expect(socket.messages.slice(1)).toMatchObject([{ type: 'error', error: 'Hidden' }])
    // It is told again what comes after.
    find.mockImplementation(async (uri) => foundNow(uri))
    createPoll(tea)
    hub.recheck((uri) => uri === tea)
    await flushed()
    vote(tea)
    await flushed()
    expect(socket.messages.slice(2)).toMatchObject([{ type: 'snapshot' }, { type: 'tally', total: 1 }])
  })

  describe('to a client that watches a poll by two names', () => {
    const byHandle = 'at://a.example/tech.waow.poll/0'
    let socket: SocketStandIn
    let answer: () => void

    /** By its DID it was told the poll, by its handle the answer is read and on its way. */
    beforeEach(async () => {
      find.mockImplementation(async (uri) => foundNow(uri === byHandle ? tea : uri))
      socket = connect()
      socket.say('watch', tea)
      await settled()
      find.mockImplementationOnce(async () => foundNow(tea))
      answer = slowly()
      socket.say('watch', byHandle)
      await settled()
    })

    const told = () => socket.messages.map((it, i) => ['uri' in it && it.uri, totals(socket)[i]])

    test('a tally is told of both', async () => {
      vote(tea)
      await flushed()
      answer()
      await flushed()
      expect(told()).toEqual([
        [tea, 0],
        [tea, 1],
        [byHandle, 1],
      ])
      vote(tea)
      await flushed()
      expect(told().slice(3)).toEqual([[tea, 2]])
    })

    test('a snapshot is never older than what it was told by the other name', async () => {
      // Something else was told a moment ago, so what comes now is told later.
      createPoll(uriOf(1))
      connect().say('watch', uriOf(1))
      vote(uriOf(1))
      await settled()
      vote(tea)
      socket.say('watch', tea)
      await settled()
      answer()
      await settled()
      expect(told()).toEqual([
        [tea, 0],
        [tea, 1],
        [byHandle, 1],
      ])
    })
  })

  test('a tally that was read before a commit is followed by the one after', async () => {
    const socket = connect()
    socket.say('watch', tea)
    await settled()
    const answer = slowly()
    vote(tea)
    await flushed()
    vote(tea)
    await flushed()
    expect(totals(socket)).toEqual([0])
    answer()
    await flushed()
    expect(totals(socket)).toEqual([0, 1, 2])
  })

  test('a change during a lookup that an earlier change caused is told', async () => {
    const socket = connect()
    socket.say('watch', tea)
    await settled()
    const answer = slowly()
    hub.recheckAll()
    await flushed()
    createPoll(tea, 'another')
    hub.apply({ tallies: new Map(), polls: new Map([[tea, version]]) })
    await flushed()
    answer()
    await settled()
    expect(socket.messages.at(-1)).toMatchObject({ type: 'snapshot', poll: { text: 'another' } })
  })

  test('nobody is told of a change what a lookup from before it has read', async () => {
    const early = connect()
    early.say('watch', tea)
    await settled()
    const answer = slowly()
    hub.recheckAll()
    await flushed()
    const late = connect()
    late.say('watch', tea)
    await settled()
    createPoll(tea, 'another')
    hub.apply({ tallies: new Map(), polls: new Map([[tea, version]]) })
    await flushed()
    expect(late.messages.at(-1)).toMatchObject({ type: 'snapshot', poll: { text: 'another' } })
    answer()
    await settled()
    expect(early.messages.at(-1)).toMatchObject({ type: 'snapshot', poll: { text: 'another' } })
  })
})

describe('a client that does not read', () => {
  const long = 'W'.repeat(3_000)

  test('never has more than the bound waiting, and a message; it is told the newest state, once', async () => {
    for (let i = 0; i < 50; i++) createPoll(uriOf(i), long)
    const uris = [...polls.keys()]
    const socket = connect()
    socket.reads = false
    for (let i = 0; i < 999; i++) {
      socket.say('watch', ...uris)
      await settled()
    }
    const message = Math.max(...socket.frames.map((frame) => Buffer.byteLength(frame)))
    expect(socket.most).toBeGreaterThanOrEqual(MAX_BUFFERED)
    expect(socket.most).toBeLessThan(MAX_BUFFERED + message)

    for (const uri of [...uris, ...uris]) vote(uri)
    await flushed()
    const { length } = socket.frames
    // All of it, in as many parts as there is room for.
    for (let n = 0; n !== socket.frames.length; await settled()) {
      n = socket.frames.length
      socket.drain()
    }
    expect(socket.most).toBeLessThan(MAX_BUFFERED + message)
    const rest = socket.messages.slice(length)
    expect(rest.map((it) => it.type === 'snapshot' && it.poll.total)).toEqual(uris.map(() => 2))
    expect(new Set(rest.map((it) => it.type === 'snapshot' && it.uri))).toEqual(new Set(uris))
    // And it is told tallies again.
    socket.reads = true
    vote(tea)
    await flushed()
    expect(socket.messages.at(-1)).toMatchObject({ type: 'tally', total: 3 })
  })

  /** Fills a client's socket with one answer. */
  const fill = async () => {
    const big = uriOf(-1)
    createPoll(big, 'W'.repeat(MAX_BUFFERED))
    const socket = connect()
    socket.reads = false
    socket.say('watch', big)
    await settled()
    return socket
  }

  test('costs the others no lookup', async () => {
    const [stuck, honest] = [await fill(), connect()]
    for (const socket of [stuck, honest]) socket.say('watch', tea)
    await settled()
    vote(tea)
    await flushed()
    expect(honest.messages.at(-1)).toMatchObject({ type: 'tally', total: 1 })
    const lookups = find.mock.calls.length
    await pinged()
    expect(find).toHaveBeenCalledTimes(lookups)
    expect(stuck.frames).toHaveLength(1)
  })

  /** A client that became full while a poll was looked up that is not there. */
  const fullWithFailure = async () => {
    const socket = await fill()
    socket.drain()
    find.mockImplementationOnce(async () => {
      socket.bufferedAmount = MAX_BUFFERED
      return { ok: false, uri: tea, error: 'PollNotFound', message: 'gone' }
    })
    socket.say('watch', tea)
    await settled()
    return socket
  }

  test('is told a failure later, without another lookup', async () => {
    const socket = await fullWithFailure()
    expect(socket.frames).toHaveLength(1)
    const lookups = find.mock.calls.length
    socket.bufferedAmount = 0
    socket.emit('message', Buffer.from('{"type":"unwatch","uris":["at://x"]}'))
    await settled()
    expect(socket.messages.at(-1)).toMatchObject({ type: 'error', error: 'PollNotFound' })
    expect(find).toHaveBeenCalledTimes(lookups)
  })

  test('is not told a failure that is over', async () => {
    const socket = await fullWithFailure()
    hub.apply({ tallies: new Map(), polls: new Map([[tea, version]]) })
    await flushed()
    socket.bufferedAmount = 0
    socket.emit('message', Buffer.from('{"type":"unwatch","uris":["at://x"]}'))
    await settled()
    expect(socket.messages.slice(1)).toMatchObject([{ type: 'snapshot', uri: tea }])
  })

  test('and sends what can’t be read is disconnected', async () => {
    const socket = await fill()
    socket.emit('message', Buffer.from('nonsense'))
    expect([socket.closed, socket.frames.length]).toEqual([1008, 1])
  })

  test('gets no pong, and its pings are counted like messages', async () => {
    const socket = await fill()
    socket.emit('ping', Buffer.from('a'))
    expect(socket.pongs).toEqual([])
    socket.drain()
    socket.emit('ping', Buffer.from('b'))
    expect(socket.pongs.map(String)).toEqual(['b'])
    for (let i = 0; i < 1_000; i++) socket.emit('ping', Buffer.from(''))
    expect(socket.closed).toBe(1008)
  })

  test('is disconnected when it has read nothing from one ping to the next', async () => {
    const [stuck, slow] = [await fill(), await fill()]
    await pinged()
    expect([stuck.terminated, slow.terminated]).toEqual([false, false])
    for (const socket of [stuck, slow]) socket.say('watch', uriOf(-1))
    slow.drain()
    await settled()
    expect(slow.bufferedAmount).toBeGreaterThan(MAX_BUFFERED)
    await pinged()
    expect([stuck.terminated, slow.terminated]).toEqual([true, false])
    expect(hub.watchers).toBe(1)
  })
})

test('a lookup that throws is an error for who watches that poll, and the others are told', async () => {
  createPoll(uriOf(1))
  const socket = connect()
  socket.say('watch', tea, uriOf(1))
  await settled()
  const error = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  find.mockRejectedValueOnce(new Error('the database is away'))
  hub.apply({ tallies: new Map(), polls: new Map([[tea, version]]) })
  vote(uriOf(1))
  await flushed()
  expect(error).toHaveBeenCalledWith(expect.stringContaining('the database is away'))
  error.mockRestore()
  expect(socket.messages.slice(2)).toMatchObject([
    { type: 'error', uri: tea, error: 'InternalServerError' },
    { type: 'tally', uri: uriOf(1), total: 1 },
  ])
  // It is still watched.
  vote(tea)
  await flushed()
  expect(socket.messages.at(-1)).toMatchObject({ type: 'tally', uri: tea, total: 1 })
})

test('a server that stops says so, and does not wait for those who do not answer', async () => {
  const [silent, late] = [connect(), new SocketStandIn()]
  silent.say('watch', tea)
  await settled()
  vote(tea)
  stop.abort()
  hub.add(late as unknown as WebSocket, budget)
  expect([silent.closed, silent.terminated, late.terminated]).toEqual([1001, false, true])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(silent.terminated).toBe(true)
  expect(silent.frames).toHaveLength(1)
})

describe('a watched poll that ends', () => {
  const END = Date.UTC(2026, 10, 25)
  const endsAt = new Date(END).toISOString()

  test('is told once more when it is over, with the server’s time, to all who watch it then', async () => {
    vi.setSystemTime(END - 5_000)
    createPoll(tea, '?', { endsAt })
    const [one, other, gone] = [connect(), connect(), connect()]
    for (const socket of [one, other, gone]) socket.say('watch', tea)
    await settled()
    gone.say('unwatch', tea)
    await vi.advanceTimersByTimeAsync(4_999)
    expect(one.messages).toMatchObject([{ type: 'snapshot', now: END - 5_000 }])
    await vi.advanceTimersByTimeAsync(300)
    for (const socket of [one, other])
      expect(socket.messages).toMatchObject([{}, { type: 'snapshot', uri: tea, poll: { endsAt } }])
    const [, last] = one.messages
    expect(last?.type === 'snapshot' && last.now).toBeGreaterThanOrEqual(END)
    expect(gone.messages).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(one.messages).toHaveLength(2)
  })

  test('is waited for no longer where its end moved, or nobody watches', async () => {
    vi.setSystemTime(END - 5_000)
    createPoll(tea, '?', { endsAt })
    const socket = connect()
    socket.say('watch', tea)
    await settled()
    createPoll(tea, '?', { endsAt: new Date(END + 5_000).toISOString() })
    hub.apply({ tallies: new Map(), polls: new Map([[tea, version]]) })
    await flushed()
    expect(socket.messages).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(6_000)
    expect(socket.messages).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(socket.messages).toHaveLength(3)
  })
})

test('C11: a tally says how many voters there are, where that is not its total', async () => {
  createPoll(tea, '?', { multiple: true, voters: 0 })
  const socket = connect()
  socket.say('watch', tea)
  await settled()
  polls.set(tea, { ...polls.get(tea)!, total: 3, voters: 2, version: ++version })
  hub.apply({
    tallies: new Map([[tea, { counts: new Map([[0, 3]]), edited: false, version }]]),
    polls: new Map(),
  })
  await flushed()
  expect(socket.messages.at(-1)).toMatchObject({ type: 'tally', total: 3, voters: 2 })
})

test('thousands of polls that end in the same second are told in turns, each once, and others are served meanwhile', async () => {
  const END = Date.UTC(2026, 10, 25)
  vi.setSystemTime(END - 5_000)
  const uris = Array.from({ length: 10 * MAX_WATCHED }, (_, n) => uriOf(n))
  for (const uri of uris) createPoll(uri, '?', { endsAt: new Date(END).toISOString() })
  const sockets = Array.from({ length: 10 }, (_, n) => {
    const socket = connect()
    const its = uris.slice(n * MAX_WATCHED, (n + 1) * MAX_WATCHED)
    for (let i = 0; i < its.length; i += 50) socket.say('watch', ...its.slice(i, i + 50))
    return socket
  })
  await settled()
  const told = () => sockets.reduce((sum, { frames }) => sum + frames.length, 0)
  expect(told()).toBe(uris.length)
  /** How many were told in each turn of the event loop. */
  const turns: number[] = []
  for (let before = told(); before < 2 * uris.length; before = told()) {
    await vi.advanceTimersToNextTimerAsync()
    if (told() > before) turns.push(told() - before)
  }
  expect(Math.max(...turns)).toBeLessThanOrEqual(100)
  for (const { messages } of sockets)
    expect(new Set(messages.slice(MAX_WATCHED).map((it) => it.type === 'snapshot' && it.uri)).size).toBe(
      MAX_WATCHED,
    )
  await vi.advanceTimersByTimeAsync(1_000)
  expect(told()).toBe(2 * uris.length)
})
