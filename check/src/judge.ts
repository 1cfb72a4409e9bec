/** What the proofs say about a server's count: it is right, or what is wrong with it, vote by vote. */
import { parseAtUri } from '@pollz/shared/at-uri'
import {
  count,
  microseconds,
  readPoll,
  readVote,
  termsText,
  type Refusal,
  type Vote,
} from '@pollz/shared/counting'
import type { Doubt, Fault, Verdict } from '@pollz/shared/checks'
import { familyOfPoll, type PollContent } from '@pollz/shared/families'
import { timeOfTid } from '@pollz/shared/tid'
import type { CountedRecord, CountedVotes } from '@pollz/shared/wire'
import type { Evidence } from './repos.ts'

/** `uri`: at-uri of the record that it is about */
export type Finding = { fault: Fault; uri: string }

export type Judgement = {
  verdict: Verdict
  poll: PollContent | undefined
  /** the count of what is proved, by option, and its voters */
  counts: number[]
  voters: number
  /** what the server says; undefined: none was asked */
  claimed: { counts: number[]; voters: number } | undefined
  /** how many votes were listed by anybody, and how many of them were proved, whatever they say */
  listed: number
  proved: number
  findings: Finding[]
  doubts: { uri: string; why: Doubt }[]
  /** C7: what the poll's terms are, to be compared the next time */
  terms: string | undefined
}

export type Case = {
  /** at-uri by DID */
  poll: string
  /** what the server counts; undefined: none was asked */
  claim: CountedVotes | undefined
  /** at-uris of the votes that others know of */
  others: readonly string[]
  /** by at-uri, of the poll too */
  evidence: ReadonlyMap<string, Evidence>
  /** `terms` of the last time */
  termsBefore?: string | undefined
}

/** By how much somebody's clock may be ahead, in microseconds: a day. */
const MOST_WRONG_CLOCK = 86_400_000_000

const FAULT_OF: Record<Refusal, Fault> = {
  superseded: 'superseded',
  late: 'late',
  several: 'invalid',
  option: 'invalid',
}

export function judge({ poll, claim, others, evidence, termsBefore }: Case): Judgement {
  const findings: Finding[] = []
  const doubts: Judgement['doubts'] = []
  const find = (fault: Fault, uri: string) => findings.push({ fault, uri })
  const content = contentOf(poll, evidence.get(poll))
  const claimed = claim && {
    counts: claim.poll.options.map((option) => option.count),
    voters: claim.poll.voters ?? claim.poll.total,
  }

  if (content === undefined) {
    const proof = evidence.get(poll)
    if (proof?.ok === false && proof.why !== 'inactive') doubts.push({ uri: poll, why: proof.why })
    else if (claim) find('poll', poll)
  } else if (claim) {
    if (!isSamePoll(claim.poll, content)) find('poll', poll)
    if (termsBefore !== undefined && termsBefore !== termsText(content) && !claim.poll.edited)
      find('edited', poll)
  }

  const listed = new Map<string, CountedRecord>()
  for (const record of claim?.votes ?? []) {
    if (listed.has(record.uri)) find('doubled', record.uri)
    listed.set(record.uri, record)
  }

  const votes: Vote[] = []
  const uris = new Set([...listed.keys(), ...others])
  const isVote = votesOf(poll)
  let proved = 0
  for (const uri of uris) {
    const record = listed.get(uri)
    if (!isVote(uri)) {
      if (record) find('added', uri)
      continue
    }
    const proof = evidence.get(uri) ?? { ok: false, why: 'unreachable' }
    if (!proof.ok) {
      if (proof.why !== 'inactive') doubts.push({ uri, why: proof.why })
      else if (record) find('inactive', uri)
      continue
    }
    if (record && proof.rev < record.rev) {
      doubts.push({ uri, why: 'old' })
      continue
    }
    proved++
    const vote = voteOf(uri, proof)
    if (vote === undefined || vote.subject !== poll) {
      if (record) find('added', uri)
      continue
    }
    if (record) compare(record, vote, find)
    votes.push(vote)
  }

  const { counts, voters, counted, refused } = count(poll, content ?? { options: [] }, votes)
  if (claim && content) {
    const countedUris = new Set(counted.map(({ uri }) => uri))
    const ofVoters = new Set(
      [...listed.values()].filter(({ uri }) => countedUris.has(uri)).map(({ voter }) => voter),
    )
    for (const { vote, why } of refused) {
      const record = listed.get(vote.uri)
      if (!record) continue
      // The server says that it has seen it before the end, whatever its date says: nobody else can tell.
      if (why === 'late' && microseconds(record.castAt) < microseconds(content.endsAt!))
        doubts.push({ uri: vote.uri, why: 'perhapsLate' })
      else find(why === 'superseded' && ofVoters.has(vote.voter) ? 'doubled' : FAULT_OF[why], vote.uri)
    }
    for (const { uri, by } of counted) {
      if (listed.has(uri)) continue
      // The server may have seen it after the end, whatever its date says.
      const isInTime = content.endsAt === undefined || by < microseconds(content.endsAt)
      if (isInTime) find('dropped', uri)
      else doubts.push({ uri, why: 'perhapsLate' })
    }
    if (claim.version === claim.poll.version && !isSum(claim)) find('sum', poll)
  }

  const isOver = claim === undefined || claim.version === claim.poll.version
  return {
    verdict: findings.length > 0 ? 'wrong' : doubts.length > 0 || !content || !isOver ? 'unknown' : 'right',
    poll: content,
    counts,
    voters,
    claimed,
    listed: uris.size,
    proved,
    findings,
    doubts,
    terms: content && termsText(content),
  }
}

function contentOf(uri: string, proof: Evidence | undefined): PollContent | undefined {
  if (!proof?.ok || proof.record === null) return undefined
  const { repo: did, collection, rkey } = parseAtUri(uri)!
  const read = readPoll(proof.record, { did, collection, rkey })
  return read.ok ? read.value : undefined
}

/** C1; undefined: there is no such record, or it is no vote. */
function voteOf(
  uri: string,
  { rev, record }: Evidence & { ok: true },
): (Vote & { subject: string }) | undefined {
  const { repo: did, collection, rkey } = parseAtUri(uri)!
  const read = record === null ? undefined : readVote(record, { did, collection, rkey })
  return read?.ok ? { voter: did, uri, rkey, by: timeOfTid(rev), ...read.value } : undefined
}

function compare(record: CountedRecord, vote: Vote, find: (fault: Fault, uri: string) => void): void {
  const { uri, voter, rev, options } = record
  const isSame = voter === vote.voter && options.join() === vote.choices.toSorted((a, b) => a - b).join()
  if (!isSame) find('changed', uri)
  // C2: a date that lay in the future when the server saw it is taken as that time.
  if (microseconds(record.createdAt) < vote.createdAt - MOST_WRONG_CLOCK && vote.createdAt <= timeOfTid(rev))
    find('backdated', uri)
}

/** The question of some families is in a post, which is read elsewhere. */
function isSamePoll(
  said: CountedVotes['poll'],
  { text, options, multiple, endsAt, post }: PollContent,
): boolean {
  const isSameEnd =
    said.endsAt === undefined
      ? endsAt === undefined
      : endsAt !== undefined && Math.abs(microseconds(said.endsAt) - microseconds(endsAt)) < 1000
  return (
    (post !== undefined || said.text === text) &&
    said.options.map((option) => option.text).join('\n') === options.join('\n') &&
    Boolean(said.multiple) === Boolean(multiple) &&
    isSameEnd
  )
}

function isSum({ poll, votes }: CountedVotes): boolean {
  const counts = poll.options.map(() => 0)
  for (const { options } of votes) for (const option of options) if (option in counts) counts[option]!++
  const voters = new Set(votes.map(({ voter }) => voter)).size
  return (
    counts.every((n, i) => n === poll.options[i]!.count) &&
    (poll.voters === undefined || poll.voters === voters)
  )
}

/** Whether an at-uri may be that of a vote for a poll: what is not is proved by nobody. */
export function votesOf(poll: string): (uri: string) => boolean {
  const collections = new Set(familyOfPoll.get(parseAtUri(poll)!.collection)!.votes.map(({ nsid }) => nsid))
  return (uri) => {
    const parts = parseAtUri(uri)
    return parts !== undefined && parts.repo.startsWith('did:') && collections.has(parts.collection)
  }
}
