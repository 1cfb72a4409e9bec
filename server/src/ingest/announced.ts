/**
 * Records that somebody outside names: each is read from its own PDS with a proof, and stored. Nothing else of what is
 * said about it is trusted (design 4.2), and nothing is kept of what was not proved.
 */
import { parseAtUri } from '@pollz/shared/at-uri'
import { home } from '@pollz/shared/families'
import { LRUCache } from 'lru-cache'
import { unlimited, type Budget } from './budget.ts'
import { readRecord, type Change, type PollChange, type VoteChange } from './events.ts'
import type { ProvenRecord, RepoRead, Repos } from './repos.ts'

/** Votes that one `?verify=true` reads from their PDSes, and for how long its result is good enough, in ms. */
const MAX_VERIFIED = 200
const KEEP_VERIFIED = 60_000
const MAX_KEPT = 10_000
/** What a verification counts as, among the reads of one client: it is done once a minute whoever asks. */
const VERIFY_READS = 20
/** Verifications under way: their reads may hang together, and take places that all reads share. */
const MAX_VERIFYING = 8

/** What is read for somebody may also fail because they have had too much, or because it could not be stored. */
export type Read<T> = RepoRead<T> | { ok: false; error: 'RateLimited' | 'StoreFailure'; message: string }

/** How many of a poll's vote records were read anew with their proof, of how many that were held. */
export type Verified = { read: number; failed: number; complete: boolean }

/** A record that was read. `subject`: the poll that a vote is for, or was for as long as it was there. */
export type Announced = { change: VoteChange | PollChange; subject: string | undefined }

export type AnnouncedOptions = {
  repos: Repos
  /** Resolves once they are committed and can be read; `StoreFailure` where nobody knows. */
  store: (changes: Change[]) => Promise<Read<unknown>>
  /** at-uri of the poll that a vote is held for */
  subjectOf: (vote: VoteChange) => Promise<string | undefined>
  /** Has tap track the author of a poll that is there, or a voter whom tap does not find by itself. */
  track: (dids: string[]) => void
  /** at-uris of the votes that are held for a poll, at most so many */
  votesOf: (poll: string, limit: number) => Promise<string[]>
}

/** A proven version as a change; a record that is not there matters only where it is held. */
export function changeOf(proven: ProvenRecord): VoteChange | PollChange {
  const { change } = readRecord(proven, proven.record, false)
  return proven.record === null ? { ...change, onlyIfHeld: true } : change
}

export class AnnouncedRecords {
  #options: AnnouncedOptions
  #verified = new LRUCache<string, Promise<Read<Verified>>>({ max: MAX_KEPT, ttl: KEEP_VERIFIED })
  #verifying = 0

  constructor(options: AnnouncedOptions) {
    this.#options = options
  }

  /** @param uri at-uri of a poll or vote record, by DID */
  async read(uri: string, budget: Budget): Promise<Read<Announced>> {
    if (!(await budget.take(1))) return tooMany
    return this.#read(uri, budget)
  }

  /** C10 for one poll: reads it and its votes anew, within a bound, and not more often than once a minute. */
  async verify(poll: string, budget: Budget): Promise<Read<Verified>> {
    const recent = this.#verified.get(poll)
    if (recent) return recent
    if (this.#verifying >= MAX_VERIFYING) return tooManyVerifying
    this.#verifying++
    try {
      if (!(await budget.take(VERIFY_READS))) return tooMany
      const result = this.#verify(poll)
      this.#verified.set(poll, result)
      return await result
    } catch (error) {
      this.#verified.delete(poll)
      throw error
    } finally {
      this.#verifying--
    }
  }

  async #verify(poll: string): Promise<Read<Verified>> {
    // Its result is for everybody who asks within a minute, so it must not fail for what the first one has under way.
    const budget = unlimited(`verify ${poll}`)
    const votes = await this.#options.votesOf(poll, MAX_VERIFIED + 1)
    const complete = votes.length <= MAX_VERIFIED
    const uris = [poll, ...votes.slice(0, MAX_VERIFIED)]
    const reads = await Promise.all(uris.map((uri) => this.#read(uri, budget)))
    const failed = reads.filter(({ ok }) => !ok).length
    return { ok: true, value: { read: reads.length - failed, failed, complete: complete && failed === 0 } }
  }

  async #read(uri: string, budget: Budget): Promise<Read<Announced>> {
    const proven = await this.prove(uri, budget)
    return proven.ok ? this.store(proven.value) : proven
  }

  /** What is proved of a record, not stored yet. It takes nothing from the budget but a place. */
  async prove(uri: string, budget: Budget): Promise<RepoRead<VoteChange | PollChange>> {
    const { repo: did, collection, rkey } = parseAtUri(uri)!
    const read = await this.#options.repos.readRecord({ did, collection, rkey, budget })
    return read.ok ? { ok: true, value: changeOf(read.value) } : read
  }

  /** Stores what was proved, and has tap track whom it has to. */
  async store(change: VoteChange | PollChange): Promise<Read<Announced>> {
    const { store, subjectOf, track } = this.#options
    // Of a vote that is no longer there only what is held says which poll it was for.
    const subject = change.type === 'poll' ? undefined : (change.vote?.subject ?? (await subjectOf(change)))
    const stored = await store([change])
    if (!stored.ok) return stored
    const { collection, did, onlyIfHeld } = change
    if (change.type === 'poll' ? change.poll : !onlyIfHeld && collection !== home.vote) track([did])
    return { ok: true, value: { change, subject } }
  }
}

const tooManyVerifying = {
  ok: false,
  error: 'Busy',
  message: 'too many polls are being verified: try again later',
} as const

export const tooMany = {
  ok: false,
  error: 'RateLimited',
  message: 'too many requests from this address: try again in a minute',
} as const
