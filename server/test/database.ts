/** The database that tests run on: a libSQL file, or in the `remote` project a libSQL server, as remote.ts chooses it. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { afterAll } from 'vitest'
import { openDatabase, type DatabaseOptions } from '../src/store/database.ts'
import { LibsqlServer } from './libsql-server.ts'
import { isShared, remoteDatabase } from './remote.ts'

/** Set by vitest.config.ts. */
export const isRemote = process.env['TEST_PROJECT'] === 'remote'

export const newFile = (): string => `file:${join(mkdtempSync(join(tmpdir(), 'pollz-test-')), 'test.db')}`

/** `server`: what serves it, to be killed and restarted; undefined for a file, or a server that is not ours. */
export type TestDatabase = DatabaseOptions & { server: LibsqlServer | undefined; close: () => Promise<void> }

/** Of this test file: one, unless a test uses several databases at once or kills its server for good. */
const servers: LibsqlServer[] = []
const idle: LibsqlServer[] = []

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()))
})

/** An empty database. `close` hands it back. */
export async function emptyDatabase(): Promise<TestDatabase> {
  const nothing = async () => {}
  if (!isRemote) return { url: newFile(), authToken: undefined, server: undefined, close: nothing }
  if (isShared) {
    const options = { url: remoteDatabase, authToken: process.env['TEST_DATABASE_AUTH_TOKEN'] }
    await dropTables(options)
    return { ...options, server: undefined, close: nothing }
  }
  let server = idle.pop()
  if (!server) {
    server = await LibsqlServer.start()
    servers.push(server)
  }
  const { url, authToken } = server
  await dropTables({ url, authToken })
  const close = async () => {
    if (server.running) idle.push(server)
  }
  return { url, authToken, server, close }
}

async function dropTables(options: DatabaseOptions): Promise<void> {
  const client = createClient(options)
  const { rows } = await client.execute(
    `SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view')
      AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'libsql_%'`,
  )
  // A server has foreign keys on; a migration is what runs without them.
  await client.migrate(rows.map(({ type, name }) => `DROP ${type} "${name}"`))
  client.close()
}

const fixtures = join(import.meta.dirname, 'fixtures')

/** Databases as releases wrote them. */
export const releases = readdirSync(fixtures)

export async function loadRelease(name: string, into: DatabaseOptions): Promise<void> {
  const client = await openDatabase(into)
  await client.executeMultiple(readFileSync(join(fixtures, name), 'utf8'))
  client.close()
}

/** Everything that is in a database: the statements that made it, and the rows of each table. */
export async function contentsOf({ url, authToken }: DatabaseOptions) {
  // Not every integer in it is a safe one.
  const client = createClient({ url, intMode: 'bigint', ...(authToken === undefined ? {} : { authToken }) })
  const read = async (sql: string) => (await client.execute(sql)).rows.map((row) => ({ ...row }))
  const schema = await read(
    `SELECT name, type, sql FROM sqlite_schema WHERE name NOT LIKE 'libsql_%' ORDER BY name`,
  )
  const tables: Record<string, object[]> = {}
  for (const { name, type } of schema)
    if (type === 'table') tables[String(name)] = await read(`SELECT * FROM "${name}"`)
  const integrity = await read('PRAGMA integrity_check')
  client.close()
  return { schema, tables, integrity }
}
