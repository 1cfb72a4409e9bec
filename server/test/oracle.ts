/** The counting rules once more, as the design words them and without SQL: what the store is checked against. */
import { familyOfPoll } from '@pollz/shared/families'
import { timeOfTid } from '@pollz/shared/tid'
import { optionsOf } from '../src/ingest/choices.ts'
import { microseconds, uriOf, type Change, type PollChange, type VoteChange } from '../src/ingest/events.ts'

/** `made`: C2's time; `cast`: C8's. Microseconds since 1970. */
type Vote = { voter: string; uri: string; rkey: string; options: number[]; made: number; cast: number }

/** A vote record, and what is known of when its content was committed: `live`, or else not after `by`. */
type HeldVote = { change: VoteChange; rev: string; live: number | undefined; by: number }

type HeldPoll = {
  change: PollChange
  /** what it had last of what must not change (C7), as JSON */
  terms: string | undefined
  /** when they changed last, and the earliest time of a version */
  changed: number | undefined
  firstMade: number
}

const sameContent = ({ vote: a }: VoteChange, { vote: b }: VoteChange) =>
  a !== null && b !== null && a.subject === b.subject && a.choice === b.choice && a.createdAt === b.createdAt

export class Oracle {
  #votes = new Map<string, HeldVote>()
  #polls = new Map<string, HeldPoll>()
  #status = new Map<string, string>()

  deliver(change: Change): void {
    if (change.type === 'account') {
      this.#status.set(change.did, change.status)
      if (change.status !== 'deleted') return
      for (const [uri, { change: held }] of this.#votes) if (held.did === change.did) this.#votes.delete(uri)
      // What was asked before is no secret to those who answered: it can't be asked otherwise without a word (C7).
      for (const held of this.#polls.values())
        if (held.change.did === change.did) held.change = { ...held.change, poll: null, rev: '' }
      return
    }
    if (this.#status.get(change.did) === 'deleted') return
    if (change.type === 'vote') this.#deliverVote(change)
    else this.#deliverPoll(change)
  }

  #deliverVote(change: VoteChange): void {
    const held = this.#votes.get(uriOf(change))
    if (!held && change.onlyIfHeld) return
    const time = timeOfTid(change.rev)
    const live = change.vote?.seenLive ? time : undefined
    if (held && sameContent(held.change, change)) {
      if (held.rev < change.rev) held.rev = change.rev
      if (live !== undefined) held.live = Math.max(held.live ?? 0, live)
    } else if (!held || held.rev < change.rev) {
      this.#votes.set(uriOf(change), { change, rev: change.rev, live, by: time })
    }
  }

  #deliverPoll(change: PollChange): void {
    const held = this.#polls.get(uriOf(change))
    if ((held && held.change.rev >= change.rev) || (!held && change.onlyIfHeld)) return
    const time = timeOfTid(change.rev)
    const terms = change.poll ? termsOf(change.poll) : held?.terms
    const changes = held?.terms !== undefined && terms !== held.terms
    const made = change.poll ? Math.min(microseconds(change.poll.createdAt), time) : Number.POSITIVE_INFINITY
    this.#polls.set(uriOf(change), {
      change,
      terms,
      changed: changes ? time : held?.changed,
      firstMade: Math.min(made, held?.firstMade ?? Number.POSITIVE_INFINITY),
    })
  }

  #isActive(did: string): boolean {
    return (this.#status.get(did) ?? 'active') === 'active'
  }

  /** The counts by option; the state where there is no poll. */
  counts(poll: string): number[] | string {
    const record = this.#polls.get(poll)
    if (!this.#isActive(poll.split('/')[2]!)) return 'inactive'
    if (!record || record.change.rev === '') return 'unknown'
    if (!record.change.poll) return 'gone'
    const counts = record.change.poll.options.map(() => 0)
    for (const { options } of this.choices(poll)) for (const option of options) counts[option]!++
    return counts
  }

  /** C11: who has a choice that counts. */
  voters(poll: string): Set<string> {
    return new Set(this.choices(poll).map(({ voter }) => voter))
  }

  /** C7: whether the options changed after a vote that counts and is no older than the poll. */
  edited(poll: string): boolean {
    const { changed, firstMade } = this.#polls.get(poll)!
    return this.choices(poll).some(({ made }) => made >= firstMade && made < (changed ?? 0))
  }

  /** What counts of a poll that is there: each voter's one vote, or their one for each option. */
  choices(poll: string): Vote[] {
    const { options = [], multiple, endsAt } = this.#polls.get(poll)?.change.poll ?? {}
    const { together } = familyOfPoll.get(poll.split('/')[3]!)!
    const end = endsAt === undefined ? Number.POSITIVE_INFINITY : microseconds(endsAt)
    const choices = new Map<string, Vote>()
    for (const { change, live, by } of this.#votes.values()) {
      const { did, rkey, vote } = change
      if (!vote || vote.subject !== poll || !this.#isActive(did)) continue
      const made = Math.min(vote.createdAt, live ?? by)
      const cast = live ?? made
      if (cast >= end) continue
      const chosen = optionsOf(vote.choice)
      const key = together ? `${did} ${chosen[0]}` : did
      const other = choices.get(key)
      const later = !other || made > other.made || (made === other.made && rkey > other.rkey)
      if (later) choices.set(key, { voter: did, uri: uriOf(change), rkey, options: chosen, made, cast })
    }
    return [...choices.values()].filter(
      (choice) =>
        (multiple || choice.options.length === 1) &&
        choice.options.every((option) => option < options.length),
    )
  }
}

const termsOf = ({ options, multiple, endsAt }: PollChange['poll'] & {}) =>
  JSON.stringify([options, multiple ?? false, endsAt && microseconds(endsAt)])
