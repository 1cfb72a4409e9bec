/** C5: accounts that come and go, and with them what they did. */
import type { AccountChange } from '../../ingest/events.ts'
import { VERSION, given, type Step } from './batch.ts'
import { putBack, takeOut } from './tallies.ts'

const accounts = given('did', 'status', 'handle', 'knows_handle')
const dids = given('did')

/** Makes rows for accounts that have none. */
export const addAccounts = (names: Iterable<string>): Step => ({
  sql: `INSERT INTO accounts (did) SELECT did FROM ${dids.table()} WHERE true ON CONFLICT DO NOTHING`,
  args: [dids.argument([...new Set(names)].map((did) => ({ did })))],
})

/** @param changes at most one of each account */
export function accountSteps(changes: AccountChange[]): Step[] {
  const rows = accounts.argument(
    changes.map(({ did, status, handle }) => ({
      did,
      status,
      handle: handle ?? null,
      knows_handle: handle !== undefined,
    })),
  )
  const deleted = changes.filter(({ status }) => status === 'deleted')
  return [
    addAccounts(changes.map(({ did }) => did)),
    {
      sql: `SELECT e.did FROM ${accounts.table()} e JOIN accounts a ON a.did = e.did WHERE a.status <> e.status`,
      args: [rows],
      result: 'statuses',
    },
    {
      // Rows are touched only if their account starts or stops counting.
      sql: `INSERT OR IGNORE INTO touched SELECT v.poll, v.voter
        FROM ${accounts.table()} e JOIN accounts a ON a.did = e.did JOIN votes v ON v.voter = a.id
        WHERE (a.status = 'active') <> (e.status = 'active') AND v.poll <> 0
        UNION ALL SELECT v.poll, v.voter                              -- C8, C11: erased polls have no end, no options
        FROM ${accounts.table()} e JOIN accounts a ON a.did = e.did JOIN polls p ON p.author = a.id
        JOIN votes v ON v.poll = p.id
        WHERE e.status = 'deleted' AND (p.ends_at IS NOT NULL OR p.multiple)`,
      args: [rows],
    },
    takeOut(),
    {
      // With its author a poll is another one.
      sql: `UPDATE polls SET version = ${VERSION} WHERE author IN (
        SELECT a.id FROM ${accounts.table()} e JOIN accounts a ON a.did = e.did
        WHERE a.status <> e.status OR (e.knows_handle AND a.handle IS NOT e.handle))`,
      args: [rows],
    },
    {
      sql: `UPDATE accounts SET status = e.status, handle = CASE WHEN e.knows_handle THEN e.handle ELSE accounts.handle END
        FROM ${accounts.table()} e WHERE accounts.did = e.did`,
      args: [rows],
    },
    ...(deleted.length > 0 ? erase(deleted.map(({ did }) => ({ did }))) : []),
    ...putBack(),
  ]
}

/** What stays of a deleted account is its DID, so that nothing that comes late brings it back. */
function erase(deleted: { did: string }[]): Step[] {
  const args = [dids.argument(deleted)]
  const ids = `SELECT a.id FROM ${dids.table()} e JOIN accounts a ON a.did = e.did`
  return [
    { sql: `UPDATE accounts SET handle = NULL WHERE id IN (${ids})`, args },
    { sql: `DELETE FROM votes WHERE voter IN (${ids})`, args },
    {
      // Others' votes still name its polls: what stays of them is that name, and what would be a way around C7.
      sql: `UPDATE polls SET text = NULL, options = NULL, created_at = NULL, made = NULL, ends_at = NULL,
          ends_rev = NULL, multiple = 0, post = NULL, cid = NULL, rev = '',
          version = ${VERSION}
        WHERE author IN (${ids})`,
      args,
    },
    {
      sql: `DELETE FROM set_aside WHERE uri IN (
        SELECT s.uri FROM ${dids.table()} e JOIN set_aside s ON s.uri = e.did
        UNION ALL SELECT s.uri FROM ${dids.table()} e
          JOIN set_aside s ON s.uri >= 'at://' || e.did || '/' AND s.uri < 'at://' || e.did || '0')`,
      args,
    },
  ]
}
