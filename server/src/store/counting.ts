/**
 * The counting rules, C1 to C8 of the design, in SQL. A vote record is one row of `votes`, wherever its poll is: a
 * deleted or invalid one names poll 0. `CHOICES` says which rows count; the tallies are kept by taking the
 * choices of the touched voters out, changing the rows, and putting their choices back in.
 */
import type { Client, InStatement, ResultSet } from '@libsql/client'
import { createHash } from 'node:crypto'
import { timeOfTid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import {
  microseconds,
  uriOf,
  type AccountChange,
  type Change,
  type PollChange,
  type SetAside,
  type VoteChange,
} from '../ingest/events.ts'

/** What a batch changed. */
export type Applied = {
  /** Polls whose tally changed: at-uri to the counts by option, absent options being 0. */
  tallies: Map<string, Map<number, number>>
  /** at-uris of polls that themselves changed, came or went. */
  polls: Set<string>
  /** DIDs of authors whose polls are named by a vote but not known (C6): tap has to track them. */
  unknownAuthors: Set<string>
  version: number
}

/** No poll has more options: a greater index is stored as this one, which never counts. */
export const NO_OPTION = 255

/** Set-aside events that are kept: the newest ones. */
const MAX_SET_ASIDE = 100_000

/** The record key of a row: most have their poll's. */
const rkeyOf = (vote: string) =>
  `CASE ${vote}.rkey WHEN '' THEN (SELECT vote_rkey FROM polls WHERE id = ${vote}.poll) ELSE ${vote}.rkey END`

/** C8: whether a row was made before its poll's end. */
const inTime = (vote: string) =>
  `NOT EXISTS (SELECT 1 FROM polls e
    WHERE e.id = ${vote}.poll AND e.ends_at IS NOT NULL AND e.ends_at <= coalesce(${vote}.cast_at, ${vote}.made))`

/**
 * C2, C4, C5, C8: one row per voter and poll, the one that counts if its option is one of the poll's.
 * C6 holds because this looks at rows alone.
 */
export const CHOICES = `(
  SELECT v.poll, v.voter, v.family, v.rkey, v.option, v.made, v.rev
  FROM votes v JOIN accounts a ON a.id = v.voter
  WHERE v.poll <> 0                                                   -- C1, C4: it names a poll
    AND a.status = 'active'                                           -- C5
    AND ${inTime('v')}                                                -- C8
    AND NOT EXISTS (                                                  -- C2: no later vote by the same voter
      SELECT 1 FROM votes o WHERE o.poll = v.poll AND o.voter = v.voter AND ${inTime('o')}
        AND (o.made > v.made OR (o.made = v.made AND ${rkeyOf('o')} > ${rkeyOf('v')})))
)`

/**
 * What `tallies` has to be, from the rows alone: as `CHOICES` says it, but read in one go. Most voters have one record
 * for a poll; which one counts is asked only of the others.
 */
export const RECOUNT = `
  WITH alone AS (
    SELECT poll, option, count(*) AS records FROM votes v
    WHERE poll <> 0                                                   -- C1, C4
      AND voter NOT IN (SELECT id FROM accounts WHERE status <> 'active')       -- C5
      AND (poll NOT IN (SELECT id FROM polls WHERE ends_at IS NOT NULL) OR ${inTime('v')})  -- C8
    GROUP BY poll, voter HAVING records = 1
  ), others AS (
    SELECT DISTINCT poll, voter FROM votes WHERE poll <> 0 AND rkey <> ''  -- of two, one has a key of its own
  )
  SELECT poll, option, count(*) AS n FROM (
    SELECT poll, option FROM alone
    UNION ALL
    SELECT c.poll, c.option FROM others t CROSS JOIN ${CHOICES} c ON c.poll = t.poll AND c.voter = t.voter  -- C2
      WHERE (SELECT count(*) FROM votes v WHERE v.poll = t.poll AND v.voter = t.voter AND ${inTime('v')}) > 1
  ) GROUP BY poll, option`

/** C1: a poll that is there; with it `option < json_array_length(options)`. C5: its author is active. */
export const POLL_IS_THERE = `p.options IS NOT NULL`

const addTouchedToTallies = (sign: '+' | '-', version: number): InStatement => ({
  sql: `INSERT INTO tallies (poll, option, n, version)
    SELECT c.poll, c.option, ${sign} count(*), ?
    FROM touched t CROSS JOIN ${CHOICES} c ON c.poll = t.poll AND c.voter = t.voter
    GROUP BY c.poll, c.option
    ON CONFLICT DO UPDATE SET n = n + excluded.n, version = excluded.version`,
  args: [version],
})

const talliesOfTouched: InStatement = `
  SELECT p.uri, coalesce(t.option, 0) AS option, coalesce(t.n, 0) AS n
  FROM (SELECT DISTINCT poll FROM touched) x JOIN polls p ON p.id = x.poll LEFT JOIN tallies t ON t.poll = x.poll`

const dids = (values: Iterable<string>): InStatement => ({
  sql: `INSERT INTO accounts (did) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING`,
  args: [JSON.stringify([...new Set(values)])],
})

/** A poll that is named before it is seen (C6). */
const namedPolls = (uris: Iterable<string>): InStatement => ({
  sql: `INSERT INTO polls (uri, vote_rkey, author)
    SELECT e.value ->> 0, e.value ->> 1, a.id FROM json_each(?) e JOIN accounts a ON a.did = e.value ->> 2
    WHERE true ON CONFLICT DO NOTHING RETURNING uri`,
  args: [JSON.stringify([...uris].map((uri) => [uri, rkeyFor(uri), authorOf(uri)]))],
})

/** C5. An account's rows are touched only if it starts or stops counting. */
function accountStatements(changes: AccountChange[], version: number): InStatement[] {
  // Identity events have no rev: the one delivered last stands.
  const last = [...new Map(changes.map((change) => [change.did, change])).values()]
  const json = JSON.stringify(last.map((c) => [c.did, c.status, c.handle]))
  const deleted = last.filter(({ status }) => status === 'deleted')
  return [
    dids(last.map(({ did }) => did)),
    {
      sql: `INSERT OR IGNORE INTO touched SELECT v.poll, v.voter
        FROM json_each(?) e JOIN accounts a ON a.did = e.value ->> 0 JOIN votes v ON v.voter = a.id
        WHERE (a.status = 'active') <> (e.value ->> 1 = 'active') AND v.poll <> 0
        UNION ALL SELECT v.poll, v.voter                              -- C8: erased polls have no end
        FROM json_each(?) e JOIN accounts a ON a.did = e.value ->> 0 JOIN polls p ON p.author = a.id
        JOIN votes v ON v.poll = p.id
        WHERE e.value ->> 1 = 'deleted' AND p.ends_at IS NOT NULL`,
      args: [json, json],
    },
    addTouchedToTallies('-', version),
    {
      sql: `UPDATE accounts SET status = e.value ->> 1, handle = e.value ->> 2
        FROM json_each(?) e WHERE accounts.did = e.value ->> 0`,
      args: [json],
    },
    ...(deleted.length > 0 ? erase(deleted, version) : []),
    addTouchedToTallies('+', version),
    talliesOfTouched,
    {
      sql: `SELECT p.uri FROM json_each(?) e JOIN accounts a ON a.did = e.value ->> 0 JOIN polls p ON p.author = a.id`,
      args: [json],
    },
    'DELETE FROM touched',
  ]
}

/** C5: what stays of a deleted account is its DID, so that nothing that comes late brings it back. */
function erase(deleted: AccountChange[], version: number): InStatement[] {
  const json = JSON.stringify(deleted.map(({ did }) => did))
  const accounts = `SELECT a.id FROM json_each(?) e JOIN accounts a ON a.did = e.value`
  return [
    { sql: `UPDATE accounts SET handle = NULL WHERE id IN (${accounts})`, args: [json] },
    { sql: `DELETE FROM votes WHERE voter IN (${accounts})`, args: [json] },
    // Others' votes still name its polls: what stays of them is that name.
    {
      sql: `UPDATE polls SET text = NULL, options = NULL, created_at = NULL, made = NULL, ends_at = NULL,
          options_hash = NULL, options_changed = NULL, first_vote = NULL, rev = '', version = ?
        WHERE author IN (${accounts})`,
      args: [version, json],
    },
    {
      sql: `DELETE FROM set_aside WHERE uri IN (
        SELECT s.uri FROM json_each(?1) e JOIN set_aside s ON s.uri = e.value
        UNION ALL SELECT s.uri FROM json_each(?1) e
          JOIN set_aside s ON s.uri >= 'at://' || e.value || '/' AND s.uri < 'at://' || e.value || '0')`,
      args: [json],
    },
  ]
}

function pollStatements(changes: PollChange[], version: number): InStatement[] {
  const rows = changes.map((change) => {
    const uri = uriOf(change)
    const options = change.poll && JSON.stringify(change.poll.options)
    const rev = timeOfTid(change.rev)
    return [
      uri,
      rkeyFor(uri),
      change.did,
      change.rev,
      // As JSON: SQLite would end a text at its first NUL, and has no lone surrogates.
      change.poll && JSON.stringify(change.poll.text),
      options,
      change.poll?.createdAt ?? null,
      change.poll && Math.min(microseconds(change.poll.createdAt), rev),
      options && createHash('sha256').update(options).digest('base64url').slice(0, 22),
      rev,
      change.poll?.endsAt === undefined ? null : microseconds(change.poll.endsAt),
    ]
  })
  const json = JSON.stringify(rows)
  const endsMove: InStatement = {
    // C8: another end is another tally. Where no poll has or had an end this touches nothing.
    sql: `INSERT OR IGNORE INTO touched SELECT v.poll, v.voter
      FROM json_each(?) e JOIN polls p ON p.uri = e.value ->> 0 JOIN votes v ON v.poll = p.id
      WHERE p.ends_at IS NOT e.value ->> 10 AND p.rev < e.value ->> 3`,
    args: [json],
  }
  return [
    dids(changes.map(({ did }) => did)),
    endsMove,
    addTouchedToTallies('-', version),
    {
      sql: `INSERT INTO polls (uri, vote_rkey, author, rev, text, options, created_at, made, options_hash, ends_at,
          version)
        SELECT e.value ->> 0, e.value ->> 1, a.id, e.value ->> 3, e.value ->> 4, e.value ->> 5, e.value ->> 6,
          e.value ->> 7, e.value ->> 8, e.value ->> 10, ?2
        FROM json_each(?1) e JOIN accounts a ON a.did = e.value ->> 2
        WHERE a.status <> 'deleted'                                   -- C5: erased
        ON CONFLICT (uri) DO UPDATE SET
          options_changed = CASE WHEN excluded.options_hash <> polls.options_hash   -- C7
            THEN (SELECT e.value ->> 9 FROM json_each(?1) e WHERE e.value ->> 0 = excluded.uri)
            ELSE polls.options_changed END,
          options_hash = coalesce(excluded.options_hash, polls.options_hash),
          rev = excluded.rev, text = excluded.text, options = excluded.options, created_at = excluded.created_at,
          made = excluded.made, ends_at = excluded.ends_at, version = excluded.version
        WHERE excluded.rev > polls.rev                                -- C3`,
      args: [json, version],
    },
    addTouchedToTallies('+', version),
    talliesOfTouched,
    'DELETE FROM touched',
  ]
}

function voteStatements(changes: VoteChange[], version: number): InStatement[] {
  const polls = new Set<string>()
  const rows = changes.map(({ did, family, rkey, rev, vote }) => {
    if (vote) polls.add(vote.subject)
    return [
      did,
      family,
      rkey,
      vote && rkeyFor(vote.subject) === rkey ? '' : rkey,
      rev,
      vote && vote.subject,
      vote ? Math.min(vote.option, NO_OPTION) : 0,
      vote ? vote.createdAt : 0,
      timeOfTid(rev),
      vote?.seenLive ? timeOfTid(rev) : null,
    ]
  })
  return [
    dids([...changes.map(({ did }) => did), ...[...polls].map(authorOf)]),
    namedPolls(polls),
    {
      // A record's row is found by its voter and record key, or, where that is some poll's own, in that poll.
      sql: `INSERT INTO incoming
        SELECT coalesce(p.id, 0), a.id, e.value ->> 1, e.value ->> 3, e.value ->> 6,
          min(e.value ->> 7, e.value ->> 8),                          -- C2: no date in the future
          e.value ->> 4, e.value ->> 9, coalesce(r.poll, k.poll), coalesce(r.rkey, k.rkey)
        FROM json_each(?) e
        JOIN accounts a ON a.did = e.value ->> 0 AND a.status <> 'deleted'  -- C5: erased
        LEFT JOIN polls p ON p.uri = e.value ->> 5
        LEFT JOIN votes r ON r.voter = a.id AND r.family = e.value ->> 1 AND r.rkey = e.value ->> 2
        LEFT JOIN polls q ON e.value ->> 3 <> '' AND q.vote_rkey = e.value ->> 2
        LEFT JOIN votes k ON k.poll = CASE e.value ->> 3 WHEN '' THEN p.id ELSE q.id END AND k.voter = a.id AND k.family = e.value ->> 1 AND k.rkey = ''
        WHERE coalesce(r.rev, k.rev, '') < e.value ->> 4              -- C3`,
      args: [JSON.stringify(rows)],
    },
    `INSERT OR IGNORE INTO touched
      SELECT poll, voter FROM incoming WHERE poll <> 0
      UNION ALL SELECT was_poll, voter FROM incoming WHERE was_poll <> 0`,
    addTouchedToTallies('-', version),
    // C4: where it was, it is no longer.
    `DELETE FROM votes WHERE (poll, voter, family, rkey) IN
      (SELECT was_poll, voter, family, was_rkey FROM incoming WHERE was_poll IS NOT NULL)`,
    `INSERT INTO votes SELECT poll, voter, family, rkey, option, made, rev, cast_at FROM incoming`,
    addTouchedToTallies('+', version),
    `UPDATE polls SET first_vote = i.made FROM (SELECT poll, min(made) AS made FROM incoming GROUP BY poll) i
      WHERE polls.id = i.poll AND (first_vote IS NULL OR first_vote > i.made)`,
    talliesOfTouched,
    'DELETE FROM touched',
    'DELETE FROM incoming',
  ]
}

/**
 * Stores changes in the order in which they were delivered, each group in one transaction.
 * When it resolves, all of it is committed (C9).
 *
 * @param version greater than that of every batch before
 */
export async function apply(
  client: Client,
  changes: Change[],
  setAside: SetAside[],
  version: number,
): Promise<Applied> {
  const applied: Applied = {
    tallies: new Map(),
    polls: new Set(),
    unknownAuthors: new Set(),
    version,
  }
  const groups = groupsOf(changes)
  for (const [i, group] of groups.entries()) {
    const aside = i === groups.length - 1 ? setAside : []
    await applyGroup(client, group, aside, applied)
  }
  return applied
}

/**
 * Within a transaction accounts come first, then polls, then votes: by C6 the order is free. Only an account's erasure
 * is not: what came before it goes, what comes while it lasts is dropped, what comes after stays. So an erasure ends
 * its group, and no account changes in a group that has records of it already.
 */
function groupsOf(changes: Change[]): Change[][] {
  const groups: Change[][] = [[]]
  const dids = new Set<string>()
  const next = () => {
    groups.push([])
    dids.clear()
  }
  for (const change of changes) {
    if (change.type === 'account' && dids.has(change.did)) next()
    if (change.type !== 'account') dids.add(change.did)
    groups.at(-1)!.push(change)
    if (change.type === 'account' && change.status === 'deleted') next()
  }
  return groups
}

async function applyGroup(
  client: Client,
  changes: Change[],
  setAside: SetAside[],
  applied: Applied,
): Promise<void> {
  const accounts = changes.filter((change) => change.type === 'account')
  const polls = newest(changes.filter((change) => change.type === 'poll'))
  const votes = newest(changes.filter((change) => change.type === 'vote'))

  const statements: InStatement[] = []
  const readers = new Map<number, (result: ResultSet) => void>()
  const add = (group: InStatement[]) => {
    for (const statement of group) {
      if (statement === talliesOfTouched) readers.set(statements.length, readTallies)
      statements.push(statement)
    }
  }
  const readTallies = (result: ResultSet) => {
    for (const row of result.rows) {
      const uri = String(row['uri'])
      const counts = applied.tallies.get(uri) ?? new Map<number, number>()
      applied.tallies.set(uri, counts.set(Number(row['option']), Number(row['n'])))
    }
  }
  if (accounts.length > 0) {
    add(accountStatements(accounts, applied.version))
    readers.set(statements.length - 2, (result) => {
      for (const row of result.rows) applied.polls.add(String(row['uri']))
    })
  }
  if (polls.length > 0) {
    add(pollStatements(polls, applied.version))
    for (const poll of polls) applied.polls.add(uriOf(poll))
  }
  if (votes.length > 0) {
    readers.set(statements.length + 1, (result) => {
      for (const row of result.rows) applied.unknownAuthors.add(authorOf(String(row['uri'])))
    })
    add(voteStatements(votes, applied.version))
  }
  if (setAside.length > 0) {
    const now = new Date().toISOString()
    statements.push({
      sql: `INSERT OR REPLACE INTO set_aside (uri, reason, event, seen_at)
        SELECT value ->> 0, value ->> 1, value ->> 2, ?2 FROM json_each(?1)`,
      args: [JSON.stringify(setAside.map((it) => [it.uri, it.reason, it.event].map(storable))), now],
    })
    statements.push(
      `DELETE FROM set_aside WHERE rowid <= (SELECT max(rowid) FROM set_aside) - ${MAX_SET_ASIDE}`,
    )
  }
  if (statements.length === 0) return
  const results = await client.batch(statements, 'write')
  for (const [i, read] of readers) read(results[i]!)
}

/** C3 within one batch: of one record's versions the newest. */
function newest<T extends PollChange | VoteChange>(changes: T[]): T[] {
  const records = new Map<string, T>()
  for (const change of changes) {
    const key = `${change.did} ${change.family} ${change.rkey}`
    const other = records.get(key)
    if (!other || other.rev < change.rev) records.set(key, change)
  }
  return [...records.values()]
}

/** Text that SQLite gives back as it was, or with a mark where it can't. */
const storable = (text: string) => text.toWellFormed().replaceAll('\0', '\ufffd')

const authorOf = (poll: string) => poll.split('/')[2]!

const rkeys = new Map<string, string>()

/** `voteRkey`, remembered: many events in a row name the same polls. */
function rkeyFor(poll: string): string {
  let rkey = rkeys.get(poll)
  if (rkey === undefined) {
    if (rkeys.size >= 100_000) rkeys.clear()
    rkeys.set(poll, (rkey = voteRkey(poll)))
  }
  return rkey
}
