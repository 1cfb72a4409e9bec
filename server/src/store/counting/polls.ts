/** Polls: the newest version of each (C3), and what a change of it means for its votes (C7, C8). */
import { createHash } from 'node:crypto'
import { tid, timeOfTid } from '@pollz/shared/tid'
import { microseconds } from '@pollz/shared/counting'
import { uriOf, type PollChange } from '../../ingest/events.ts'
import { addAccounts } from './accounts.ts'
import { VERSION, given, type Step } from './batch.ts'
import { rkeyFor } from './keys.ts'
import { IS_SET } from './rules.ts'
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
  'ends_rev', // the least TID of that time
  'multiple',
  'post',
  'cid',
  'only_if_held',
)

/** C7: of what a poll must not change after its first vote without a word. The migration of schema 4 knows its form. */
function hashOf(options: string, multiple: boolean, endsAt: number | null): string {
  const hash = createHash('sha256').update(options).digest('base64url').slice(0, 22)
  return [hash, multiple ? 'multiple' : [], endsAt ?? []].flat().join(' ')
}

/** @param changes at most one of each record */
export function pollSteps(changes: PollChange[]): Step[] {
  const rows = polls.argument(
    changes.map((change) => {
      const { did, rev, poll, onlyIfHeld = false } = change
      const uri = uriOf(change)
      const options = poll && JSON.stringify(poll.options)
      const time = timeOfTid(rev)
      const endsAt = poll?.endsAt === undefined ? null : microseconds(poll.endsAt)
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
        options_hash: options && hashOf(options, poll?.multiple ?? false, endsAt),
        rev_time: time,
        ends_at: endsAt,
        ends_rev: endsAt === null ? null : tid(Math.max(0, endsAt)),
        multiple: poll?.multiple ?? false,
        post: poll?.post ?? null,
        cid: poll?.cid ?? null,
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
        WHERE p.ends_at IS NOT e.ends_at AND p.rev < e.rev
        UNION ALL SELECT v.poll, v.voter                              -- C11: so is what several choices are checked against
        FROM ${polls.table()} e JOIN polls p ON p.uri = e.uri JOIN votes v ON v.poll = p.id
        WHERE (p.multiple OR e.multiple) AND p.rev < e.rev AND ${IS_SET}
          AND (p.multiple <> e.multiple OR json_array_length(p.options) IS NOT json_array_length(e.options))`,
      args: [rows],
    },
    takeOut(),
    {
      sql: `INSERT INTO polls (uri, vote_rkey, author, rev, text, options, created_at, made, options_hash, ends_at,
          ends_rev, multiple, post, cid, first_made, version)
        SELECT e.uri, e.vote_rkey, a.id, e.rev, e.text, e.options, e.created_at, e.made, e.options_hash, e.ends_at,
          e.ends_rev, e.multiple, e.post, e.cid, e.made, ${VERSION}
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
          made = excluded.made, ends_at = excluded.ends_at, ends_rev = excluded.ends_rev, multiple = excluded.multiple,
          post = excluded.post, cid = excluded.cid, version = excluded.version
        WHERE excluded.rev > polls.rev                                -- C3`,
      args: [rows],
    },
    ...putBack(),
    ...recountEarly(ids, rows),
  ]
}
