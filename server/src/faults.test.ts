/**
 * The whole server while its database fails: wires that are reset, answers that are lost, hangs, kills, locks, a full
 * disk, a clock that steps. After each, nothing that was acked is missing, the tallies equal a recount and what the
 * oracle says, and so does what is served, without a restart.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { tid } from '@pollz/shared/tid'
import type { PollView } from '@pollz/shared/wire'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { Clock } from '../test/clock.ts'
import { emptyDatabase, isRemote, newFile, type TestDatabase } from '../test/database.ts'
import { mountDisk } from '../test/disk.ts'
import { holdLock } from '../test/lock.ts'
import { libsqlServer } from '../test/remote.ts'
import { Oracle } from '../test/oracle.ts'
import { T0, identityMessage, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { Wire, type Fault } from '../test/wire.ts'
import { readConfig } from './config.ts'
import { readEvent } from './ingest/events.ts'
import { createLog } from './log.ts'
import { startServer } from './server.ts'
import { openDatabase, type DatabaseOptions } from './store/database.ts'
import { recount } from './store/recount.ts'

const POLLS = 40
const polls = Array.from({ length: POLLS }, (_, i) => pollUri(`did:plc:author${i % 7}`, `poll${i}`))

let tap: TapStandIn
let stop: AbortController
let base: string
let done: Promise<void> | undefined
let oracle: Oracle
let nextId: number

beforeEach(async () => {
  tap = await TapStandIn.listen()
  oracle = new Oracle()
  nextId = 0
})

afterEach(async () => {
  stop?.abort()
  await done
  done = undefined
  await tap.close()
})

async function start({ url, authToken }: DatabaseOptions): Promise<void> {
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: url,
    DATABASE_AUTH_TOKEN: authToken,
    TAP_URL: tap.url,
    PLC_URL: 'http://127.0.0.1:9',
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  base = `http://127.0.0.1:${server.port}`
  done = server.done
  await vi.waitUntil(() => tap.connected, 5000)
}

const random = (below: number) => Math.floor(Math.random() * below)

/** Sends an event, once: what is not acked the stand-in sends again at the next connection, as tap does. */
function send(message: (id: number) => string): number {
  const id = nextId++
  const text = message(id)
  oracle.deliver(readEvent(text).change!)
  tap.send(text, id)
  return id
}

const isAcked = (ids: number[]) => vi.waitUntil(() => ids.every((id) => tap.acked.has(id)), 60_000)

const vote = (did: string, poll: string, option: number | null, time: number) => (id: number) =>
  recordMessage(voteEvent(did, poll, option, time), id)

/** Polls, then votes of many voters, one under way for each of them, until `events` are acked. */
async function deliverMany(events: number): Promise<void> {
  await isAcked(polls.map((uri) => send((id) => recordMessage(pollEvent(uri, ['a', 'b', 'c'], T0), id))))
  const busy = new Map<number, string>()
  const first = nextId
  const next = () => {
    let did: string
    do did = `did:plc:voter${random(400)}`
    while ([...busy.values()].includes(did))
    const kind = Math.random()
    const time = T0 + nextId * 1000
    const id = send(
      kind < 0.03
        ? (n) => identityMessage(did, kind < 0.015 ? 'active' : 'deactivated', '', n)
        : vote(did, polls[random(POLLS)]!, kind < 0.1 ? null : random(3), time),
    )
    busy.set(id, did)
  }
  tap.onAck = (id) => {
    busy.delete(id)
    if (nextId < first + events) next()
  }
  for (let i = 0; i < 50; i++) next()
  await vi.waitUntil(() => tap.acked.size === first + events, { timeout: 120_000, interval: 10 })
  tap.onAck = () => {}
}

const served = async (uri: string): Promise<number[] | string> => {
  const response = await fetch(`${base}/api/polls/${encodeURIComponent(uri)}`)
  const body = (await response.json()) as PollView & { error?: string }
  return response.ok ? body.options.map(({ count }) => count) : (body.error ?? '')
}

/**
 * Where a recount, or what is served, differs from the oracle.
 *
 * @param direct how the database is reached without the fault
 */
async function differences(direct: DatabaseOptions): Promise<unknown[]> {
  const client = await openDatabase(direct)
  const found: unknown[] = await recount(client)
  client.close()
  for (const uri of polls) {
    const expected = oracle.counts(uri)
    let counts: number[] | string = ''
    const isRight = async () => {
      counts = await served(uri)
      return JSON.stringify(counts) === JSON.stringify(expected)
    }
    // What was given up on may have been committed after all: it is looked at again for a while.
    await vi
      .waitUntil(isRight, { timeout: 40_000, interval: 100 })
      .catch(() => found.push({ uri, counts, expected }))
  }
  return found
}

const ready = async () => {
  const response = await fetch(`${base}/ready`)
  return { status: response.status, ...((await response.json()) as { database: string }) }
}
const becomesReady = () =>
  vi.waitUntil(async () => (await ready()).status === 200, { timeout: 40_000, interval: 50 })
const becomesUnready = () =>
  vi.waitUntil(async () => (await ready()).database !== 'ok', { timeout: 30_000, interval: 50 })

async function watch(uri: string) {
  const socket = new WebSocket(`${base.replace('http', 'ws')}/live`)
  const versions: number[] = []
  let counts: number[] = []
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as {
      type: string
      version: number
      counts: number[]
      poll: PollView
    }
    if (message.type === 'tally') {
      versions.push(message.version)
      counts = message.counts
    } else if (message.type === 'snapshot') {
      versions.push(message.poll.version)
      counts = message.poll.options.map(({ count }) => count)
    }
  })
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'watch', uris: [uri] }))
  await vi.waitUntil(() => versions.length > 0, 5000)
  return { versions, counts: () => counts, close: () => socket.close() }
}

/** What needs a libSQL server, and what needs a file. */
const [onServer, onFile] = isRemote ? [describe, () => {}] : [() => {}, describe]

onServer('a wire to the database', () => {
  let database: TestDatabase
  let wire: Wire

  beforeEach(async () => {
    database = await emptyDatabase()
    wire = await Wire.listen(database.url)
  })
  afterEach(async () => {
    stop.abort()
    await done
    await wire.close()
    await database.close()
  })

  test('that is reset at random loses nothing', { timeout: 240_000 }, async () => {
    await start({ ...database, url: wire.url })
    wire.break('flaky')
    while (wire.hits.flaky < 25) await deliverMany(500)
    wire.heal()
    expect(await differences(database)).toEqual([])
  })

  test.each<Fault>(['refuse', 'lose', 'hang'])(
    'with the fault "%s": what is acked is counted, what is served and pushed follows, /ready says so',
    { timeout: 120_000 },
    async (fault) => {
      await start({ ...database, url: wire.url })
      const [tea] = polls as [string]
      await isAcked(polls.map((uri) => send((id) => recordMessage(pollEvent(uri, ['a', 'b', 'c'], T0), id))))
      const watcher = await watch(tea)
      wire.break(fault)
      const began = performance.now()
      const ids = Array.from({ length: 30 }, (_, i) => send(vote(`did:plc:voter${i}`, tea, i % 2, T0 + 1000)))
      await becomesUnready()
      console.log(`${fault}: /ready said so after ${Math.round(performance.now() - began)} ms`)
      await vi.waitUntil(() => wire.hits[fault] > 0)
      expect(tap.acked.size).toBe(POLLS)
      // What is known is still served.
      expect(await served(tea)).toHaveLength(3)
      wire.heal()
      await isAcked(ids)
      await becomesReady()
      expect(await differences(database)).toEqual([])
      await vi.waitFor(() => expect(watcher.counts()).toEqual([15, 15, 0]), 40_000)
      expect(watcher.versions).toEqual(watcher.versions.toSorted((a, b) => a - b))
      watcher.close()
    },
  )
})

onServer('stopping', () => {
  test('waits for no database that hangs; what was not acked comes again', { timeout: 60_000 }, async () => {
    const database = await emptyDatabase()
    const wire = await Wire.listen(database.url)
    const server = spawn('node', [join(import.meta.dirname, 'main.ts')], {
      env: {
        ...process.env,
        PORT: '0',
        HOST: '127.0.0.1',
        DATABASE_URL: wire.url,
        DATABASE_AUTH_TOKEN: database.authToken ?? '',
        TAP_URL: tap.url,
        LOG_LEVEL: 'error',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await vi.waitUntil(() => tap.connected, 20_000)
    const [tea] = polls as [string]
    await isAcked([send((id) => recordMessage(pollEvent(tea, ['a', 'b', 'c'], T0), id))])
    wire.break('hang')
    const ids = Array.from({ length: 2_000 }, (_, i) => send(vote(`did:plc:voter${i}`, tea, 1, T0 + 1000)))
    await vi.waitUntil(() => wire.hits.hang > 0, 10_000)
    const began = performance.now()
    server.kill('SIGTERM')
    const [code] = (await once(server, 'exit')) as [number | null]
    console.log(`stopped after ${Math.round(performance.now() - began)} ms beside a database that hangs`)
    expect(code).toBe(0)
    wire.heal()
    await start(database)
    await isAcked(ids)
    await vi.waitFor(async () => expect(await served(tea)).toEqual([0, 2_000, 0]))
    stop.abort()
    await done
    await wire.close()
    await database.close()
  })
})

onServer('a database server', () => {
  test('that is killed with -9 and comes back', { timeout: 120_000 }, async () => {
    const database = await emptyDatabase()
    await start(database)
    const delivered = deliverMany(4_000)
    for (let kills = 1; kills <= 4; kills++) {
      await vi.waitUntil(() => tap.acked.size > kills * 800, { timeout: 30_000, interval: 1 })
      await database.server!.kill()
      await becomesUnready()
      await database.server!.restart()
    }
    await delivered
    expect(await differences(database)).toEqual([])
    stop.abort()
    await done
    await database.close()
  })
})

test.skipIf(isRemote && libsqlServer === 'standin')(
  'a write lock that somebody holds for long',
  { timeout: 120_000 },
  async () => {
    const database = await emptyDatabase()
    await start(database)
    await isAcked(polls.map((uri) => send((id) => recordMessage(pollEvent(uri, ['a', 'b', 'c'], T0), id))))
    const [tea] = polls as [string]
    let ids: number[] = []
    for (let round = 0; round < 2; round++) {
      const letGo = await holdLock(database)
      ids = [
        ...ids,
        ...Array.from({ length: 20 }, (_, i) => send(vote(`did:plc:v${round}x${i}`, tea, 1, T0 + 1000))),
      ]
      // Of a file it is said that it is locked; sqld lets others wait until it takes the lock back.
      if (!isRemote) await becomesUnready()
      else await isAcked(ids)
      await letGo()
      await isAcked(ids)
      await becomesReady()
    }
    expect(await differences(database)).toEqual([])
    stop.abort()
    await done
    await database.close()
  },
)

const disk = isRemote ? { missing: 'a file is on it' } : await mountDisk(8 * 1024 * 1024)
afterAll(async () => {
  if (!('missing' in disk)) await disk.close()
})

onFile('a disk', () => {
  test.skipIf('missing' in disk)('that is full', { timeout: 120_000 }, async () => {
    if ('missing' in disk) return
    const options = { url: `file:${join(disk.path, 'pollz.db')}`, authToken: undefined }
    await start(options)
    await isAcked(polls.map((uri) => send((id) => recordMessage(pollEvent(uri, ['a', 'b', 'c'], T0), id))))
    for (let round = 0; round < 3; round++) {
      disk.fill()
      const ids: number[] = []
      // The pages that earlier transactions left in its files take some more.
      for (let i = 0; (await ready()).database === 'ok' && i < 5_000; i++)
        ids.push(send(vote(`did:plc:voter${round}x${i}`, polls[i % POLLS]!, i % 3, T0 + 1000)))
      expect((await ready()).database).toMatch(/full|I\/O/i)
      disk.free()
      await isAcked(ids)
      await becomesReady()
    }
    expect(await differences(options)).toEqual([])
    stop.abort()
    await done
  })
})

onFile('a clock that steps', () => {
  test(
    'versions never go back, over restarts too; a rev far ahead of the clock is refused',
    { timeout: 60_000 },
    async () => {
      const clock = new Clock()
      const database = newFile()
      const [tea] = polls as [string]
      const main = join(import.meta.dirname, 'main.ts')
      const run = async (): Promise<{ end: () => Promise<void> }> => {
        const server = spawn('node', [main], {
          env: {
            ...process.env,
            ...clock.env,
            PORT: '0',
            HOST: '127.0.0.1',
            DATABASE_URL: database,
            TAP_URL: tap.url,
            LOG_LEVEL: 'info',
          },
          stdio: ['ignore', 'ignore', 'pipe'],
        })
        let log = ''
        server.stderr.on('data', (data: Buffer) => (log += data.toString()))
        await vi.waitUntil(() => /"listening","port":(\d+)/.test(log) && tap.connected, 10_000)
        base = `http://127.0.0.1:${/"listening","port":(\d+)/.exec(log)![1]}`
        return {
          end: async () => {
            server.kill('SIGTERM')
            await once(server, 'exit')
          },
        }
      }
      const told = async () => {
        const response = await fetch(`${base}/api/polls/${encodeURIComponent(tea)}`)
        return (await response.json()) as PollView
      }
      const versions: number[] = []
      const voted = async (i: number) => {
        await isAcked([send(vote(`did:plc:voter${i}`, tea, 1, T0 + 1000))])
        const { version } = await vi.waitUntil(async () => {
          const found = await told()
          return found.total === i + 1 && found
        })
        versions.push(version)
      }
      clock.set(3_600_000)
      let server = await run()
      await isAcked([send((id) => recordMessage(pollEvent(tea, ['a', 'b', 'c'], T0), id))])
      await voted(0)
      clock.set(0)
      await voted(1)
      await server.end()
      server = await run()
      await voted(2)
      expect(versions).toEqual(versions.toSorted((a, b) => a - b))
      expect(new Set(versions).size).toBe(3)

      const ahead = {
        ...voteEvent('did:plc:mallory', tea, 0, T0),
        rev: tid((Date.now() + 6 * 60_000) * 1000),
      }
      const id = nextId++
      tap.send(recordMessage(ahead, id), id)
      await isAcked([id])
      await vi.waitFor(async () => expect(await served(tea)).toEqual([0, 3, 0]))
      const soon = { ...ahead, rev: tid((Date.now() + 4 * 60_000) * 1000) }
      await isAcked([send((n) => recordMessage(soon, n))])
      await vi.waitFor(async () => expect(await served(tea)).toEqual([1, 3, 0]))
      await server.end()
    },
  )
})
