import { afterEach, beforeEach, expect, test } from 'vitest'
import { emptyDatabase } from '../../test/database.ts'
import { T0, pollEvent, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { readEvent, type Change } from '../ingest/events.ts'
import { findPoll } from './queries.ts'
import { Store } from './store.ts'

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')

let database: Awaited<ReturnType<typeof emptyDatabase>>
let store: Store

beforeEach(async () => {
  database = await emptyDatabase()
  store = await Store.open(database, () => {})
})
afterEach(async () => {
  await store.close()
  await database.close()
})

const change = (event: Parameters<typeof recordMessage>[0]): Change => readEvent(recordMessage(event)).change!

test('a change that the database refuses is set aside and blocks no other', async () => {
  const bad = change(voteEvent('did:plc:mallory', tea, 0, T0 + 1))
  if (bad.type === 'vote') bad.vote = { ...bad.vote!, option: 'x' as unknown as number }
  const votes = Array.from({ length: 9 }, (_, i) =>
    change(voteEvent(`did:plc:voter${i}`, tea, i % 2, T0 + i)),
  )
  const stored = await store.storeChanges([change(pollEvent(tea, ['yes', 'no'], T0)), ...votes, bad])
  expect(stored.setAside).toMatchObject([
    { uri: expect.stringContaining('at://did:plc:mallory/'), reason: expect.stringContaining('refused') },
  ])
  expect(await findPoll(store.reader, tea)).toMatchObject({ poll: { total: 9 } })
})

test('a database that can’t be opened is an error that names the variable', async () => {
  await expect(Store.open({ url: 'file:/proc/none/x.db', authToken: undefined }, () => {})).rejects.toThrow(
    'DATABASE_URL',
  )
})
