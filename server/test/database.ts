/**
 * The database that tests run on: a libSQL file, or with TEST_DATABASE_URL a libSQL server: `standin`, or the address of
 * a real one (with TEST_DATABASE_AUTH_TOKEN), whose tables are dropped.
 */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { openDatabase, type DatabaseOptions } from '../src/store/database.ts'
import { HranaStandIn } from './hrana-standin.ts'

const given = process.env['TEST_DATABASE_URL']
const token = process.env['TEST_DATABASE_AUTH_TOKEN']

export const isRemote = given !== undefined

/** Of the stand-in, to see that it is sent. */
const STAND_IN_TOKEN = 'standin-token'

export const newFile = (): string => `file:${join(mkdtempSync(join(tmpdir(), 'pollz-test-')), 'test.db')}`

/** An empty database. `close` ends what serves it. */
export async function emptyDatabase(): Promise<DatabaseOptions & { close: () => Promise<void> }> {
  const nothing = async () => {}
  if (given === undefined) return { url: newFile(), authToken: undefined, close: nothing }
  if (given === 'standin') {
    const standIn = await HranaStandIn.listen(newFile().slice('file:'.length), STAND_IN_TOKEN)
    return { url: standIn.url, authToken: STAND_IN_TOKEN, close: () => standIn.close() }
  }
  const client = createClient({ url: given, authToken: token })
  const { rows } = await client.execute(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'libsql_%'`,
  )
  await client.batch(
    rows.map(({ name }) => `DROP TABLE "${name}"`),
    'write',
  )
  client.close()
  return { url: given, authToken: token, close: nothing }
}

const fixtures = join(import.meta.dirname, 'fixtures')

/** Databases as releases wrote them. */
export const releases = readdirSync(fixtures)

export async function loadRelease(name: string, into: DatabaseOptions): Promise<void> {
  const client = await openDatabase(into)
  await client.executeMultiple(readFileSync(join(fixtures, name), 'utf8'))
  client.close()
}
