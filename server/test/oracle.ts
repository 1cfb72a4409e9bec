/** The counting rules once more, as the design words them and without SQL: what the store is checked against. */
import { timeOfTid } from '@pollz/shared/tid'
import { uriOf, type Change, type PollChange, type VoteChange } from '../src/ingest/events.ts'

type Vote = { voter: string; rkey: string; subject: string; option: number; made: number; cast: number }

export class Oracle {
  #votes = new Map<string, VoteChange>()
  #polls = new Map<string, PollChange>()
  #status = new Map<string, string>()

  deliver(change: Change): void {
    if (change.type === 'account') {
      this.#status.set(change.did, change.status)
      if (change.status !== 'deleted') return
      for (const records of [this.#votes, this.#polls])
        for (const [uri, record] of records) if (record.did === change.did) records.delete(uri)
      return
    }
    if (this.#status.get(change.did) === 'deleted') return
    const records: Map<string, Change> = change.type === 'vote' ? this.#votes : this.#polls
    const known = records.get(uriOf(change)) as VoteChange | PollChange | undefined
    if (!known || known.rev < change.rev) records.set(uriOf(change), change)
  }

  #isActive(did: string): boolean {
    return (this.#status.get(did) ?? 'active') === 'active'
  }

  /** The counts by option; the state where there is no poll. */
  counts(poll: string): number[] | string {
    const author = poll.split('/')[2]!
    const record = this.#polls.get(poll)
    if (!this.#isActive(author)) return 'inactive'
    if (!record) return 'unknown'
    if (!record.poll) return 'gone'
    const counts = record.poll.options.map(() => 0)
    for (const { option } of this.choices(poll).values()) if (option < counts.length) counts[option]!++
    return counts
  }

  /** Each voter's one vote. */
  choices(poll: string): Map<string, Vote> {
    const endsAt = this.#polls.get(poll)?.poll?.endsAt
    const end = endsAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(endsAt) * 1000
    const choices = new Map<string, Vote>()
    for (const { did, rkey, rev, vote } of this.#votes.values()) {
      if (!vote || vote.subject !== poll || !this.#isActive(did)) continue
      const made = Math.min(vote.createdAt, timeOfTid(rev))
      const cast = vote.seenLive ? timeOfTid(rev) : made
      if (cast >= end) continue
      const other = choices.get(did)
      const later = !other || made > other.made || (made === other.made && rkey > other.rkey)
      if (later) choices.set(did, { voter: did, rkey, subject: poll, option: vote.option, made, cast })
    }
    return choices
  }
}
