/** What the operator does not show. It changes no vote and no tally: those are the voters'. */
import type { Client } from '@libsql/client'

/** `subject`: at-uri of a poll, or DID of an account. `at`: RFC 3339. */
export type HiddenRow = { n: number; subject: string; hidden: boolean; reason: string; at: string }

/** What was said after row `after` (0: all of it), the oldest first. */
export async function hiddenAfter(client: Client, after: number): Promise<HiddenRow[]> {
  const { rows } = await client.execute({
    sql: 'SELECT n, subject, hidden, reason, at FROM hidden WHERE n > ? ORDER BY n',
    args: [after],
  })
  return rows.map((row) => ({
    n: Number(row['n']),
    subject: String(row['subject']),
    hidden: Boolean(row['hidden']),
    reason: String(row['reason']),
    at: String(row['at']),
  }))
}

/** Hides a subject, or shows it again. A server that runs takes it up by itself. */
export async function setHidden(
  client: Client,
  subject: string,
  hidden: boolean,
  reason: string,
): Promise<void> {
  await client.execute({
    sql: 'INSERT INTO hidden (subject, hidden, reason, at) VALUES (?, ?, ?, ?)',
    args: [subject, Number(hidden), reason, new Date().toISOString()],
  })
}
