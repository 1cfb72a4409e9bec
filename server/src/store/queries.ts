/** What is read from the database, named by what it is for. */
import type { Client, InValue, Row, Value } from '@libsql/client'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { families, idOfVoteCollection, voteCollectionWithId } from '@pollz/shared/families'
import { timeOfTid } from '@pollz/shared/tid'
import type { CountedRecord, CountedVotes, PollHistory, PollView, VoteView } from '@pollz/shared/wire'
import { optionsOf } from '../ingest/choices.ts'
import { microseconds } from '@pollz/shared/counting'
import { type AccountStatus } from '../ingest/events.ts'
import { samePoll, sameVote, type HeldAccount, type HeldRecord } from '../ingest/held.ts'
import { VERSION } from './counting/batch.ts'
import { BEYOND, CHOICES, HISTORY, IS_EDITED, IS_OPTION, POLL_IS_THERE, VOTERS } from './counting/rules.ts'

/** What is known of a poll. `unknown`: no version of it was ever seen. */
export type PollState =
  | {
      state: 'there'
      poll: PollView
      /** version of the database in which it is this */ at: number
    }
  /** `deleted`: it was there once, and valid */
  | { state: 'gone'; deleted: boolean }
  | { state: 'inactive'; status: AccountStatus }
  | { state: 'unknown' }

export type Page<T> = { items: T[]; cursor: string | undefined }

const POLL_COLUMNS = `p.id, p.uri, p.rev, p.options_hash, p.text, p.options, p.created_at, p.made, p.ends_at, p.multiple, p.post, p.cid,
  a.handle, a.status,
  ${IS_EDITED} AS edited,
  max(p.version, coalesce((SELECT max(t.version) FROM tallies t WHERE t.poll = p.id), 0)) AS version,
  (SELECT json_group_array(json_array(t.option, t.n)) FROM tallies t WHERE t.poll = p.id) AS counts`

/** The record key of a vote, beside its poll `p`: '' stands for the key that the poll's votes usually have. */
const rkeyIn = (vote: string) => `CASE ${vote}.rkey WHEN '' THEN p.vote_rkey ELSE ${vote}.rkey END AS rkey`

/** at-uri of the vote in a row that has its `did`, `family` and `rkey`. */
const voteUri = ({ did, family, rkey }: Row) =>
  formatAtUri({
    repo: String(did),
    collection: voteCollectionWithId(Number(family)),
    rkey: String(rkey),
  })

/**
 * Options with their counts, and the total of those: C1, only an option of the poll counts. C11: where a voter may have
 * several, how many voters there are.
 */
export function tallied(texts: string[], multiple: boolean, counts: ReadonlyMap<number, number>) {
  const options = texts.map((text, i) => ({ text, count: counts.get(i) ?? 0 }))
  const total = options.reduce((sum, { count }) => sum + count, 0)
  return { options, total, ...(multiple ? { multiple, voters: total - (counts.get(BEYOND) ?? 0) } : {}) }
}

/** @param time microseconds since 1970 */
const isoOf = (time: Value | undefined) => new Date(Math.floor(Number(time) / 1000)).toISOString()

function pollView(row: Row): PollView {
  const uri = String(row['uri'])
  const { repo, collection, rkey } = parseAtUri(uri)!
  const counts = new Map<number, number>(JSON.parse(String(row['counts'])))
  return {
    uri,
    repo,
    collection,
    rkey,
    text: JSON.parse(String(row['text'])) as string,
    ...tallied(JSON.parse(String(row['options'])) as string[], Boolean(row['multiple']), counts),
    createdAt: String(row['created_at']),
    ...(row['handle'] === null ? {} : { handle: String(row['handle']) }),
    ...(row['ends_at'] === null ? {} : { endsAt: isoOf(row['ends_at']) }),
    ...(row['post'] === null ? {} : { post: String(row['post']) }),
    ...(row['cid'] === null ? {} : { cid: String(row['cid']) }),
    edited: Boolean(row['edited']),
    version: Number(row['version']),
  }
}

/** @param uri at-uri with a DID */
export async function findPoll(client: Client, uri: string): Promise<PollState> {
  const { rows } = await client.execute({
    sql: `SELECT ${POLL_COLUMNS}, ${VERSION} AS at
      FROM accounts a LEFT JOIN polls p ON p.uri = ? WHERE a.did = ?`,
    args: [uri, parseAtUri(uri)!.repo],
  })
  const row = rows[0]
  if (!row) return { state: 'unknown' }
  const status = String(row['status']) as AccountStatus
  if (status !== 'active') return { state: 'inactive', status }
  if (row['options'] !== null) return { state: 'there', poll: pollView(row), at: Number(row['at']) }
  return row['rev'] === null || row['rev'] === ''
    ? { state: 'unknown' }
    : { state: 'gone', deleted: row['options_hash'] !== null }
}

/** Polls of active accounts, the newest first. */
export async function newestPolls(
  client: Client,
  limit: number,
  cursor: string | undefined,
): Promise<Page<PollView>> {
  const [made, id] = cursor === undefined ? [] : cursor.split('.').map(Number)
  const { rows } = await client.execute({
    sql: `SELECT ${POLL_COLUMNS} FROM polls p JOIN accounts a ON a.id = p.author
      WHERE ${POLL_IS_THERE} AND a.status = 'active' AND (p.made, p.id) < (?, ?)
      ORDER BY p.made DESC, p.id DESC LIMIT ?`,
    args: [made ?? Number.MAX_SAFE_INTEGER, id ?? Number.MAX_SAFE_INTEGER, limit + 1],
  })
  const page = rows.slice(0, limit)
  const last = rows.length > limit ? page.at(-1) : undefined
  return { items: page.map(pollView), cursor: last && `${last['made']}.${last['id']}` }
}

/** Of polls `q` their ids and votes, the ones with the most first. @param from where they are read from */
const byVotes = (from: string) => `
  SELECT q.id, ${VOTERS} AS votes FROM ${from} JOIN tallies t ON t.poll = q.id
  WHERE q.made > ?1 AND q.options IS NOT NULL AND t.option < json_array_length(q.options)
  GROUP BY q.id HAVING votes > 0 ORDER BY votes DESC, q.id DESC LIMIT ?2`

/**
 * Polls of active accounts made since a time (in microseconds since 1970), those with the most votes first.
 *
 * @param uris the polls that are looked at; undefined: all
 */
export async function busiestPolls(
  client: Client,
  limit: number,
  since: number,
  uris?: string[],
): Promise<PollView[]> {
  const from = uris ? `json_each(?3) u CROSS JOIN polls q ON q.uri = u.value` : 'polls q'
  const { rows } = await client.execute({
    sql: `SELECT ${POLL_COLUMNS} FROM (${byVotes(from)}) b
      CROSS JOIN polls p ON p.id = b.id JOIN accounts a ON a.id = p.author
      WHERE a.status = 'active' ORDER BY b.votes DESC, p.id DESC`,
    args: [since, limit, ...(uris ? [JSON.stringify(uris)] : [])],
  })
  return rows.map(pollView)
}

/** Of all polls made since a time those with the most votes, and how many. It looks at each of them. */
export async function scanBusiest(
  client: Client,
  since: number,
  limit: number,
): Promise<{ uri: string; votes: number }[]> {
  const { rows } = await client.execute({
    sql: `SELECT p.uri, b.votes FROM (${byVotes('polls q')}) b CROSS JOIN polls p ON p.id = b.id
      ORDER BY b.votes DESC, p.id DESC`,
    args: [since, limit],
  })
  return rows.map(({ uri, votes }) => ({ uri: String(uri), votes: Number(votes) }))
}

/** The votes that count for a poll (C1, C2, C5, C11), one for each voter, in the order in which they were first seen. */
export async function votesOf(
  client: Client,
  poll: string,
  limit: number,
  cursor: string | undefined,
  voter: string | undefined,
): Promise<Page<VoteView>> {
  const args: InValue[] = [poll, cursor === undefined ? 0 : Number(cursor)]
  if (voter !== undefined) args.push(voter)
  const { rows } = await client.execute({
    // What goes with the least option is of its row.
    sql: `SELECT c.voter AS id, a.did, a.handle, c.family, min(c.option) AS option, c.made,
        ${rkeyIn('c')}, json_group_array(c.option) AS choices
      FROM polls p CROSS JOIN ${CHOICES} c ON c.poll = p.id JOIN accounts a ON a.id = c.voter
      WHERE p.uri = ? AND ${POLL_IS_THERE} AND ${IS_OPTION} AND c.voter > ?
        ${voter === undefined ? '' : 'AND c.voter = (SELECT id FROM accounts WHERE did = ?)'}
      GROUP BY c.voter ORDER BY c.voter LIMIT ?`,
    args: [...args, limit + 1],
  })
  const page = rows.slice(0, limit)
  const items = page.map((row) => ({
    voter: String(row['did']),
    ...chosen(JSON.parse(String(row['choices'])) as number[]),
    uri: voteUri(row),
    createdAt: isoOf(row['made']),
    ...(row['handle'] === null ? {} : { handle: String(row['handle']) }),
  }))
  return { items, cursor: rows.length > limit ? String(page.at(-1)!['id']) : undefined }
}

/**
 * The records that count for a poll, by voter: where each option has its own, all of a voter's are in one page.
 *
 * @param limit of voters
 * @param after the last voter of the page before (an account's number, from 0)
 */
export async function countedRecords(
  client: Client,
  poll: string,
  limit: number,
  after: number,
): Promise<{ records: CountedRecord[]; last: number | undefined }> {
  const { rows } = await client.execute({
    sql: `SELECT c.voter AS id, a.did,
        json_group_array(json_array(c.family, CASE c.rkey WHEN '' THEN p.vote_rkey ELSE c.rkey END, c.option, c.made,
          nullif(v.cast_at, 0), v.cast_at IS 0, c.rev)) AS records
      FROM polls p CROSS JOIN ${CHOICES} c ON c.poll = p.id JOIN accounts a ON a.id = c.voter
      JOIN votes v ON v.poll = c.poll AND v.voter = c.voter AND v.family = c.family AND v.rkey = c.rkey
      WHERE p.uri = ? AND ${POLL_IS_THERE} AND ${IS_OPTION} AND c.voter > ?
      GROUP BY c.voter ORDER BY c.voter LIMIT ?`,
    args: [poll, after, limit],
  })
  type Held = [
    family: number,
    rkey: string,
    option: number,
    made: number,
    cast: number | null,
    isLive: number,
    rev: string,
  ]
  const records = rows.flatMap((row) =>
    (JSON.parse(String(row['records'])) as Held[]).map(([family, rkey, option, made, cast, isLive, rev]) => {
      const voter = String(row['did'])
      return {
        voter,
        uri: formatAtUri({ repo: voter, collection: voteCollectionWithId(family), rkey }),
        options: optionsOf(option),
        createdAt: isoOf(made),
        // C8: as `inTime` of the rules has it.
        castAt: isoOf(isLive ? timeOfTid(rev) : (cast ?? made)),
        rev,
      }
    }),
  )
  return { records, last: rows.length === limit ? Number(rows.at(-1)!['id']) : undefined }
}

/** The polls of an account that is active, the newest first. @param did of their author */
export async function pollsBy(client: Client, did: string, limit: number): Promise<PollView[]> {
  const { rows } = await client.execute({
    sql: `SELECT ${POLL_COLUMNS} FROM accounts a CROSS JOIN polls p ON p.author = a.id
      WHERE a.did = ? AND ${POLL_IS_THERE} AND a.status = 'active' ORDER BY p.made DESC, p.id DESC LIMIT ?`,
    args: [did, limit],
  })
  return rows.map(pollView)
}

/** Voters of a poll that are looked at in one statement, and points of its history. */
const VOTERS_AT_ONCE = 5_000
const POINTS = 120

/** How the vote went: what counts, by when it was made. Undefined: nothing counts, or the poll is not there. */
export async function historyOf(client: Client, poll: string): Promise<PollHistory | undefined> {
  const span = await client.execute({
    sql: `SELECT p.id, p.made AS start, max(v.made) AS last, json_array_length(p.options) AS options
      FROM polls p JOIN votes v ON v.poll = p.id WHERE p.uri = ? AND ${POLL_IS_THERE}`,
    args: [poll],
  })
  const [first] = span.rows
  if (!first || first['id'] === null) return undefined
  const { id, start, last, options } = first
  const from = Math.floor(Number(start) / 1000)
  const step = Math.max(1, Math.ceil((Number(last) / 1000 - from + 1) / POINTS))
  const counts = Array.from({ length: POINTS }, () => Array.from({ length: Number(options) }, () => 0))
  for (let after: number | undefined = 0; after !== undefined;) {
    const { rows } = await client.execute({
      sql: `SELECT max(voter) AS last, count(*) AS n
        FROM (SELECT voter FROM votes WHERE poll = ? AND voter > ? ORDER BY voter LIMIT ?)`,
      args: [Number(id), after, VOTERS_AT_ONCE],
    })
    const [{ last: upTo, n }] = rows as [Row]
    if (Number(n) === 0) break
    const part = await client.execute({ sql: HISTORY, args: [Number(id), after, Number(upTo), from, step] })
    for (const { option, point, votes } of part.rows) {
      const at = Math.min(POINTS - 1, Math.max(0, Number(point)))
      const row = counts[at]!
      if (Number(option) in row) row[Number(option)]! += Number(votes)
    }
    after = Number(n) === VOTERS_AT_ONCE ? Number(upTo) : undefined
  }
  for (const [i, row] of counts.entries())
    if (i > 0) for (const option of row.keys()) row[option]! += counts[i - 1]![option]!
  return counts.at(-1)!.some((n) => n > 0) ? { from, step, counts } : undefined
}

/** A poll that has votes, at random as far as that costs nothing: the first after a place. @param at 0 to 1 */
export async function somePoll(client: Client, at: number): Promise<string | undefined> {
  const { rows } = await client.execute({
    sql: `SELECT p.uri FROM polls p JOIN accounts a ON a.id = p.author
      WHERE ${POLL_IS_THERE} AND a.status = 'active' AND p.id >= (SELECT cast(max(id) * ? AS INTEGER) FROM polls)
        AND EXISTS (SELECT 1 FROM tallies t WHERE t.poll = p.id) ORDER BY p.id LIMIT 1`,
    args: [at],
  })
  return rows[0] && String(rows[0]['uri'])
}

/** All that counts for a poll, or the votes of so many of its voters; undefined: it is not there. */
export async function countedVotes(
  client: Client,
  poll: string,
  limit: number,
): Promise<{ votes: CountedVotes; isWhole: boolean } | undefined> {
  const before = await findPoll(client, poll)
  const { records, last } = await countedRecords(client, poll, limit, 0)
  const after = await findPoll(client, poll)
  if (before.state !== 'there' || after.state !== 'there') return undefined
  return {
    votes: { poll: before.poll, votes: records, version: after.poll.version },
    isWhole: last === undefined,
  }
}

/** What a voter's choices name. `options`: where there are several. */
function chosen(choices: number[]): { option: number; options?: number[] } {
  const options = choices.flatMap(optionsOf).toSorted((a, b) => a - b)
  return { option: options[0]!, ...(options.length > 1 ? { options } : {}) }
}

/**
 * DIDs of everybody whom tap has to be told of, of the `limit` accounts after `after` (an account's number, from 0):
 * authors of polls that are or were there, or that votes name and nobody has looked for yet, and voters whom tap does not find by itself, for
 * they voted in other collections than `signal`.
 *
 * @returns `last`: the last account that was looked at; undefined: there was none
 */
export async function trackedAccounts(
  client: Client,
  signal: string,
  after: number,
  limit: number,
): Promise<{ dids: string[]; last: number | undefined }> {
  const { rows } = await client.execute({
    // Of a million accounts most may be tracked by themselves: to look for a number of others would take long.
    sql: `SELECT id, did, status <> 'deleted'
        AND (EXISTS (SELECT 1 FROM polls WHERE author = a.id AND (options_hash IS NOT NULL OR rev = ''))
          OR EXISTS (SELECT 1 FROM votes WHERE voter = a.id AND family <> ?)) AS wanted
      FROM accounts a WHERE id > ? ORDER BY id LIMIT ?`,
    args: [idOfVoteCollection(signal), after, limit],
  })
  const last = rows.at(-1)?.['id']
  return {
    dids: rows.flatMap(({ did, wanted }) => (wanted ? [String(did)] : [])),
    last: last === undefined ? undefined : Number(last),
  }
}

/** Of these DIDs those that tap tracks, by what is held of them. */
export async function trackedAmong(client: Client, dids: string[]): Promise<Set<string>> {
  const { rows } = await client.execute({
    sql: `SELECT did FROM (${HELD_ACCOUNT} WHERE did IN (SELECT value FROM json_each(?))) WHERE wanted`,
    args: [JSON.stringify(dids)],
  })
  return new Set(rows.map((row) => String(row['did'])))
}

/** The DID that a handle leads to, as tap said last; undefined where nobody or more than one has it. */
export async function didOfHandle(client: Client, handle: string): Promise<string | undefined> {
  const { rows } = await client.execute({
    sql: `SELECT did FROM accounts WHERE handle = ? COLLATE NOCASE AND handle IS NOT NULL LIMIT 2`,
    args: [handle],
  })
  return rows.length === 1 ? String(rows[0]!['did']) : undefined
}

/** Every record of an account that is held, the deleted ones and the polls that votes name too. */
export async function recordsOf(client: Client, did: string): Promise<HeldRecord[]> {
  const [votes, polls] = await Promise.all([
    client.execute({
      sql: `SELECT v.family, p.uri, v.option, coalesce(v.created, v.made) AS created, ${rkeyIn('v')}
        FROM accounts a JOIN votes v ON v.voter = a.id LEFT JOIN polls p ON p.id = v.poll WHERE a.did = ?`,
      args: [did],
    }),
    client.execute({
      sql: `SELECT p.uri, p.rev, p.text, p.options, p.created_at, p.ends_at, p.multiple, p.post
        FROM accounts a JOIN polls p ON p.author = a.id WHERE a.did = ?`,
      args: [did],
    }),
  ])
  return [
    ...votes.rows.map((row) => ({
      collection: voteCollectionWithId(Number(row['family'])),
      rkey: String(row['rkey']),
      seen: true,
      held:
        row['uri'] === null
          ? null
          : sameVote({
              subject: String(row['uri']),
              choice: Number(row['option']),
              createdAt: Number(row['created']),
            }),
    })),
    ...polls.rows.map((row) => {
      const { collection, rkey } = parseAtUri(String(row['uri']))!
      const content =
        row['options'] === null
          ? null
          : samePoll({
              text: JSON.parse(String(row['text'])) as string,
              options: JSON.parse(String(row['options'])) as string[],
              createdAt: microseconds(String(row['created_at'])),
              endsAt: row['ends_at'] === null ? undefined : Number(row['ends_at']),
              multiple: Boolean(row['multiple']),
              post: row['post'] === null ? undefined : String(row['post']),
            })
      return { collection, rkey, seen: row['rev'] !== '', held: content }
    }),
  ]
}

/** at-uris of the votes for a poll, those of active accounts first seen first, whether they count or not. */
export async function voteRecordsOf(client: Client, poll: string, limit: number): Promise<string[]> {
  const { rows } = await client.execute({
    sql: `SELECT a.did, v.family, ${rkeyIn('v')}
      FROM polls p JOIN votes v ON v.poll = p.id JOIN accounts a ON a.id = v.voter
      WHERE p.uri = ? AND a.status = 'active' ORDER BY v.voter LIMIT ?`,
    args: [poll, limit],
  })
  return rows.map(voteUri)
}

/** Of each collection that there is a record of, one active account that has one. */
export async function someAccounts(client: Client): Promise<Map<string, string>> {
  const accounts = new Map<string, string>()
  const note = async (collection: string, sql: string, arg: InValue) => {
    const { rows } = await client.execute({ sql, args: [arg] })
    if (rows[0]) accounts.set(collection, String(rows[0]['did']))
  }
  await Promise.all(
    families.flatMap(({ poll, votes }) => [
      note(
        poll,
        `SELECT a.did FROM polls p JOIN accounts a ON a.id = p.author
          WHERE p.uri LIKE '%/' || ? || '/%' AND ${POLL_IS_THERE} AND a.status = 'active' ORDER BY p.id DESC LIMIT 1`,
        poll,
      ),
      ...votes.map(({ nsid }) =>
        note(
          nsid,
          `SELECT a.did FROM votes v JOIN accounts a ON a.id = v.voter
            WHERE v.family = ? AND v.poll <> 0 AND a.status = 'active' ORDER BY v.rev DESC LIMIT 1`,
          idOfVoteCollection(nsid),
        ),
      ),
    ]),
  )
  return accounts
}

/** The next account after `after` (0: from the beginning) that something is held of, or that is not active. */
export async function nextAccount(client: Client, after: number): Promise<HeldAccount | undefined> {
  const { rows } = await client.execute({
    sql: `${HELD_ACCOUNT} WHERE id > ? AND (status <> 'active'
        OR EXISTS (SELECT 1 FROM votes WHERE voter = accounts.id)
        OR EXISTS (SELECT 1 FROM polls WHERE author = accounts.id))
      ORDER BY id LIMIT 1`,
    args: [after],
  })
  return rows[0] && heldAccount(rows[0])
}

export async function accountOf(client: Client, did: string): Promise<HeldAccount | undefined> {
  const { rows } = await client.execute({ sql: `${HELD_ACCOUNT} WHERE did = ?`, args: [did] })
  return rows[0] && heldAccount(rows[0])
}

/**
 * Votes of their own, or polls that are or were there, are what an account is tracked for. One that is erased is not:
 * of its polls something stays.
 */
const HELD_ACCOUNT = `SELECT id, did, status, status <> 'deleted' AND (
      EXISTS (SELECT 1 FROM votes WHERE voter = accounts.id)
      OR EXISTS (SELECT 1 FROM polls WHERE author = accounts.id AND (options_hash IS NOT NULL OR rev = ''))) AS wanted
  FROM accounts`

const heldAccount = (row: Row): HeldAccount => ({
  id: Number(row['id']),
  did: String(row['did']),
  status: String(row['status']) as AccountStatus,
  wanted: Boolean(row['wanted']),
})

/** A number of the database as a whole, as `rememberState` keeps it; undefined: none is kept. */
export async function stateOf(client: Client, name: string): Promise<number | undefined> {
  const { rows } = await client.execute({ sql: 'SELECT value FROM state WHERE name = ?', args: [name] })
  return rows[0] && Number(rows[0]['value'])
}

export const stateStep = (name: string, value: number) => ({
  sql: `INSERT OR REPLACE INTO state VALUES (?, ?)`,
  args: [name, value],
})

export async function rememberState(client: Client, name: string, value: number): Promise<void> {
  await client.execute(stateStep(name, value))
}

/** Keeps DIDs for whoever ingests, which has tap track them. */
export async function trackLater(client: Client, dids: string[]): Promise<void> {
  await client.execute({
    sql: `INSERT INTO to_track (did) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING`,
    args: [JSON.stringify(dids)],
  })
}

/** DIDs that `trackLater` has kept, the first ones. `last`: a number for `noteTracked` */
export async function keptToTrack(client: Client, limit: number): Promise<{ dids: string[]; last: number }> {
  const { rows } = await client.execute({
    sql: 'SELECT n, did FROM to_track ORDER BY n LIMIT ?',
    args: [limit],
  })
  return { dids: rows.map((row) => String(row['did'])), last: Number(rows.at(-1)?.['n'] ?? 0) }
}

/** Tap has been told of them. */
export async function noteTracked(client: Client, last: number): Promise<void> {
  await client.execute({ sql: 'DELETE FROM to_track WHERE n <= ?', args: [last] })
}

/** The poll that a vote record is held for; undefined: none. */
export async function subjectOf(
  client: Client,
  { did, collection, rkey }: { did: string; collection: string; rkey: string },
): Promise<string | undefined> {
  const { rows } = await client.execute({
    sql: `SELECT p.uri FROM accounts a JOIN votes v ON v.voter = a.id AND v.family = ?2 AND v.rkey IN ('', ?3)
        JOIN polls p ON p.id = v.poll
      WHERE a.did = ?1 AND (v.rkey = ?3 OR p.vote_rkey = ?3)`,
    args: [did, idOfVoteCollection(collection), rkey],
  })
  return rows[0] && String(rows[0]['uri'])
}
