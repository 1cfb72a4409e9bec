/** Compares the tallies with a recount from the votes by the plain definition, in one snapshot of a live database. */
import type { Client } from '@libsql/client'
import { RECOUNT } from './counting/rules.ts'
import { schemaOf } from './migrations.ts'

export type Difference = { poll: string; option: number; tally: number; recount: number }

/** Tables of schema 2 or 3 as the rules read them: no poll had several choices, and a cast_at of 0 was as good as none. */
const OLD_TABLES = `
  WITH polls AS (SELECT id, uri, vote_rkey, options, ends_at, NULL AS ends_rev, 0 AS multiple FROM main.polls),
  votes AS (SELECT poll, voter, family, rkey, option, made, rev, nullif(cast_at, 0) AS cast_at FROM main.votes),
  choice_options AS (SELECT DISTINCT option AS choice, option, 1 AS n FROM main.votes)`

/** @returns where the two differ: nothing, if all is well */
export async function recount(client: Client): Promise<Difference[]> {
  const tables = (await schemaOf(client)) < 4 ? OLD_TABLES : ''
  const { rows } = await client.execute(`${tables}
    SELECT coalesce(p.uri, d.poll) AS poll, d.option, sum(d.tally) AS tally, sum(d.n) AS recount
    FROM (
      SELECT poll, option, n AS tally, 0 AS n FROM tallies
      UNION ALL SELECT poll, option, 0, n FROM (${RECOUNT})
    ) d LEFT JOIN polls p ON p.id = d.poll
    GROUP BY d.poll, d.option HAVING sum(d.tally) <> sum(d.n)`)
  return rows.map((row) => ({
    poll: String(row['poll']),
    option: Number(row['option']),
    tally: Number(row['tally']),
    recount: Number(row['recount']),
  }))
}
