/** Who is there, and which one of them ingests: a lease in the database, by the database's clock. */
import { hostname } from 'node:os'
import type { Client, Row } from '@libsql/client'
import type { Role } from '../roles.ts'
import type { Step } from './counting/batch.ts'
import { SCHEMA } from './migrations.ts'

/** How long a lease that is not renewed stands, in s: with a beat every 2 s it is taken over within 10 s. */
const TERM = 6
/** What was not seen for so long, in s, is forgotten. */
const FORGET = 3_600

const INGEST = 'ingest'

/** `beat`: grows with each one. */
export type Beat = { id: string; role: Role; beat: number }

/** `until`: when it ends, by the database's clock. `left`: for how many seconds it still stands. */
export type Lease = { holder: string; fence: number; until: number; left: number }

const HELD = `SELECT holder, fence, until, until - unixepoch('subsec') AS left FROM leases WHERE name = '${INGEST}'`

const leaseOf = (row: Row): Lease => ({
  holder: String(row['holder']),
  fence: Number(row['fence']),
  until: Number(row['until']),
  left: Number(row['left']),
})

/** Names a process for all who look at the database: its host and number are what tells that it has died. */
export const processId = () => `${hostname()} ${process.pid} ${crypto.randomUUID().slice(0, 8)}`

/** Whether a process was on this host and is no longer there. One in another container has another host's name. */
function hasDied(id: string): boolean {
  const [host, pid] = id.split(' ')
  if (host !== hostname()) return false
  // This process has taken its number, as the first one of a container does that is started again.
  if (Number(pid) === process.pid) return true
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/**
 * Says that a process is there, and takes or renews the lease, where it may ingest and nobody else does.
 *
 * @returns the lease as it stands then; undefined: nobody has it
 */
export async function beat(client: Client, { id, role, beat }: Beat): Promise<Lease | undefined> {
  const before = role === 'serve' ? undefined : (await client.execute(HELD)).rows[0]
  const dead =
    before && before['holder'] !== id && hasDied(String(before['holder'])) ? before['holder']! : null
  const results = await client.batch(
    [
      {
        sql: `INSERT INTO processes VALUES (?, ?, ?, ?, unixepoch('subsec'))
          ON CONFLICT DO UPDATE SET beat = excluded.beat, seen = excluded.seen`,
        args: [id, role, SCHEMA, beat],
      },
      { sql: `DELETE FROM processes WHERE seen < unixepoch('subsec') - ${FORGET} OR id = ?`, args: [dead] },
      ...(role === 'serve'
        ? []
        : [
            {
              sql: `INSERT INTO leases VALUES ('${INGEST}', ?1, 1, unixepoch('subsec') + ${TERM})
                ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until,
                  fence = fence + (holder <> excluded.holder)
                WHERE holder IN (excluded.holder, ?2) OR until < unixepoch('subsec')`,
              args: [id, dead],
            },
          ]),
      HELD,
    ],
    'write',
  )
  const row = results.at(-1)!.rows[0]
  return row && leaseOf(row)
}

/** Says that a process ends: another one need not wait. */
export async function leave(client: Client, id: string): Promise<void> {
  await client.batch(
    [
      { sql: `UPDATE leases SET until = 0 WHERE holder = ?`, args: [id] },
      { sql: `DELETE FROM processes WHERE id = ?`, args: [id] },
    ],
    'write',
  )
}

/** The processes that were there within the last ten seconds, and the lease. */
export async function presence(client: Client): Promise<{
  lease: Lease | undefined
  processes: { id: string; role: string; schema: number }[]
}> {
  const { rows } = await client.execute(
    `SELECT id, role, schema FROM processes WHERE seen > unixepoch('subsec') - 10 ORDER BY id`,
  )
  const held = (await client.execute(HELD)).rows[0]
  return {
    lease: held && leaseOf(held),
    processes: rows.map(({ id, role, schema }) => ({
      id: String(id),
      role: String(role),
      schema: Number(schema),
    })),
  }
}

/** Lets a transaction of the holder commit only as long as nobody has taken the lease over. */
export const fenced = (fence: number): Step => ({
  sql: `INSERT INTO fenced_off SELECT ?1
    WHERE NOT EXISTS (SELECT 1 FROM leases WHERE name = '${INGEST}' AND fence = ?1)`,
  args: [fence],
})

/** Whether a transaction failed on its fence. */
export const isFencedOff = (error: unknown) =>
  error instanceof Error && /the_lease_is_lost/.test(error.message)
