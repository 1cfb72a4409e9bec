/** Every message between the server and its clients: one schema each, for both sides (design section 5). */
import { l } from '@atproto/lex'
import { MAX_AT_URI } from './at-uri.ts'
import { check, type Schema } from './check.ts'

/** How many polls one message or one request may name. */
export const MAX_URIS = 50

/** How many polls one connection may watch. */
export const MAX_WATCHED = 500

/** The server sends something at least this often, in ms: Chrome ends a worker that hears nothing for 30 s. */
export const PING_INTERVAL = 20_000

const atUri = l.string({ maxLength: MAX_AT_URI })
/** RFC 3339. Its type says no more than that it is text: nobody here calculates with the parts of it. */
const datetime: l.Schema<string> = l.string({ format: 'datetime' })
const count = l.integer({ minimum: 0 })

/** A poll and its tally, as `GET /api/polls/:uri` answers it: a superset of pollz's shape. */
export const pollView = l.object({
  /** at-uri, with the author's DID */
  uri: atUri,
  /** DID of the author */
  repo: l.string(),
  /** NSID of its family's polls; absent from servers before 0.5 */
  collection: l.optional(l.string()),
  rkey: l.string(),
  /** empty where it has none, or where its post could not be read */
  text: l.string(),
  options: l.array(l.object({ text: l.string(), count })),
  /** as the author wrote it */
  createdAt: datetime,
  /** the author's handle, where it is known and resolves */
  handle: l.optional(l.string()),
  /** C8; absent: it has no end */
  endsAt: l.optional(datetime),
  /** C11: a voter may choose several options; absent: one */
  multiple: l.optional(l.boolean()),
  /** at-uri of the author's post whose text is the question */
  post: l.optional(atUri),
  /** of the record, where it is known: some families' votes name it */
  cid: l.optional(l.string()),
  /** of all options' counts: of a poll with several choices more than there are voters */
  total: count,
  /** C11: shares are of these; absent where a voter has one choice: then `total` says it */
  voters: l.optional(count),
  /** votes may be missing: not all who vote in its family are known to the server, or it can't hear of them now */
  incomplete: l.optional(l.boolean()),
  /** When the database was heard last, where that is some time ago: it may have counted more since then */
  asOf: l.optional(datetime),
  /** C7: the options, the end, or whether there are several choices changed after the first vote */
  edited: l.boolean(),
  /** grows with every change of the poll or its tally; an answer with a lower one is older */
  version: count,
})
export type PollView = l.Infer<typeof pollView>

/** A poll in a list, as `GET /api/polls` answers it: pollz's shape, and more. */
export const listedPoll = l.object({
  uri: atUri,
  repo: l.string(),
  collection: l.optional(l.string()),
  rkey: l.string(),
  text: l.string(),
  options: l.array(l.string()),
  createdAt: datetime,
  endsAt: l.optional(datetime),
  multiple: l.optional(l.boolean()),
  post: l.optional(atUri),
  voteCount: count,
  voters: l.optional(count),
  incomplete: l.optional(l.boolean()),
  handle: l.optional(l.string()),
})
export type ListedPoll = l.Infer<typeof listedPoll>

/** A vote that counts, as `GET /api/polls/:uri/votes` lists them. */
export const voteView = l.object({
  /** DID of the voter */
  voter: l.string(),
  /** C11: of several the least */
  option: count,
  /** C11: all that are chosen, in ascending order, where they are several */
  options: l.optional(l.array(count)),
  /** at-uri of the vote record; where each option has its own, of that for `option` */
  uri: atUri,
  /** C2: never later than the record's `rev` */
  createdAt: datetime,
  handle: l.optional(l.string()),
})
export type VoteView = l.Infer<typeof voteView>

/** A record that counts, as `GET /api/polls/:uri/votes.json` lists them: what is needed to check each. */
export const countedRecord = l.object({
  /** DID */
  voter: l.string(),
  /** at-uri of the vote record */
  uri: atUri,
  /** the options that it names, in ascending order */
  options: l.array(count),
  /** C2's time */
  createdAt: datetime,
  /** C8's time: when the server saw it being made, else C2's */
  castAt: datetime,
  /** TID of the commit in which the server saw this version last */
  rev: l.string(),
})
export type CountedRecord = l.Infer<typeof countedRecord>

/** All that counts for a poll. `version`: of the poll when the last of the votes was read: if it is not `poll.version`, some came meanwhile. */
export const countedVotes = l.object({ poll: pollView, votes: l.array(countedRecord), version: count })
export type CountedVotes = l.Infer<typeof countedVotes>

/** How a vote went, as `GET /api/polls/:uri/history` answers it: what counts today, by when it was made (C2). */
export const pollHistory = l.object({
  /** ms since 1970 */
  from: l.integer(),
  /** ms from one point to the next; the first is one step after `from` */
  step: count,
  /** By then, for each option: it grows from point to point. */
  counts: l.array(l.array(count)),
})
export type PollHistory = l.Infer<typeof pollHistory>

/** `error`: a name that programs can tell apart; `message`: for people, naming what is wrong */
export const apiError = l.object({ error: l.string(), message: l.string() })
export type ApiError = l.Infer<typeof apiError>

/** "This record exists now, or no longer": what is announced. */
export const announcement = l.object({ uri: atUri })

const uris = l.array(atUri, { minLength: 1, maxLength: MAX_URIS })

export const clientMessage = l.discriminatedUnion('type', [
  l.object({ type: l.literal('watch'), uris }),
  l.object({ type: l.literal('unwatch'), uris }),
])
export type ClientMessage = l.Infer<typeof clientMessage>

export const serverMessage = l.discriminatedUnion('type', [
  /** The whole poll: once for each watched uri, and again when the poll itself changes. `uri` is as asked. */
  l.object({
    type: l.literal('snapshot'),
    uri: atUri,
    poll: pollView,
    /** the server's clock, in ms since 1970, by which polls end; absent from servers before 0.5 */
    now: l.optional(count),
  }),
  /** The tally of a watched poll. `uri` has the author's DID. */
  l.object({
    type: l.literal('tally'),
    uri: atUri,
    counts: l.array(count),
    total: count,
    /** as a poll has it */
    voters: l.optional(count),
    version: count,
  }),
  /** A watched uri that has no poll (any more), or a message that could not be read (no `uri`). */
  l.object({ type: l.literal('error'), uri: l.optional(atUri), error: l.string(), message: l.string() }),
  l.object({ type: l.literal('ping') }),
])
export type ServerMessage = l.Infer<typeof serverMessage>

export type Parsed<T> = { ok: true; message: T } | { ok: false; reason: string }

/** Reads a JSON text by a schema; a text that doesn't fit is a value that says why. */
export function parseJson<T>(schema: Schema<T>, text: string): Parsed<T> {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return { ok: false, reason: 'not JSON' }
  }
  const checked = check(schema, data)
  return checked.ok ? { ok: true, message: checked.value } : checked
}
