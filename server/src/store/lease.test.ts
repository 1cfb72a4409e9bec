import type { Client } from '@libsql/client'
import { hostname } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { emptyDatabase } from '../../test/database.ts'
import { T0, pollEvent, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { readEvent } from '../ingest/events.ts'
import { openDatabase } from './database.ts'
import { beat, leave, processId } from './lease.ts'
import { SCHEMA, migrate } from './migrations.ts'
import { findPoll, stateOf } from './queries.ts'
import { Store } from './store.ts'

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
/** Processes on other hosts: of those nobody can see whether they run. */
const [a, b] = ['host-a 1 x', 'host-b 1 y'] as const

let database: Awaited<ReturnType<typeof emptyDatabase>>
let client: Client
let beats = 0

beforeEach(async () => {
  database = await emptyDatabase()
  client = await openDatabase(database)
  await migrate(client)
})
afterEach(async () => {
  client.close()
  await database.close()
})

const ingests = (id: string) => beat(client, { id, role: 'ingest', beat: ++beats })
/** The upgrades that there are, and one more. */
const steps = [
  ...Array.from({ length: SCHEMA }, (): string[] => []),
  ['CREATE TABLE of_the_next (n INTEGER) STRICT'],
]

/** The lease ends as if its term were over. */
const expire = () => client.execute(`UPDATE leases SET until = unixepoch('subsec') - 0.001`)

test('one has it, as long as it renews it, and then another, with a greater fence', async () => {
  expect(await ingests(a)).toMatchObject({ holder: a, fence: 1 })
  expect(await ingests(b)).toMatchObject({ holder: a, fence: 1 })
  expect(await ingests(a)).toMatchObject({ holder: a, fence: 1 })
  await expire()
  expect(await ingests(b)).toMatchObject({ holder: b, fence: 2 })
  expect(await ingests(a)).toMatchObject({ holder: b, fence: 2 })
})

test('who only serves takes no lease, and renews none', async () => {
  expect(await beat(client, { id: a, role: 'serve', beat: 1 })).toBeUndefined()
  await ingests(b)
  await expire()
  expect((await beat(client, { id: b, role: 'serve', beat: 2 }))!.left).toBeLessThanOrEqual(0)
})

test.each([
  ['that has said that it ends', a, () => leave(client, a)],
  ['that has died on this host', `${hostname()} 4194305 x`, async () => {}],
  ['that this one was, before it was started again', `${hostname()} ${process.pid} x`, async () => {}],
])('nobody waits for one %s', async (_, gone, end) => {
  await ingests(gone)
  await end()
  expect(await ingests(b)).toMatchObject({ holder: b })
  const { rows } = await client.execute('SELECT id FROM processes')
  expect(rows).toEqual([expect.objectContaining({ id: b })])
})

test('one that runs on this host is waited for', async () => {
  const alive = `${hostname()} ${process.ppid} x`
  await ingests(alive)
  expect(await ingests(b)).toMatchObject({ holder: alive })
})

test('two processes have two names', () => {
  expect(processId()).not.toBe(processId())
})

test('a batch of somebody who has lost the lease stores nothing, and one after it is stored', async () => {
  const store = await Store.open(database)
  const changes = [pollEvent(tea, ['yes', 'no'], T0), voteEvent('did:plc:bob', tea, 1, T0 + 1)].map(
    (event) => readEvent(recordMessage(event)).change!,
  )
  const { fence } = (await ingests(a))!
  await expire()
  const newer = (await ingests(b))!.fence
  expect(await store.store(changes, [], fence)).toMatchObject({ outcome: 'unknown', fencedOff: true })
  expect(await findPoll(client, tea)).toEqual({ state: 'unknown' })
  const { rows } = await client.execute('SELECT uri FROM set_aside')
  expect(rows).toEqual([])
  // Nor what it says of where it is.
  const said = (value: number, by: number) => store.do({ remember: { name: 'jetstream', value, fence: by } })
  expect(await said(7, newer)).toMatchObject({ outcome: 'committed' })
  expect(await said(3, fence)).toMatchObject({ fencedOff: true })
  expect(await stateOf(client, 'jetstream')).toBe(7)
  // The same votes by both: counted once (C3).
  for (let i = 0; i < 2; i++)
    expect(await store.store(changes, [], newer)).toMatchObject({ outcome: 'committed' })
  expect(await findPoll(client, tea)).toMatchObject({ poll: { total: 1 } })
  store.close()
})

test('an upgrade that older servers can’t go on with waits until none is left', async () => {
  await ingests(a)
  const said: string[] = []
  const upgrade = migrate(client, SCHEMA + 1, { steps, say: (it) => said.push(it) })
  // It has looked, and nothing but the end of the other one lets it go on.
  while (said.length === 0) await new Promise(setImmediate)
  expect(said).toEqual([`the upgrade waits for older servers to stop: ${a}`])
  expect((await client.execute(`SELECT 1 FROM sqlite_schema WHERE name = 'of_the_next'`)).rows).toEqual([])
  await leave(client, a)
  await upgrade
  expect((await client.execute(`SELECT 1 FROM sqlite_schema WHERE name = 'of_the_next'`)).rows).toHaveLength(
    1,
  )
})

test('an upgrade that older servers can go on with does not wait', async () => {
  await ingests(a)
  await migrate(client, SCHEMA + 1, { steps, beside: { [SCHEMA + 1]: SCHEMA } })
  expect((await client.execute(`SELECT max(n) AS n FROM migrations`)).rows[0]).toMatchObject({
    n: SCHEMA + 1,
  })
})

test('several that upgrade at once', async () => {
  const other = await emptyDatabase()
  const clients = await Promise.all(Array.from({ length: 3 }, () => openDatabase(other)))
  await Promise.all(clients.map((it) => migrate(it)))
  expect((await clients[0]!.execute('SELECT count(*) AS n FROM migrations')).rows[0]).toMatchObject({
    n: SCHEMA,
  })
  for (const it of clients) it.close()
  await other.close()
})
