/** A newer server takes over the database of every release before it, and can be killed while it does. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyDatabase, isRemote, newFile } from '../../test/database.ts'
import { T0, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { openDatabase } from './database.ts'
import { SCHEMA } from './migrations.ts'
import { findPoll, votesOf } from './queries.ts'
import { recount } from './recount.ts'
import { Store } from './store.ts'

const fixtures = join(import.meta.dirname, '../../test/fixtures')
const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
const edited = pollUri('did:plc:bob', '3kcccccccccc2')
const main = join(import.meta.dirname, '../main.ts')

let database: Awaited<ReturnType<typeof emptyDatabase>>

beforeEach(async () => (database = await emptyDatabase()))
afterEach(() => database.close())

async function load(release: string, into = database): Promise<void> {
  const client = await openDatabase(into)
  await client.executeMultiple(readFileSync(join(fixtures, release), 'utf8'))
  client.close()
}

describe.each(readdirSync(fixtures))('%s', (release) => {
  test('is taken over with every count as it was, and goes on', async () => {
    await load(release)
    const store = await Store.open(database, () => {})
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
  const store = await Store.open(database, () => {})
  await store.close()
  const client = await openDatabase(database)
  await client.execute({ sql: 'INSERT INTO migrations VALUES (?)', args: [SCHEMA + 1] })
  client.close()
  await expect(Store.open(database, () => {})).rejects.toThrow(`has schema ${SCHEMA + 1}`)
})

// Of a database on a server another process can't be killed here.
if (!isRemote) {
  test('killed again and again while it takes over, it takes over', { timeout: 120_000 }, async () => {
    for (let i = 0; i < 15; i++) {
      const file = { url: newFile(), authToken: undefined }
      await load('release-0.1.0.sql', { ...file, close: async () => {} })
      // From its first instruction to when it serves.
      const server = spawn('node', [main], {
        env: {
          ...process.env,
          DATABASE_URL: file.url,
          TAP_URL: '',
          PORT: '0',
          HOST: '127.0.0.1',
          LOG_LEVEL: 'error',
        },
        stdio: 'ignore',
      })
      const ended = new Promise((resolve) => server.once('exit', resolve))
      setTimeout(() => server.kill('SIGKILL'), 150 + i * 50)
      await ended
      const store = await Store.open(file, () => {})
      const { rows } = await store.reader.execute('PRAGMA integrity_check')
      expect(rows[0]!['integrity_check']).toBe('ok')
      const { rows: done } = await store.reader.execute('SELECT n FROM migrations ORDER BY n')
      expect(done.map((row) => Number(row['n']))).toEqual(Array.from({ length: SCHEMA }, (_, n) => n + 1))
      expect(await recount(store.reader)).toEqual([])
      await store.close()
    }
  })
}
