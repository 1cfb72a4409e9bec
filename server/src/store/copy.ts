/** Everything from one database into another, empty one, whatever each of them is: a file or a libSQL server. */
import type { Client, InValue } from '@libsql/client'
import { VOTERS } from './counting/rules.ts'
import { checkSchema, migrate, schemaOf } from './migrations.ts'
import { recount } from './recount.ts'

/** Rows of one request. */
const PAGE = 1_000

/** Tables in an order in which nothing names what is not there yet, each with the key it is read by. */
const TABLES: Record<string, string[]> = {
  accounts: ['id'],
  polls: ['id'],
  votes: ['poll', 'voter', 'family', 'rkey'],
  tallies: ['poll', 'option'],
  set_aside: ['uri', 'reason'],
  hidden: ['n'],
}

/** The numbers of the database as a whole, which every database has from its beginning; since schema 3. */
const STATE = 'state'

export type Counts = Record<string, number>

/** Rows of each table, and the voters that are counted. */
export async function countRows(client: Client): Promise<Counts> {
  const names = Object.keys(TABLES)
  const { rows } = await client.execute(
    `SELECT ${names.map((name) => `(SELECT count(*) FROM ${name}) AS ${name}`).join(', ')},
      (SELECT coalesce(${VOTERS}, 0) FROM tallies t) AS counted`,
  )
  return Object.fromEntries([...names, 'counted'].map((name) => [name, Number(rows[0]![name])]))
}

/**
 * The copy has the schema of what it is a copy of.
 *
 * @param say is told how far it is
 * @returns the counts, the same in both
 * @throws where `to` is not empty, where `from` changes meanwhile, or where the two differ in the end
 */
export async function copyDatabase(
  from: Client,
  to: Client,
  say: (message: string) => void,
): Promise<Counts> {
  const schema = await checkSchema(from)
  const before = await countRows(from)
  if ((await schemaOf(to)) > schema)
    throw new Error('the target has a newer schema than the source: begin with an empty one')
  await migrate(to, schema)
  const there = await countRows(to)
  if (Object.values(there).some((n) => n > 0))
    throw new Error(`the target is not empty: it has ${JSON.stringify(there)}`)
  for (const [table, key] of Object.entries(TABLES)) {
    await copyTable({ from, to, table, key })
    say(`${table}: ${before[table]}`)
  }
  if (schema >= 3) await copyTable({ from, to, table: STATE, key: ['name'] })
  const after = await countRows(from)
  if (JSON.stringify(before) !== JSON.stringify(after))
    throw new Error('the source has changed meanwhile: stop the server first, and begin with an empty target')
  const copied = await countRows(to)
  if (JSON.stringify(before) !== JSON.stringify(copied))
    throw new Error(`the copy differs: ${JSON.stringify(copied)} instead of ${JSON.stringify(before)}`)
  const differences = await recount(to)
  if (differences.length > 0)
    throw new Error(`the copy’s tallies differ from a recount: ${JSON.stringify(differences.slice(0, 3))}`)
  return copied
}

type Copied = { from: Client; to: Client; table: string; key: string[] }

/** Rows travel as JSON that nobody here reads: a release before may have stored integers that no number holds exactly. */
async function copyTable({ from, to, table, key }: Copied): Promise<void> {
  const { columns } = await from.execute(`SELECT * FROM ${table} LIMIT 0`)
  let after: InValue[] | undefined
  for (;;) {
    const { rows } = await from.execute({
      sql: `SELECT json_array(${columns}) AS json, ${key} FROM ${table}
        ${after ? `WHERE (${key}) > (${key.map(() => '?')})` : ''} ORDER BY ${key} LIMIT ?`,
      args: [...(after ?? []), PAGE],
    })
    if (rows.length === 0) return
    await to.batch(
      [
        {
          sql: `INSERT OR REPLACE INTO ${table} (${columns})
            SELECT ${columns.map((_, i) => `value ->> ${i}`)} FROM json_each(?)`,
          args: [`[${rows.map((row) => String(row['json'])).join(',')}]`],
        },
      ],
      'write',
    )
    after = key.map((name) => rows.at(-1)![name]!)
  }
}
