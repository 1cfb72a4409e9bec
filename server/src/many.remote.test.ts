/**
 * Many processes on one libSQL server with a replica: each part killed, hung or cut off in the middle of 50,000 votes.
 * Afterwards every machine serves what the oracle says, and who watched has seen versions that only grew.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Clock } from '../test/clock.ts'
import { LibsqlServer } from '../test/libsql-server.ts'
import { Oracle } from '../test/oracle.ts'
import { Process, Watcher } from '../test/processes.ts'
import { T0, identityMessage, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { libsqlServer } from '../test/remote.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { Wire } from '../test/wire.ts'
import { readEvent } from './ingest/events.ts'
import { openDatabase } from './store/database.ts'
import { recount } from './store/recount.ts'

const MINUTE = 60_000

let tap: TapStandIn
let primary: LibsqlServer
const closing: (() => unknown)[] = []

beforeEach(async () => {
  tap = await TapStandIn.listen()
  primary = await LibsqlServer.start()
})

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  await tap.close()
  await primary.close()
})

async function start(
  role: string,
  database: { url: string; authToken: string },
  env: Record<string, string> = {},
) {
  const it = new Process({
    ROLE: role,
    DATABASE_URL: database.url,
    DATABASE_AUTH_TOKEN: database.authToken,
    TAP_URL: tap.url,
    PLC_URL: 'http://127.0.0.1:9',
    LOG_LEVEL: 'info',
    ...env,
  })
  closing.push(() => it.end('SIGKILL'))
  return it.start()
}

const random = (below: number) => Math.floor(Math.random() * below)

const EVENTS = 50_000
const VOTERS = 3_000
const polls = Array.from({ length: 60 }, (_, i) => pollUri(`did:plc:author${i % 20}`, `poll${i}`))

test.skipIf(libsqlServer === 'standin')(
  'each part fails in the middle of 50,000 votes, and every machine has them all',
  { timeout: 600_000 },
  async () => {
    const oracle = new Oracle()
    const wire = await Wire.listen(primary.grpcUrl)
    closing.push(() => wire.close())
    const replica = await primary.startReplica(wire.url)
    closing.push(() => replica.close())
    const [ahead, behind] = [new Clock(), new Clock()]
    ahead.set(MINUTE)
    behind.set(-MINUTE)
    const ingesters = [await start('ingest', primary), await start('ingest', primary, behind.env)]
    const servers = [await start('serve', primary, ahead.env), await start('serve', replica)]
    const watchers = servers.map((server) => new Watcher(server, polls))
    closing.push(() => watchers.forEach((it) => it.end()))
    await vi.waitUntil(() => tap.connected)

    const sent: string[] = []
    const busy = new Set<string>()
    const sendNext = () => {
      const id = sent.length
      let did: string
      do did = `did:plc:voter${random(VOTERS)}`
      while (busy.has(did))
      const time = T0 + id * 1000
      const kind = Math.random()
      const message =
        id < polls.length
          ? recordMessage(pollEvent(polls[id]!, ['a', 'b', 'c'], time), id)
          : kind < 0.02
            ? identityMessage(did, Math.random() < 0.5 ? 'active' : 'deactivated', '', id)
            : recordMessage(
                voteEvent(
                  did,
                  polls[random(polls.length)]!,
                  kind < 0.07 ? null : random(4),
                  time,
                  kind < 0.2 ? { rkey: `own${random(3)}` } : {},
                ),
                id,
              )
      const change = readEvent(message).change!
      sent.push(change.did)
      oracle.deliver(change)
      busy.add(change.did)
      tap.send(message, id)
    }
    tap.onAck = (id) => {
      if (!busy.delete(sent[id]!)) return
      if (sent.length < EVENTS) sendNext()
    }
    for (let i = 0; i < 500; i++) sendNext()
    /** Lets a part of the votes go by. */
    const some = () => {
      const enough = Math.min(EVENTS, tap.acked.size + 3_000)
      return vi.waitUntil(() => tap.acked.size >= enough, { timeout: 120_000, interval: 5 })
    }
    const holder = () =>
      ingesters.find(
        (it) =>
          (/.*"this process (no longer )?ingests"/.exec(
            it.log.split('\n').findLast((line) => line.includes('ingests"')) ?? '',
          ) ?? ['no longer'])[1] === undefined && it.log.includes('"this process ingests"'),
      )
    await some()

    const took: Record<string, number> = {}
    /** How long it takes until another process ingests. */
    const takeover = async (name: string, fail: () => void) => {
      const connections = tap.connections
      const began = performance.now()
      fail()
      await vi.waitUntil(() => tap.connections > connections, { timeout: 30_000, interval: 5 })
      took[name] = Math.round(performance.now() - began)
      await some()
    }
    const first = holder()!
    await takeover('killed', () => first.signal('SIGKILL'))
    await first.start()
    const second = ingesters.find((it) => it !== first)!
    await takeover('hung', () => second.signal('SIGSTOP'))
    second.signal('SIGCONT')
    await some()
    await primary.restart()
    await some()
    await replica.restart()
    await some()
    wire.delay(5_000)
    await some()
    wire.break('flaky')
    await some()
    wire.heal()
    for (const server of servers) {
      await server.end('SIGKILL')
      await some()
      await server.start()
      await some()
    }
    await vi.waitUntil(() => tap.acked.size === EVENTS, { timeout: 300_000, interval: 50 })
    console.log(`another process ingests ${took['killed']} ms after a kill, ${took['hung']} ms after a hang`)

    const expected = polls.map((uri) => oracle.counts(uri))
    for (const [i, server] of servers.entries()) {
      await vi.waitFor(
        async () => {
          const served = await Promise.all(polls.map((uri) => server.poll(uri)))
          expect(served.map(({ options }) => options?.map(({ count }) => count))).toEqual(expected)
        },
        { timeout: 60_000, interval: 200 },
      )
      await vi.waitFor(
        () => expect(polls.map((uri) => watchers[i]!.last.get(uri)?.counts)).toEqual(expected),
        20_000,
      )
      expect(watchers[i]!.wrong).toEqual([])
      expect(await server.ready()).toMatchObject({ ready: true })
    }
    const client = await openDatabase(primary)
    expect(await recount(client)).toEqual([])
    client.close()
    for (const it of [...ingesters, ...servers]) expect(await it.end('SIGTERM')).toBe(0)
  },
)

test.skipIf(libsqlServer === 'standin')('a replica whose primary is away: it says what to do', async () => {
  const replica = await primary.startReplica()
  closing.push(() => replica.close())
  const serve = await start('serve', replica)
  expect(await serve.end('SIGTERM')).toBe(0)
  await primary.kill()
  await expect(start('serve', replica)).rejects.toThrow(
    'DATABASE_URL: it can be read, but not written: if it is a replica, start its primary first',
  )
})
