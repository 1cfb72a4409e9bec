/** What was committed, whoever committed it: it is asked of the database again and again, by version. */
import type { Client } from '@libsql/client'
import { IS_EDITED } from './counting/rules.ts'

/** `counts`: by option, absent options being 0, and of `BEYOND` (rules.ts). `edited`: C7, which the votes decide. */
export type Tally = { counts: Map<number, number>; edited: boolean; version: number }

/** The state of a database, and what it has that is newer than what was asked for. */
export type News = {
  /** of the last transaction */
  version: number
  /** Polls whose tally changed, by at-uri. */
  tallies: Map<string, Tally>
  /** Polls that themselves changed, came or went, or whose author did: the versions of that, by at-uri. */
  polls: Map<string, number>
  /** The newest beat of a process that can be read here; undefined: none can. */
  beat: number | undefined
  /** When the lease of whoever ingests ends: it grows as long as somebody does. 0: nobody ever has. */
  until: number
  /** There is so much news that it is not told one by one: any poll may have changed. */
  isTooMuch: boolean
  /** By poll collection: whether no vote is missing, as whoever ingests says. */
  complete: Map<string, boolean>
}

/** Polls that are told of one by one; each takes some 10 us of the main thread. */
const MAX_POLLS = 10_000

/** Names in `state` of the collections in `News.complete`. */
export const COMPLETE = 'complete '

/**
 * One statement, so that all it says is of one moment.
 *
 * @param after version; undefined: nothing is asked but the state
 * @param id of the process whose beat is asked for
 */
export async function newsAfter(client: Client, after: number | undefined, id: string): Promise<News> {
  const { rows } = await client.execute({
    sql: `SELECT s.value AS now, (SELECT beat FROM processes WHERE id = ?2) AS beat,
        (SELECT until FROM leases) AS until,
        (SELECT json_group_object(substr(name, ${COMPLETE.length + 1}), value) FROM state
          WHERE name > '${COMPLETE}' AND name < '${COMPLETE}~') AS complete,
        p.uri, p.version AS own, ${IS_EDITED} AS edited,
        max(p.version, coalesce((SELECT max(t.version) FROM tallies t WHERE t.poll = p.id), 0)) AS version,
        (SELECT json_group_array(json_array(t.option, t.n)) FROM tallies t WHERE t.poll = p.id) AS counts
      FROM state s LEFT JOIN (
        SELECT id FROM polls WHERE version > ?1 UNION SELECT poll FROM tallies WHERE version > ?1 LIMIT ${MAX_POLLS + 1}
      ) c LEFT JOIN polls p ON p.id = c.id
      WHERE s.name = 'version'`,
    args: [after ?? null, id],
  })
  const news: News = {
    version: Number(rows[0]!['now']),
    tallies: new Map(),
    polls: new Map(),
    isTooMuch: rows.length > MAX_POLLS,
    beat: rows[0]!['beat'] === null ? undefined : Number(rows[0]!['beat']),
    until: Number(rows[0]!['until'] ?? 0),
    complete: new Map(
      Object.entries(JSON.parse(String(rows[0]!['complete'])) as Record<string, number>).map(
        ([name, value]) => [name, value !== 0],
      ),
    ),
  }
  if (news.isTooMuch) return news
  for (const row of rows) {
    if (row['uri'] === null) continue
    const uri = String(row['uri'])
    const own = Number(row['own'])
    if (own > after!) news.polls.set(uri, own)
    news.tallies.set(uri, {
      counts: new Map(JSON.parse(String(row['counts'])) as [number, number][]),
      edited: Boolean(row['edited']),
      version: Number(row['version']),
    })
  }
  return news
}
