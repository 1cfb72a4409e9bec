/** The tables. Each entry runs once, in order, in a transaction with the row that remembers it. */
import type { Client } from '@libsql/client'

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
]

/** The newest schema's number. */
export const SCHEMA = migrations.length

/** Brings the database to the newest schema. Killed half way, it goes on where it was. */
export async function migrate(client: Client): Promise<void> {
  await client.execute('CREATE TABLE IF NOT EXISTS migrations (n INTEGER PRIMARY KEY) STRICT')
  const { rows } = await client.execute('SELECT coalesce(max(n), 0) AS done FROM migrations')
  const done = Number(rows[0]!['done'])
  if (done > migrations.length)
    throw new Error(
      `the database has schema ${done}, this server knows ${migrations.length}: run a newer server`,
    )
  for (let n = done; n < migrations.length; n++) {
    await client.batch(
      [...migrations[n]!, { sql: 'INSERT INTO migrations VALUES (?)', args: [n + 1] }],
      'write',
    )
  }
}
