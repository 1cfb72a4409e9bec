/** The tables. Each entry runs once, in order, in a transaction with the row that remembers it. */
import { setTimeout } from 'node:timers/promises'
import type { Client } from '@libsql/client'
import { ALPHABET } from '@pollz/shared/tid'

/** For schema 3: the times that a number holds exactly, in microseconds since 1970. */
const EXACT = `${-Number.MAX_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER}`
const clamped = (time: string) => `max(${-Number.MAX_SAFE_INTEGER}, min(${Number.MAX_SAFE_INTEGER}, ${time}))`

/** For schema 4: the least TID of a time in microseconds since 1970. */
const tidOf = (time: string) =>
  `${Array.from({ length: 11 }, (_, i) => `substr('${ALPHABET}', (${time} >> ${50 - 5 * i} & 31) + 1, 1)`).join(' || ')} || '22'`

/** For schema 4: a rev so much later than its vote, in microseconds, is not taken as that of the vote's commit. */
const RAISED_AFTER = 300_000_000

/** For schema 3: whether a vote `v` of poll `p` is the voter's choice (C2, C5, C8), as schema 2 has them. */
const COUNTS = `(SELECT status FROM accounts WHERE id = v.voter) = 'active'
  AND (p.ends_at IS NULL OR coalesce(v.cast_at, v.made) < p.ends_at)
  AND NOT EXISTS (
    SELECT 1 FROM votes o WHERE o.poll = v.poll AND o.voter = v.voter
      AND (p.ends_at IS NULL OR coalesce(o.cast_at, o.made) < p.ends_at)
      AND (o.made > v.made OR (o.made = v.made
        AND CASE o.rkey WHEN '' THEN p.vote_rkey ELSE o.rkey END
          > CASE v.rkey WHEN '' THEN p.vote_rkey ELSE v.rkey END)))`

const migrations: string[][] = [
  [
    `CREATE TABLE accounts (
      id INTEGER PRIMARY KEY,
      did TEXT NOT NULL UNIQUE,
      handle TEXT,
      status TEXT NOT NULL DEFAULT 'active'
    ) STRICT`,
    `CREATE INDEX accounts_not_active ON accounts (id) WHERE status <> 'active'`,

    // A row without options is a poll that votes name but that is not there: not seen yet, deleted, or invalid.
    `CREATE TABLE polls (
      id INTEGER PRIMARY KEY,
      uri TEXT NOT NULL UNIQUE,
      vote_rkey TEXT NOT NULL UNIQUE,      -- shared/votes.ts: the record key of most votes for it
      author INTEGER NOT NULL REFERENCES accounts,
      rev TEXT NOT NULL DEFAULT '',        -- TID of the newest version; '': none seen
      text TEXT,                           -- a JSON string
      options TEXT,                        -- JSON array of strings
      created_at TEXT,
      made INTEGER,                        -- created_at, not later than rev, in microseconds
      ends_at INTEGER,                     -- C8: in microseconds; NULL: never
      options_hash TEXT,                   -- of the last options it had: kept when it is deleted
      options_changed INTEGER,             -- time of the rev that changed the options last
      first_vote INTEGER,                  -- made of the earliest vote
      version INTEGER NOT NULL DEFAULT 0   -- of the batch that changed the poll last
    ) STRICT`,
    `CREATE INDEX polls_newest ON polls (made, id) WHERE options IS NOT NULL`,
    `CREATE INDEX polls_that_end ON polls (id, ends_at) WHERE ends_at IS NOT NULL`,
    `CREATE INDEX polls_of_author ON polls (author)`,

    // One row per vote record that was ever seen. Its b-tree is what voting costs: hence integers,
    // and no bytes for the record key that a poll's votes usually have.
    `CREATE TABLE votes (
      poll INTEGER NOT NULL,               -- 0: the newest version names no poll (it is deleted or invalid)
      voter INTEGER NOT NULL,
      family INTEGER NOT NULL,
      rkey TEXT NOT NULL,                  -- '': the poll's vote_rkey
      option INTEGER NOT NULL,
      made INTEGER NOT NULL,               -- C2's time, in microseconds
      rev TEXT NOT NULL,
      cast_at INTEGER,                     -- C8's time where it is not made
      PRIMARY KEY (poll, voter, family, rkey)
    ) WITHOUT ROWID, STRICT`,
    `CREATE INDEX votes_of_voter ON votes (voter, family, rkey)`,

    `CREATE TABLE tallies (
      poll INTEGER NOT NULL,
      option INTEGER NOT NULL,
      n INTEGER NOT NULL,
      version INTEGER NOT NULL,
      PRIMARY KEY (poll, option)
    ) WITHOUT ROWID, STRICT`,

    // What is kept of events that can't be used, the newest for each record.
    `CREATE TABLE set_aside (
      uri TEXT NOT NULL,
      reason TEXT NOT NULL,
      event TEXT NOT NULL,
      seen_at TEXT NOT NULL,
      PRIMARY KEY (uri, reason)
    ) STRICT`,

    // Scratch space of one batch: empty outside of a transaction.
    `CREATE TABLE incoming (
      poll INTEGER NOT NULL,
      voter INTEGER NOT NULL,
      family INTEGER NOT NULL,
      rkey TEXT NOT NULL,
      option INTEGER NOT NULL,
      made INTEGER NOT NULL,
      rev TEXT NOT NULL,
      cast_at INTEGER,
      was_poll INTEGER,
      was_rkey TEXT
    ) STRICT`,
    `CREATE TABLE touched (poll INTEGER NOT NULL, voter INTEGER NOT NULL, PRIMARY KEY (poll, voter)) WITHOUT ROWID, STRICT`,
  ],
  [
    // What the operator does not show: of each subject the newest row stands, and none is ever deleted.
    `CREATE TABLE hidden (
      n INTEGER PRIMARY KEY,
      subject TEXT NOT NULL,               -- at-uri of a poll, or DID of an account
      hidden INTEGER NOT NULL,             -- 0: it is shown again
      reason TEXT NOT NULL,
      at TEXT NOT NULL
    ) STRICT`,
  ],
  [
    // Times that no number holds exactly can't be read: now they are clamped when a record is read.
    `INSERT OR IGNORE INTO touched SELECT poll, 0 FROM votes WHERE poll <> 0 AND made NOT BETWEEN ${EXACT}
      UNION ALL SELECT id, 0 FROM polls WHERE ends_at NOT BETWEEN ${EXACT}`,
    `UPDATE votes SET made = ${clamped('made')} WHERE made NOT BETWEEN ${EXACT}`,
    `UPDATE polls SET made = ${clamped('made')} WHERE made NOT BETWEEN ${EXACT}`,
    `UPDATE polls SET ends_at = ${clamped('ends_at')} WHERE ends_at NOT BETWEEN ${EXACT}`,
    `UPDATE polls SET first_vote = ${clamped('first_vote')} WHERE first_vote NOT BETWEEN ${EXACT}`,
    // Times that differed may be the same now: C2 may choose another of a voter's votes, C8 another set of them.
    `UPDATE tallies SET n = 0, version = version + 1 WHERE poll IN (SELECT poll FROM touched)`,
    `INSERT INTO tallies (poll, option, n, version)
      SELECT v.poll, v.option, count(*), 0 FROM touched t JOIN polls p ON p.id = t.poll JOIN votes v ON v.poll = p.id
      WHERE ${COUNTS} GROUP BY v.poll, v.option
      ON CONFLICT DO UPDATE SET n = excluded.n`,
    `DELETE FROM touched`,

    // Numbers of this database as a whole: its version, and the account that was reconciled last.
    `CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT`,
    `INSERT INTO state SELECT 'version', max(
      coalesce((SELECT max(version) FROM polls), 0), coalesce((SELECT max(version) FROM tallies), 0))`,

    // C2: how the author dated the vote, where that is later than made; NULL: as made. From here on cast_at may be 0: seen
    // live, at a time that does not matter.
    `ALTER TABLE votes ADD COLUMN created INTEGER`,
    `DROP TABLE incoming`,
    `CREATE TABLE incoming (
      poll INTEGER NOT NULL,
      voter INTEGER NOT NULL,
      family INTEGER NOT NULL,
      rkey TEXT NOT NULL,
      option INTEGER NOT NULL,
      made INTEGER NOT NULL,
      rev TEXT NOT NULL,
      cast_at INTEGER,
      created INTEGER,
      was_poll INTEGER,
      was_rkey TEXT
    ) STRICT`,

    // C7: edited follows from the votes that count. What first_vote said came from all that were ever seen.
    `ALTER TABLE polls ADD COLUMN first_made INTEGER`, // the earliest made of its versions
    // The time of an edited poll may be that of its edit: then the first vote says best how old it is.
    `UPDATE polls SET first_made = CASE WHEN made >= options_changed THEN min(made, coalesce(first_vote, made)) ELSE made END`,
    `ALTER TABLE polls DROP COLUMN first_vote`,
    `ALTER TABLE tallies ADD COLUMN early INTEGER NOT NULL DEFAULT 0`, // those of n from first_made to options_changed
    `UPDATE tallies SET early = (
        SELECT count(*) FROM polls p JOIN votes v ON v.poll = p.id
        WHERE p.id = tallies.poll AND v.option = tallies.option
          AND v.made >= p.first_made AND v.made < p.options_changed AND ${COUNTS})
      WHERE poll IN (SELECT id FROM polls WHERE options_changed IS NOT NULL)`,

    // For links by handle.
    `CREATE INDEX accounts_by_handle ON accounts (handle COLLATE NOCASE) WHERE handle IS NOT NULL`,
  ],
  [
    // C11. From here on a vote's family is the number of its collection, and its option may be a set below zero.
    // What each choice adds to a tally: an option (0 to 255), or a set of the first ten below zero, whose bits they are.
    `CREATE TABLE choice_options (
      choice INTEGER NOT NULL,             -- or, from 256 on, an option that is not the voter's first
      option INTEGER NOT NULL,             -- -1: options beyond one for each voter
      n INTEGER NOT NULL,
      PRIMARY KEY (choice, option)
    ) WITHOUT ROWID, STRICT`,
    `INSERT INTO choice_options
      WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < 1023),
      sets AS (SELECT -s.i AS choice, o.i AS option FROM numbers s JOIN numbers o ON o.i < 10 AND s.i >> o.i & 1)
      SELECT i, i, 1 FROM numbers WHERE i < 256
      UNION ALL SELECT i + 256, i, 1 FROM numbers WHERE i < 256
      UNION ALL SELECT i + 256, -1, 1 FROM numbers WHERE i < 256
      UNION ALL SELECT choice, option, 1 FROM sets
      UNION ALL SELECT choice, -1, count(*) - 1 FROM sets GROUP BY choice HAVING count(*) > 1`,
    `ALTER TABLE polls ADD COLUMN multiple INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE polls ADD COLUMN post TEXT`, // at-uri of the post that has the question
    `ALTER TABLE polls ADD COLUMN cid TEXT`,
    `ALTER TABLE polls ADD COLUMN ends_rev TEXT`, // the least TID of the time ends_at
    // C7: the end is part of what must not change.
    `UPDATE polls SET ends_rev = ${tidOf('max(ends_at, 0)')}, options_hash = options_hash || ' ' || ends_at
      WHERE ends_at IS NOT NULL`,
    // C8: from here on a cast_at of 0 is the time of the vote's rev. Until now it was taken as made, and a proof that
    // read the vote again later has raised its rev: NULL, not seen live, means made as well. Most votes are written
    // seconds after they are made, so few rows change.
    `UPDATE votes SET cast_at = NULL
      WHERE cast_at = 0 AND (poll IN (SELECT id FROM polls WHERE ends_at IS NOT NULL)
        OR rev > ${tidOf(`max(made + ${RAISED_AFTER}, 0)`)})`,
  ],
  [
    // Whoever serves asks what was committed after what they have.
    `CREATE INDEX polls_by_version ON polls (version)`,
    `CREATE INDEX tallies_by_version ON tallies (version)`,

    // The processes on this database. A beat that can be read says that all before it can be, wherever it is read.
    `CREATE TABLE processes (
      id TEXT PRIMARY KEY,
      role TEXT NOT NULL,
      schema INTEGER NOT NULL,             -- the newest that the process knows
      beat INTEGER NOT NULL,               -- its own number
      seen REAL NOT NULL                   -- by the database's clock, in seconds since 1970
    ) WITHOUT ROWID, STRICT`,
    // Who does what only one may do: until then, and until somebody else begins to.
    `CREATE TABLE leases (
      name TEXT PRIMARY KEY,
      holder TEXT NOT NULL,                -- id of a process
      fence INTEGER NOT NULL,              -- grows with each change of hands
      until REAL NOT NULL                  -- by the database's clock
    ) WITHOUT ROWID, STRICT`,
    // DIDs that whoever ingests has tap track, because somebody else stored what they did.
    `CREATE TABLE to_track (n INTEGER PRIMARY KEY, did TEXT NOT NULL UNIQUE) STRICT`,
    // What a batch of somebody who no longer holds the lease fails on.
    `CREATE TABLE fenced_off (fence INTEGER NOT NULL CONSTRAINT the_lease_is_lost CHECK (fence IS NULL)) STRICT`,
  ],
]

/** The newest schema's number. */
export const SCHEMA = migrations.length

/** The oldest schema that the commands beside the server understand without changing it. */
const OLDEST_READ = 2

/** @returns the number of the database's schema; 0: it is empty */
export async function schemaOf(client: Client): Promise<number> {
  const { rows } = await client.execute(`SELECT 1 FROM sqlite_schema WHERE name = 'migrations'`)
  if (rows.length === 0) return 0
  const { rows: done } = await client.execute('SELECT coalesce(max(n), 0) AS done FROM migrations')
  return Number(done[0]!['done'])
}

/**
 * For whoever looks at a database without bringing it to the newest schema.
 *
 * @returns the number of its schema
 * @throws Error that says what to do, where this program does not understand it
 */
export async function checkSchema(client: Client): Promise<number> {
  const schema = await schemaOf(client)
  if (schema > SCHEMA) throw tooNew(schema)
  if (schema < OLDEST_READ)
    throw new Error(
      schema === 0
        ? 'the database is empty: start the server once'
        : `the database has schema ${schema}, from a release before 0.2: start the server once, which upgrades it`,
    )
  return schema
}

/** What is said of a schema that this program does not know. */
export const tooNew = (schema: number) =>
  new Error(`the database has schema ${schema}, this program knows ${SCHEMA}: run a newer one`)

/**
 * By schema, the oldest one whose programs can go on beside it; of those that are not here, only its own can. A server that
 * brings such a one waits until no older one is left.
 */
const BESIDE: Record<number, number> = { 5: 4 }

/** How long ago a process must have been seen last to be no longer there, in s, and how often it is looked, in ms. */
const GONE_AFTER = 10
const LOOK_EVERY = 1_000

export type MigrateOptions = {
  /** Is told whom it waits for. */
  say?: (message: string) => void
  /** Ends the waiting. */
  signal?: AbortSignal
  /** what to do, by schema */
  steps?: readonly (readonly string[])[]
  beside?: Record<number, number>
}

/**
 * Brings the database to the newest schema, or to schema `to`. Killed half way, it goes on where it was; several may do it
 * at once.
 */
export async function migrate(client: Client, to = SCHEMA, options: MigrateOptions = {}): Promise<void> {
  const { beside = BESIDE, steps = migrations } = options
  await client.execute('CREATE TABLE IF NOT EXISTS migrations (n INTEGER PRIMARY KEY) STRICT')
  const done = await schemaOf(client)
  if (done > Math.max(SCHEMA, to)) throw tooNew(done)
  for (let n = done; n < to;) {
    const next = n + 1
    await whenNoneIsOlder(client, n, beside[next] ?? next, options)
    try {
      await client.batch([...steps[n]!, { sql: 'INSERT INTO migrations VALUES (?)', args: [next] }], 'write')
    } catch (error) {
      // Another process may have done it at the same time.
      if ((await schemaOf(client)) < next) throw error
    }
    n = Math.max(next, await schemaOf(client))
  }
}

/** @param schema that the database has @param oldest that may go on */
async function whenNoneIsOlder(
  client: Client,
  schema: number,
  oldest: number,
  { say, signal }: MigrateOptions,
): Promise<void> {
  // Before, none says that it is there.
  if (schema < 5) return
  for (let told = ''; ;) {
    const { rows } = await client.execute({
      sql: `SELECT id FROM processes WHERE schema < ? AND seen > unixepoch('subsec') - ${GONE_AFTER} ORDER BY id`,
      args: [oldest],
    })
    if (rows.length === 0) return
    const names = rows.map(({ id }) => String(id)).join(', ')
    if (names !== told) say?.(`the upgrade waits for older servers to stop: ${names}`)
    told = names
    await setTimeout(LOOK_EVERY, undefined, signal && { signal })
  }
}
