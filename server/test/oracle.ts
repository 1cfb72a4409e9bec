/** What the store is checked against: it keeps the newest versions in the simplest way, and counts as everybody can. */
import {
  count,
  isEdited,
  microseconds,
  termsText,
  type Count,
  type TimedVote,
  type Vote,
} from '@pollz/shared/counting'
import { timeOfTid } from '@pollz/shared/tid'
import { optionsOf } from '../src/ingest/choices.ts'
import { uriOf, type Change, type PollChange, type VoteChange } from '../src/ingest/events.ts'

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
    const terms = change.poll ? termsText(change.poll) : held?.terms
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
    return record.change.poll ? this.#count(poll).counts : 'gone'
  }

  /** C11: who has a choice that counts. */
  voters(poll: string): Set<string> {
    return new Set(this.choices(poll).map(({ voter }) => voter))
  }

  /** C7 */
  edited(poll: string): boolean {
    const { changed, firstMade } = this.#polls.get(poll)!
    return isEdited(this.choices(poll), changed, firstMade)
  }

  /** What counts of a poll that is there: each voter's one vote, or their one for each option. */
  choices(poll: string): TimedVote[] {
    return this.#count(poll).counted
  }

  #count(poll: string): Count {
    const votes: Vote[] = []
    for (const { change, live, by } of this.#votes.values()) {
      const { did, rkey, vote } = change
      if (!vote || vote.subject !== poll || !this.#isActive(did)) continue
      const choices = optionsOf(vote.choice)
      votes.push({
        voter: did,
        uri: uriOf(change),
        rkey,
        choices,
        createdAt: vote.createdAt,
        seen: live,
        by,
      })
    }
    return count(poll, this.#polls.get(poll)?.change.poll ?? { options: [] }, votes)
  }
}
