/** Votes: the newest version of each record (C3), in the one poll that it names (C4), with the time it was first seen with (C2). */
import { idOfVoteCollection } from '@pollz/shared/families'
import { timeOfTid } from '@pollz/shared/tid'
import type { VoteChange } from '../../ingest/events.ts'
import { addAccounts } from './accounts.ts'
import { given, type Step } from './batch.ts'
import { authorOf, rkeyFor } from './keys.ts'
import { timeOfRev } from './rules.ts'
import { putBack, takeOut } from './tallies.ts'

const named = given('uri', 'vote_rkey', 'did')

const votes = given(
  'did',
  'family', // number of its collection
  'rkey', // of the record
  'own_rkey', // '': the record key is its poll's
  'rev',
  'subject',
  'option',
  'created', // as its author dated it
  'rev_time',
  'live', // seen when it was committed: then rev_time is when
  'only_if_held',
)

/**
 * `held`: each record beside the row that it has already, which is found by its voter and record key, or, where that is
 * some poll's own key, in that poll. `seen`: when it was committed; NULL: not seen live. `timed`: as it is to be stored,
 * where that time, if it is the one of the record's rev, takes no bytes: `cast_at` 0.
 *
 * C2: a date in the future is taken as the time of the commit. Of the commit a live event knows the time; a proof only
 * says that it is no later than its own rev. So the same content, read again, keeps what was known of it, and takes
 * what a live event adds: the result does not depend on which of them came first.
 *
 * Each step is materialized: SQLite would compute what a later one uses twice as often.
 */
const INCOMING = `
  WITH e AS MATERIALIZED ${votes.table()},
  held AS MATERIALIZED (
    SELECT e.*, coalesce(p.id, 0) AS poll, a.id AS voter,
      coalesce(r.poll, k.poll) AS was_poll, coalesce(r.rkey, k.rkey) AS was_rkey, coalesce(r.rev, k.rev) AS was_rev,
      coalesce(r.option, k.option) AS was_option, coalesce(r.made, k.made) AS was_made,
      coalesce(r.cast_at, k.cast_at) AS was_cast_at, coalesce(r.created, k.created) AS was_created
    FROM e
    JOIN accounts a ON a.did = e.did AND a.status <> 'deleted'        -- C5: erased
    LEFT JOIN polls p ON p.uri = e.subject
    LEFT JOIN votes r ON r.voter = a.id AND r.family = e.family AND r.rkey = e.rkey
    LEFT JOIN polls q ON e.own_rkey <> '' AND q.vote_rkey = e.rkey
    LEFT JOIN votes k ON k.poll = CASE e.own_rkey WHEN '' THEN p.id ELSE q.id END
      AND k.voter = a.id AND k.family = e.family AND k.rkey = ''
  ),
  same AS MATERIALIZED (
    SELECT *, poll <> 0 AND was_poll IS poll AND was_option IS option
      AND coalesce(was_created, was_made) IS created AS same
    FROM held
  ),
  seen AS MATERIALIZED (
    SELECT *, CASE
        WHEN same AND was_cast_at IS NOT NULL
          THEN max(CASE was_cast_at WHEN 0 THEN ${timeOfRev('was_rev')} ELSE was_cast_at END, live * rev_time)
        WHEN live THEN rev_time
      END AS seen_at
    FROM same
  ),
  timed AS MATERIALIZED (
    SELECT *, min(created, coalesce(seen_at, CASE WHEN same THEN was_made ELSE rev_time END)) AS made,
      CASE WHEN CASE WHEN was_rev > rev THEN was_cast_at = 0 ELSE seen_at = rev_time END
        THEN 0 ELSE seen_at END AS cast_at
    FROM seen
  )
  INSERT INTO incoming (poll, voter, family, rkey, option, made, rev, cast_at, created, was_poll, was_rkey)
  SELECT poll, voter, family, own_rkey, option, made, max(rev, coalesce(was_rev, '')), cast_at,
    CASE WHEN created > made THEN created END, was_poll, was_rkey
  FROM timed
  WHERE CASE WHEN was_rev IS NULL THEN NOT only_if_held
    ELSE was_rev < rev                                                -- C3
      OR (same AND (made <> was_made OR cast_at IS NOT was_cast_at))  -- C2
    END`

/** @param changes at most one of each record */
export function voteSteps(changes: VoteChange[]): Step[] {
  const polls = new Set(changes.flatMap(({ vote }) => vote?.subject ?? []))
  const rows = changes.map(({ did, collection, rkey, rev, vote, onlyIfHeld = false }) => ({
    did,
    family: idOfVoteCollection(collection),
    rkey,
    own_rkey: vote && rkeyFor(vote.subject) === rkey ? '' : rkey,
    rev,
    subject: vote && vote.subject,
    option: vote ? vote.choice : 0,
    created: vote ? vote.createdAt : 0,
    rev_time: timeOfTid(rev),
    live: vote?.seenLive ?? false,
    only_if_held: onlyIfHeld,
  }))
  const voters = changes.flatMap(({ did, onlyIfHeld }) => (onlyIfHeld ? [] : [did]))
  return [
    addAccounts([...voters, ...[...polls].map(authorOf)]),
    {
      // C6: a poll may be named before it is seen.
      sql: `INSERT INTO polls (uri, vote_rkey, author)
        SELECT e.uri, e.vote_rkey, a.id FROM ${named.table()} e JOIN accounts a ON a.did = e.did
        WHERE true ON CONFLICT DO NOTHING RETURNING uri`,
      args: [named.argument([...polls].map((uri) => ({ uri, vote_rkey: rkeyFor(uri), did: authorOf(uri) })))],
      result: 'namedPolls',
    },
    {
      sql: INCOMING,
      args: [votes.argument(rows)],
    },
    {
      sql: `INSERT OR IGNORE INTO touched
        SELECT poll, voter FROM incoming WHERE poll <> 0
        UNION ALL SELECT was_poll, voter FROM incoming WHERE was_poll <> 0`,
    },
    takeOut(),
    {
      // C4: where it was, it is no longer.
      sql: `DELETE FROM votes WHERE (poll, voter, family, rkey) IN
        (SELECT was_poll, voter, family, was_rkey FROM incoming WHERE was_poll IS NOT NULL)`,
    },
    {
      sql: `INSERT INTO votes (poll, voter, family, rkey, option, made, rev, cast_at, created)
        SELECT poll, voter, family, rkey, option, made, rev, cast_at, created FROM incoming`,
    },
    ...putBack(),
    { sql: 'DELETE FROM incoming' },
  ]
}
