/** Polls: the newest version of each (C3), and what a change of it means for its votes (C7, C8). */
import { createHash } from 'node:crypto'
import { timeOfTid } from '@pollz/shared/tid'
import { microseconds, uriOf, type PollChange } from '../../ingest/events.ts'
import { addAccounts } from './accounts.ts'
import { VERSION, given, type Step } from './batch.ts'
import { rkeyFor } from './keys.ts'
import { putBack, recountEarly, takeOut } from './tallies.ts'

const polls = given(
  'uri',
  'vote_rkey',
  'did',
  'rev',
  'text',
  'options',
  'created_at',
  'made',
  'options_hash',
  'rev_time',
  'ends_at',
  'only_if_held',
)

/** @param changes at most one of each record */
export function pollSteps(changes: PollChange[]): Step[] {
  const rows = polls.argument(
    changes.map(({ did, rev, poll, onlyIfHeld = false, ...key }) => {
      const uri = uriOf({ did, rev, poll, ...key })
      const options = poll && JSON.stringify(poll.options)
      const time = timeOfTid(rev)
      return {
        uri,
        vote_rkey: rkeyFor(uri),
        did,
        rev,
        // As JSON: SQLite would end a text at its first NUL, and has no lone surrogates.
        text: poll && JSON.stringify(poll.text),
        options,
        created_at: poll && poll.createdAt,
        made: poll && Math.min(microseconds(poll.createdAt), time),
        options_hash: options && createHash('sha256').update(options).digest('base64url').slice(0, 22),
        rev_time: time,
        ends_at: poll?.endsAt === undefined ? null : microseconds(poll.endsAt),
        only_if_held: onlyIfHeld,
      }
    }),
  )
  const ids = `SELECT p.id FROM ${polls.table()} e JOIN polls p ON p.uri = e.uri`
  return [
    addAccounts(changes.flatMap(({ did, onlyIfHeld }) => (onlyIfHeld ? [] : [did]))),
    {
      // C8: another end is another tally. Where no poll has or had an end this touches nothing.
      sql: `INSERT OR IGNORE INTO touched SELECT v.poll, v.voter
        FROM ${polls.table()} e JOIN polls p ON p.uri = e.uri JOIN votes v ON v.poll = p.id
        WHERE p.ends_at IS NOT e.ends_at AND p.rev < e.rev`,
      args: [rows],
    },
    takeOut(),
    {
      sql: `INSERT INTO polls (uri, vote_rkey, author, rev, text, options, created_at, made, options_hash, ends_at,
          first_made, version)
        SELECT e.uri, e.vote_rkey, a.id, e.rev, e.text, e.options, e.created_at, e.made, e.options_hash, e.ends_at,
          e.made, ${VERSION}
        FROM ${polls.table()} e JOIN accounts a ON a.did = e.did
        WHERE a.status <> 'deleted'                                   -- C5: erased
          AND (NOT e.only_if_held OR EXISTS (SELECT 1 FROM polls p WHERE p.uri = e.uri))
        ON CONFLICT (uri) DO UPDATE SET
          options_changed = CASE WHEN excluded.options_hash <> polls.options_hash   -- C7
            THEN (SELECT e.rev_time FROM ${polls.table()} e WHERE e.uri = excluded.uri)
            ELSE polls.options_changed END,
          options_hash = coalesce(excluded.options_hash, polls.options_hash),
          first_made = coalesce(min(excluded.first_made, polls.first_made), excluded.first_made, polls.first_made),
          rev = excluded.rev, text = excluded.text, options = excluded.options, created_at = excluded.created_at,
          made = excluded.made, ends_at = excluded.ends_at, version = excluded.version
        WHERE excluded.rev > polls.rev                                -- C3
        RETURNING uri`,
      args: [rows],
      result: 'polls',
    },
    ...putBack(),
    ...recountEarly(ids, rows),
  ]
}
