/**
 * The rules of counting, as the design words them (C1 to C8, C11), for whoever holds the records of a poll. People check
 * results with this file, and the server's own counting, which is in SQL, is held to it.
 */
import { isValidDid } from '@atproto/syntax'
import { parseAtUri } from './at-uri.ts'
import type { Checked } from './check.ts'
import { familyOfPoll, familyOfVote, type PollContent, type RecordAt } from './families.ts'
import { timeOfTid } from './tid.ts'

/** Times are in microseconds since 1970. */

/** What of a poll's record decides which votes count. */
export type Terms = Pick<PollContent, 'options' | 'multiple' | 'endsAt'>

/** A vote record that is there, of an account that is active (C4, C5), in its newest version (C3). */
export type Vote = {
  /** DID */
  voter: string
  /** at-uri by DID */
  uri: string
  rkey: string
  /** indexes of options, each once */
  choices: readonly number[]
  /** as the voter says */
  createdAt: number
  /** when it was seen being made; undefined: nobody saw it */
  seen?: number | undefined
  /** by when it was there: the time of the repo's `rev` */
  by: number
}

/** A vote with its times by the rules. `made`: C2's; `cast`: C8's */
export type TimedVote = Vote & { made: number; cast: number }

/** Why a vote that is there does not count. */
export type Refusal =
  /** C2: the voter has a later one */
  | 'superseded'
  /** C8: it was made after the end */
  | 'late'
  /** C11: it names several options, and the poll allows one */
  | 'several'
  /** C1, C11: it names an option that the poll has not */
  | 'option'

export type Count = {
  /** by option */
  counts: number[]
  /** how many have a vote that counts: shares are of these */
  voters: number
  counted: TimedVote[]
  refused: { vote: TimedVote; why: Refusal }[]
}

/** C2: no later than it was seen, or was there. C8: when it was seen being made, else the same. */
export function timed(vote: Vote): TimedVote {
  const made = Math.min(vote.createdAt, vote.seen ?? vote.by)
  return { ...vote, made, cast: vote.seen ?? made }
}

/**
 * Counts a poll. It depends on the records alone, not on their order (C6).
 *
 * @param poll its at-uri
 * @param votes that name it, each record once
 */
export function count(poll: string, terms: Terms, votes: Iterable<Vote>): Count {
  const { together } = familyOfPoll.get(parseAtUri(poll)!.collection)!
  const end = terms.endsAt === undefined ? Number.POSITIVE_INFINITY : microseconds(terms.endsAt)
  const refused: Count['refused'] = []

  // C2: of a voter's records the latest; C11: or, where each option has its own, the latest of each option.
  const latest = new Map<string, TimedVote>()
  for (const vote of votes) {
    const it = timed(vote)
    // C8
    if (it.cast >= end) {
      refused.push({ vote: it, why: 'late' })
      continue
    }
    const key = together ? `${it.voter} ${it.choices.join()}` : it.voter
    const other = latest.get(key)
    const isLater = !other || it.made > other.made || (it.made === other.made && it.rkey > other.rkey)
    if (isLater) latest.set(key, it)
    if (other) refused.push({ vote: isLater ? other : it, why: 'superseded' })
  }

  const counted: TimedVote[] = []
  for (const vote of latest.values()) {
    const why = refusalOf(vote, terms)
    if (why) refused.push({ vote, why })
    else counted.push(vote)
  }

  const counts = terms.options.map(() => 0)
  for (const { choices } of counted) for (const option of choices) counts[option]!++
  return { counts, voters: new Set(counted.map(({ voter }) => voter)).size, counted, refused }
}

function refusalOf({ choices }: Vote, { options, multiple }: Terms): Refusal | undefined {
  // C11: all of it or nothing.
  if (choices.length > 1 && !multiple) return 'several'
  return choices.every((option) => option < options.length) ? undefined : 'option'
}

/**
 * C7: whether the terms changed after the first vote that counts.
 *
 * @param changed when they changed last; undefined: never
 * @param made when the poll was made
 */
export const isEdited = (counted: readonly TimedVote[], changed: number | undefined, made: number) =>
  changed !== undefined && counted.some((vote) => vote.made >= made && vote.made < changed)

/** C7: what may not change without a word, as text. */
export const termsText = ({ options, multiple, endsAt }: Terms) =>
  JSON.stringify([options, multiple ?? false, endsAt === undefined ? null : microseconds(endsAt)])

/** C1: a poll's record, of which every date is one. */
export function readPoll(record: unknown, at: RecordAt): Checked<PollContent> {
  const read = familyOfPoll.get(at.collection)!.readPoll(record, at)
  if (!read.ok) return { ok: false, reason: `record: ${read.reason}` }
  const { createdAt, endsAt } = read.value
  for (const [name, time] of Object.entries({ createdAt, endsAt }))
    if (time !== undefined && Number.isNaN(microseconds(time)))
      return { ok: false, reason: `${name}: no date: ${shown(time)}` }
  return read
}

/** C1: a vote's record, which names a poll of its own family by DID. */
export function readVote(
  record: unknown,
  at: RecordAt,
): Checked<{ subject: string; choices: number[]; createdAt: number }> {
  const family = familyOfVote.get(at.collection)!
  const read = family.readVote(record, at)
  if (!read.ok) return { ok: false, reason: `record: ${read.reason}` }
  const { subject, choices, createdAt } = read.value
  const made = microseconds(createdAt)
  if (Number.isNaN(made)) return { ok: false, reason: `createdAt: no date: ${shown(createdAt)}` }
  const poll = parseAtUri(subject)
  if (!poll || !isValidDid(poll.repo) || poll.collection !== family.poll)
    return {
      ok: false,
      reason: `subject: expected the at-uri of a ${family.poll} by DID, got ${shown(subject)}`,
    }
  return { ok: true, value: { subject, choices, createdAt: made } }
}

const shown = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)

/**
 * RFC 3339 to microseconds since 1970, rounded down; NaN for what is no date, such as a leap second. Clamped to what a
 * number holds exactly (the years 1684 to 2255): nothing else can be read back from the database.
 */
export function microseconds(datetime: string): number {
  const [whole, fraction, zone] = datetime.split(/\.(\d+)/)
  const time =
    fraction === undefined
      ? Date.parse(datetime) * 1000
      : Date.parse(`${whole}${zone}`) * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'))
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, time))
}

/** How far a `rev` may be ahead of this clock, in ms (C2). */
const MAX_AHEAD = 5 * 60_000

/** C2: a commit that is not made yet. */
export const isAhead = (rev: string, now = Date.now()) => timeOfTid(rev) > (now + MAX_AHEAD) * 1000
