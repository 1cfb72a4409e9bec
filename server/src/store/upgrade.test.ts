/** A newer server takes over the database of every release before it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyDatabase, loadRelease, releases } from '../../test/database.ts'
import { T0, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { openDatabase } from './database.ts'
import { SCHEMA } from './migrations.ts'
import { findPoll, votesOf } from './queries.ts'
import { recount } from './recount.ts'
import { Writer } from '../writer.ts'

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
const edited = pollUri('did:plc:bob', '3kcccccccccc2')

let database: Awaited<ReturnType<typeof emptyDatabase>>

beforeEach(async () => (database = await emptyDatabase()))
afterEach(() => database.close())

describe.each(releases)('%s', (release) => {
  test('is taken over with every count as it was, and goes on', async () => {
    await loadRelease(release, database)
    const store = await Writer.open(database)
    const counts = async (uri: string) => {
      const found = await findPoll(store.reader, uri)
      return found.state === 'there' ? found.poll.options.map(({ count }) => count) : found.state
    }
    expect(await counts(tea)).toEqual([5, 6])
    expect(await counts(edited)).toEqual([7, 6])
    expect(await findPoll(store.reader, edited)).toMatchObject({
      poll: { edited: true, handle: 'bob.example' },
    })
    expect(await recount(store.reader)).toEqual([])
    expect((await votesOf(store.reader, tea, 100, undefined, undefined)).items).toHaveLength(11)
    await store.storeMessages([recordMessage(voteEvent('did:plc:new', tea, 0, T0 + 1_000_000))])
    expect(await counts(tea)).toEqual([6, 6])
    await store.close()
  })
})

test('a server that is older than its database says so, and touches nothing', async () => {
  const store = await Writer.open(database)
  await store.close()
  const client = await openDatabase(database)
  await client.execute({ sql: 'INSERT INTO migrations VALUES (?)', args: [SCHEMA + 1] })
  client.close()
  await expect(Writer.open(database)).rejects.toThrow(`has schema ${SCHEMA + 1}`)
})
