/** Several processes on one database, each with its role: what one stores, all serve. */
import { familyOfPoll } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { emptyDatabase, isRemote } from '../test/database.ts'
import { NetworkStandIn, entry, makeProof } from '../test/pds-standin.ts'
import { CID, T0, iso, pollRecordIn } from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { connectWatcher } from '../test/watcher.ts'
import { Wire } from '../test/wire.ts'
import { readConfig } from './config.ts'
import { createLog } from './log.ts'
import { startServer } from './server.ts'
import type { DatabaseOptions } from './store/database.ts'

const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
const didOf = (name: string) => `did:plc:${name.padEnd(24, 'a')}`
const [alice, bob, carol] = [didOf('alice'), didOf('bob'), didOf('carol')] as const
const poll = `at://${alice}/${tokimeki.poll}/3kaaaaaaaaaa2`
const voteOf = (did: string) => `at://${did}/${tokimeki.votes[0]!.nsid}/3kaaaaaaaaaa2`

let database: Awaited<ReturnType<typeof emptyDatabase>>
let tap: TapStandIn
let network: NetworkStandIn
/** of the PDS, by at-uri */
let records: Map<string, unknown>
let closing: (() => unknown)[]

beforeEach(async () => {
  closing = []
  database = await emptyDatabase()
  tap = await TapStandIn.listen()
  network = await NetworkStandIn.start()
  const written = { poll: { uri: poll, cid: CID }, choices: [1], createdAt: iso(T0 + 1) }
  records = new Map<string, unknown>([
    [poll, JSON.parse(JSON.stringify(pollRecordIn(tokimeki, { options: ['yes', 'no'], time: T0 })))],
    ...[bob, carol].map((did) => [voteOf(did), tokimeki.writeVote(written)[0]!.record] as const),
  ])
  const pds = await network.serve(async (request, response) => {
    const query = new URL(request.url!, 'http://pds').searchParams
    const [did, nsid, key] = ['did', 'collection', 'rkey'].map((name) => query.get(name)!)
    const record = records.get(`at://${did}/${nsid}/${key}`)
    const proof = await makeProof({ did: did!, key: network.key }, async (add) =>
      add({ l: null, e: record === undefined ? [] : [entry(`${nsid}/${key}`, await add(record))] }),
    )
    response.end(proof)
  })
  for (const did of [alice, bob, carol]) network.register(did, pds)
})

afterEach(async () => {
  for (const close of closing.toReversed()) await close()
  await tap.close()
  network.close()
  await database.close()
})

/** @returns its base URL */
async function start(role: string, { url, authToken }: DatabaseOptions, tapUrl = tap.url): Promise<string> {
  const stop = new AbortController()
  const config = readConfig({
    ROLE: role,
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: url,
    DATABASE_AUTH_TOKEN: authToken,
    TAP_URL: tapUrl,
    PLC_URL: network.plcUrl,
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  closing.push(() => {
    stop.abort()
    return server.done
  })
  return `http://127.0.0.1:${server.port}`
}

const json = async (url: string) => (await fetch(url)).json() as Promise<unknown>
const served = async (base: string) =>
  (await json(`${base}/api/polls/${encodeURIComponent(poll)}`)) as PollView
const announce = async (base: string, uri: string) =>
  (await (
    await fetch(`${base}/api/votes`, { method: 'POST', body: JSON.stringify({ uri }) })
  ).json()) as PollView

test('what is announced to one that only serves, all serve and push, and tap tracks the voter', async () => {
  const ingest = await start('ingest', database)
  const other = await start('serve', database)
  // It can't reach tap.
  const serve = await start('serve', database, 'http://127.0.0.1:9')
  await vi.waitUntil(() => tap.connected)
  expect(await served(other)).toMatchObject({ total: 0 })
  const watcher = await connectWatcher(other)
  watcher.socket.send(JSON.stringify({ type: 'watch', uris: [poll] }))
  await vi.waitUntil(() => watcher.messages.length > 0)
  expect(await announce(serve, voteOf(bob))).toMatchObject({ options: [{ count: 0 }, { count: 1 }] })
  await vi.waitUntil(() => watcher.messages.some((it) => it.type === 'tally' && it.total === 1))
  expect(await served(other)).toMatchObject({ total: 1 })
  await vi.waitUntil(() => tap.added.has(bob) && tap.added.has(alice))
  // Taken back, at another one: it says of which poll.
  records.delete(voteOf(bob))
  expect(await announce(other, voteOf(bob))).toMatchObject({ uri: poll, total: 0 })
  await vi.waitFor(async () => expect(await served(serve)).toMatchObject({ total: 0 }))
  watcher.socket.close()
  expect(await json(`${ingest}/ready`)).toMatchObject({ ready: true, role: 'ingest' })
})

test('one that ingests has nothing to show', async () => {
  const base = await start('ingest', database)
  await vi.waitUntil(() => tap.connected)
  const status = async (path: string) =>
    (await fetch(`${base}${path}`, { headers: { accept: 'text/html' } })).status
  expect(await Promise.all(['/health', '/metrics'].map(status))).toEqual([200, 200])
  await vi.waitFor(async () => expect(await status('/ready')).toBe(200))
  expect(await Promise.all(['/', `/api/polls`, '/oauth/callback'].map(status))).toEqual([404, 404, 404])
  await expect(connectWatcher(base)).rejects.toThrow('404')
})

/** A file is not lost like that. */
const onServer = isRemote ? describe : () => {}

onServer('one that loses its database', () => {
  test.each(['refuse', 'hang'] as const)(
    'serves what it has, says so, and catches up without a gap: %s',
    async (fault) => {
      const wire = await Wire.listen(database.url)
      closing.unshift(() => wire.close())
      await start('ingest', database)
      const other = await start('serve', database)
      const serve = await start('serve', { url: wire.url, authToken: database.authToken })
      await announce(serve, voteOf(bob))
      const watcher = await connectWatcher(serve)
      watcher.socket.send(JSON.stringify({ type: 'watch', uris: [poll] }))
      await vi.waitUntil(() => watcher.messages.length > 0)
      wire.break(fault)
      await vi.waitFor(
        async () => expect(await json(`${serve}/ready`)).toMatchObject({ ready: false }),
        30_000,
      )
      await vi.waitFor(async () => expect(await served(serve)).toHaveProperty('asOf'), 30_000)
      expect(await served(serve)).toMatchObject({ total: 1 })
      await vi.waitUntil(() =>
        watcher.messages.some((it) => it.type === 'snapshot' && it.poll.asOf !== undefined),
      )
      expect(await announce(other, voteOf(carol))).toMatchObject({ total: 2 })
      expect(await served(serve)).toMatchObject({ total: 1 })
      wire.heal()
      await vi.waitFor(async () => {
        expect(await served(serve)).toMatchObject({ total: 2 })
        expect(await served(serve)).not.toHaveProperty('asOf')
        expect(await json(`${serve}/ready`)).toMatchObject({ ready: true })
      }, 30_000)
      await vi.waitUntil(() => {
        const last = watcher.messages.findLast((it) => it.type === 'snapshot')
        return last?.poll.total === 2 && last.poll.asOf === undefined
      })
      watcher.socket.close()
    },
  )
})
