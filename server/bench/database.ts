/** Databases of a given size, as years of voting would leave them: rows in random order. */
import { DatabaseSync } from 'node:sqlite'
import { voteRkey } from '@pollz/shared/votes'
import { tid } from '@pollz/shared/tid'
import { pollUri, T0 } from '../test/records.ts'
import { RECOUNT } from '../src/store/counting/rules.ts'
import { openDatabase } from '../src/store/database.ts'
import { migrate } from '../src/store/migrations.ts'

export const POLLS = 5000
/** Each voter has this many votes on average. */
const VOTES_PER_VOTER = 10

const random = (below: number) => Math.floor(Math.random() * below)

export const pollNumber = (i: number) =>
  pollUri(`did:plc:author${String(i).padStart(18, '0')}`, '3kaaaaaaaaaa2')
export const voterNumber = (i: number) => `did:plc:voter${String(i).padStart(19, '0')}`
export const votersOf = (votes: number) => Math.max(1000, Math.ceil(votes / VOTES_PER_VOTER))

/** Polls are as popular as things are: the first few have most of the votes. */
export const somePoll = () => Math.min(POLLS - 1, Math.floor(POLLS * Math.random() ** 3))

/** Adds votes to the database at `path`, or makes it, until it has `votes` of them. */
export async function fill(path: string, votes: number): Promise<void> {
  const client = await openDatabase({ url: `file:${path}`, authToken: undefined })
  await migrate(client)
  client.close()
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; BEGIN')
  const account = db.prepare('INSERT INTO accounts (id, did) VALUES (?, ?) ON CONFLICT DO NOTHING')
  const poll = db.prepare(
    `INSERT INTO polls (id, uri, vote_rkey, author, rev, text, options, created_at, made)
     VALUES (?, ?, ?, ?, ?, '"A question"', '["a","b","c"]', '2026-01-01T00:00:00Z', ?) ON CONFLICT DO NOTHING`,
  )
  for (let i = 0; i < POLLS; i++) {
    account.run(i + 1, pollNumber(i).split('/')[2]!)
    poll.run(i + 1, pollNumber(i), voteRkey(pollNumber(i)), i + 1, tid(T0), T0)
  }
  const voters = votersOf(votes)
  for (let i = 0; i < voters; i++) account.run(POLLS + i + 1, voterNumber(i))
  const vote = db.prepare(
    `INSERT INTO votes (poll, voter, family, rkey, option, made, rev) VALUES (?, ?, 0, '', ?, ?, ?)
     ON CONFLICT DO NOTHING`,
  )
  let n = Number(db.prepare('SELECT count(*) AS n FROM votes').get()!['n'])
  while (n < votes) {
    const made = T0 + n * 1000
    n += Number(vote.run(somePoll() + 1, POLLS + random(voters) + 1, random(3), made, tid(made)).changes)
  }
  db.exec(
    `DELETE FROM tallies; INSERT INTO tallies (poll, option, n, version) SELECT poll, option, n, 1 FROM (${RECOUNT})`,
  )
  db.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)')
  db.close()
}

/** Bytes that a vote takes: in its own b-trees, and of the whole file. */
export function bytesPerVote(path: string): { votes: number; own: number; file: number } {
  const db = new DatabaseSync(path)
  const one = (sql: string) => Number(Object.values(db.prepare(sql).get()!)[0])
  const votes = one('SELECT count(*) FROM votes')
  const own = one(`SELECT sum(pgsize) FROM dbstat WHERE name IN ('votes', 'votes_of_voter')`)
  const file = one('PRAGMA page_count') * one('PRAGMA page_size')
  db.close()
  return { votes, own: own / votes, file: file / votes }
}

/** 200,000 polls of the last week, by a fifth of a million accounts. */
export async function fillLists(path: string): Promise<void> {
  const client = await openDatabase({ url: `file:${path}`, authToken: undefined })
  await migrate(client)
  const numbers = (n: number) =>
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${n})`
  await client.execute(
    `${numbers(1_000_000)} INSERT INTO accounts (id, did, handle)
      SELECT i, 'did:plc:account' || i, 'account' || i || '.example' FROM n`,
  )
  await client.execute({
    sql: `${numbers(200_000)} INSERT INTO polls (id, uri, vote_rkey, author, rev, text, options, created_at, made,
        options_hash, first_made, version)
      SELECT i, 'at://did:plc:account' || i || '/tech.waow.poll/' || i, 'vote' || i, i, '3kaaaaaaaaaa2', '"Tea?"',
        '["yes","no","maybe"]', '2026-01-01T00:00:00Z', ? - abs(random() % 600000000000), '', 0, i FROM n`,
    args: [Date.now() * 1000],
  })
  await client.execute(
    `INSERT INTO tallies (poll, option, n, version)
      SELECT p.id, o.value, abs(random() % 1000), p.version FROM polls p, json_each('[0,1,2]') o`,
  )
  await client.execute(`UPDATE state SET value = 200000 WHERE name = 'version'`)
  client.close()
}
