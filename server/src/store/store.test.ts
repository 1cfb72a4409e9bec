import type { Client } from '@libsql/client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { emptyDatabase } from '../../test/database.ts'
import { T0, pollEvent, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { readEvent, type Change } from '../ingest/events.ts'
import { openDatabase } from './database.ts'
import { findPoll } from './queries.ts'
import { Store } from './store.ts'

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')

let database: Awaited<ReturnType<typeof emptyDatabase>>
let store: Store
let reader: Client

beforeEach(async () => {
  database = await emptyDatabase()
  store = await Store.open(database)
  reader = await openDatabase(database)
})
afterEach(async () => {
  store.close()
  reader.close()
  await database.close()
})

const change = (event: Parameters<typeof recordMessage>[0]): Change => readEvent(recordMessage(event)).change!

test('a change that the database refuses is set aside and blocks no other', async () => {
  const bad = change(voteEvent('did:plc:mallory', tea, 0, T0 + 1))
  if (bad.type === 'vote') bad.vote = { ...bad.vote!, choice: 'x' as unknown as number }
  const votes = Array.from({ length: 9 }, (_, i) =>
    change(voteEvent(`did:plc:voter${i}`, tea, i % 2, T0 + i)),
  )
  expect(await store.store([change(pollEvent(tea, ['yes', 'no'], T0)), ...votes, bad])).toMatchObject({
    outcome: 'committed',
    setAside: [
      { uri: expect.stringContaining('at://did:plc:mallory/'), reason: expect.stringContaining('refused') },
    ],
  })
  expect(await findPoll(reader, tea)).toMatchObject({ poll: { total: 9 } })
})

test('what is newer is told poll by poll, and by a word where that is too much', async () => {
  const polls = Array.from({ length: 10_001 }, (_, i) =>
    change(pollEvent(pollUri('did:plc:alice', `3k${i}`), ['yes', 'no'], T0)),
  )
  const before = (await store.news(undefined, '')).version
  await store.store(polls.slice(1))
  const { polls: changed, isTooMuch, version } = await store.news(before, '')
  expect([changed.size, isTooMuch]).toEqual([10_000, false])
  expect((await store.news(version, '')).polls.size).toBe(0)
  await store.store(polls.slice(0, 1))
  expect(await store.news(before, '')).toMatchObject({ polls: new Map(), isTooMuch: true })
})

test('a database that can’t be opened is an error that names it, and nothing that is secret', async () => {
  const open = (url: string) => Store.open({ url, authToken: undefined })
  await expect(open('file:/proc/none/x.db')).rejects.toThrow("can't open file:/proc/none/x.db")
  await expect(open('http://user:secret@127.0.0.1:9/?authToken=secret')).rejects.toSatisfy(
    (error) => String(error).includes('http://127.0.0.1:9/') && !String(error).includes('secret'),
  )
})
