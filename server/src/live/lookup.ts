/** Finding a poll by any of its names: in memory, in the database, else on its author's PDS. */
import { familyOfPoll, familyOfVote } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { isDid, parseAtUri, readRecord, type Change } from '../ingest/events.ts'
import type { Budget } from '../ingest/budget.ts'
import type { RepoError, RepoRead, Repos } from '../ingest/repos.ts'
import type { Applied } from '../store/counting.ts'
import type { Hidden } from './hidden.ts'
import type { Polls } from './polls.ts'

export type LookupError =
  | 'InvalidRequest'
  | 'PollNotFound'
  /** the operator does not show it */
  | 'Hidden'
  /** whoever asks has had this server read too much of others lately */
  | 'RateLimited'
  | 'InternalServerError'
  | RepoError

/** `uri`: the poll's at-uri with the author's DID, also where there is no poll (yet). `deleted`: there was one. */
export type Found =
  | { ok: true; uri: string; poll: PollView }
  | { ok: false; uri: string | undefined; error: LookupError; message: string; deleted?: boolean }

/** How long an answer of a PDS that there is no such poll is believed, in ms. */
const KEEP_MISSES = 10_000
const MAX_MISSES = 10_000

/** Votes that one `?verify=true` reads from their PDSes, and for how long its result is good enough, in ms. */
const MAX_VERIFIED = 200
const KEEP_VERIFIED = 60_000
/** What a verification counts as, among the reads of one address: it is done once a minute whoever asks. */
const VERIFY_READS = 20

/** How many of a poll's vote records were read anew with their proof, of how many that were held. */
export type Verified = { read: number; failed: number; complete: boolean }

export class Lookup {
  #polls: Polls
  #repos: Repos
  #hidden: Hidden
  #store: (changes: Change[]) => Promise<Applied>
  #track: (dids: string[]) => void
  #votesOf: (poll: string, limit: number) => Promise<string[]>
  #verified = new Map<string, { result: Promise<Verified>; until: number }>()
  #underway = new Map<string, Promise<Found>>()
  #misses = new Map<string, { found: Found; until: number }>()

  /**
   * @param store resolves with what changed once it is committed
   * @param track has tap track the author of a poll that somebody asked for
   * @param votesOf at-uris of the votes that are held for a poll
   */
  constructor(
    polls: Polls,
    repos: Repos,
    hidden: Hidden,
    store: (changes: Change[]) => Promise<Applied>,
    track: (dids: string[]) => void,
    votesOf: (poll: string, limit: number) => Promise<string[]>,
  ) {
    this.#polls = polls
    this.#repos = repos
    this.#hidden = hidden
    this.#store = store
    this.#track = track
    this.#votesOf = votesOf
  }

  /** C10 for one poll: reads it and its votes anew, within a bound, and not more often than once a minute. */
  async verify(uri: string, budget: Budget): Promise<Verified | (Found & { ok: false })> {
    const named = await this.#canonical(uri, familyOfPoll, budget)
    if (!named.ok) return named
    const recent = this.#verified.get(named.uri)
    if (recent && recent.until > Date.now()) return recent.result
    if (!(await budget.take(VERIFY_READS))) return limited(named.uri)
    if (this.#verified.size >= MAX_MISSES) this.#verified.clear()
    const result = this.#verify(named.uri)
    this.#verified.set(named.uri, { result, until: Date.now() + KEEP_VERIFIED })
    return result
  }

  async #verify(poll: string): Promise<Verified> {
    const votes = await this.#votesOf(poll, MAX_VERIFIED + 1)
    const complete = votes.length <= MAX_VERIFIED
    const reads = await Promise.all(
      [poll, ...votes.slice(0, MAX_VERIFIED)].map((record) => this.#fetch(record)),
    )
    const failed = reads.filter(({ ok }) => !ok).length
    return { read: reads.length - failed, failed, complete: complete && failed === 0 }
  }

  /** @param uri at-uri of a poll, by DID or handle */
  async find(uri: string, budget: Budget): Promise<Found> {
    const kept = this.#polls.kept(uri)
    if (kept && !this.#hidden.hides(uri)) return { ok: true, uri, poll: kept }
    const named = await this.#canonical(uri, familyOfPoll, budget)
    if (!named.ok) return named
    if (this.#hidden.hides(named.uri)) return hidden(named.uri)
    const state = await this.#polls.find(named.uri)
    switch (state.state) {
      case 'there':
        return { ok: true, uri: named.uri, poll: state.poll }
      case 'gone':
        return missing(named.uri, state.deleted)
      case 'inactive':
        return {
          ok: false,
          uri: named.uri,
          error: 'RepoInactive',
          message: `the account of ${named.uri} is ${state.status}`,
        }
      case 'unknown':
        return this.#once(named.uri, () => this.fetchPoll(named.uri, budget))
      default:
        return state satisfies never
    }
  }

  /** Reads a poll from its PDS, whatever is known of it. @param uri at-uri of a poll, by DID or handle */
  async fetchPoll(uri: string, budget: Budget): Promise<Found> {
    const named = await this.#canonical(uri, familyOfPoll, budget)
    if (!named.ok) return named
    if (!(await budget.take(1))) return limited(named.uri)
    const read = await this.#fetch(named.uri)
    if (!read.ok) return { ...read, uri: named.uri }
    this.#track([named.repo])
    if (this.#hidden.hides(named.uri)) return hidden(named.uri)
    const state = await this.#polls.find(named.uri)
    if (state.state === 'there') return { ok: true, uri: named.uri, poll: state.poll }
    return missing(named.uri, state.state === 'gone' && state.deleted)
  }

  /**
   * Reads a vote, or its absence, from its PDS and counts it. The answer is the poll it is for; for a vote that is no
   * longer there, the poll it was for, as far as this changed its tally.
   *
   * @param uri at-uri of a vote record, by DID
   */
  async fetchVote(uri: string, budget: Budget): Promise<Found> {
    const named = await this.#canonical(uri, familyOfVote, budget)
    if (!named.ok) return named
    if (!(await budget.take(1))) return limited(undefined)
    const read = await this.#fetch(named.uri)
    if (!read.ok) return { ...read, uri: undefined }
    const { change, applied } = read.value
    if (change.type === 'vote' && change.vote) {
      if (applied.unknownAuthors.size > 0) this.#track([...applied.unknownAuthors])
      return this.find(change.vote.subject, budget)
    }
    const poll = applied.tallies.keys().next().value
    return poll === undefined
      ? { ok: false, uri: undefined, error: 'PollNotFound', message: `${uri} names no poll` }
      : this.find(poll, budget)
  }

  async #fetch(uri: string): Promise<RepoRead<{ change: Change; applied: Applied }>> {
    const { repo, collection, rkey } = parseAtUri(uri)!
    const read = await this.#repos.readRecord(repo, collection, rkey)
    if (!read.ok) return read
    const { change } = readRecord(read.value, read.value.record, false)
    return { ok: true, value: { change, applied: await this.#store([change]) } }
  }

  async #canonical(
    uri: string,
    families: ReadonlyMap<string, unknown>,
    budget: Budget,
  ): Promise<{ ok: true; uri: string; repo: string } | (Found & { ok: false })> {
    const parts = parseAtUri(uri)
    if (!parts || !families.has(parts.collection)) {
      const expected = [...families.keys()].map((nsid) => `at://REPO/${nsid}/RKEY`).join(' or ')
      return { ok: false, uri: undefined, error: 'InvalidRequest', message: `uri: expected ${expected}` }
    }
    if (isDid(parts.repo)) return { ok: true, uri, repo: parts.repo }
    if (!(await budget.take(1))) return limited(undefined)
    const repo = await this.#repos.resolveRepo(parts.repo)
    if (!repo.ok) return { ...repo, uri: undefined }
    return { ok: true, uri: `at://${repo.value}/${parts.collection}/${parts.rkey}`, repo: repo.value }
  }

  /** One request to a PDS however many ask, and none for what it said a moment ago it has not. */
  #once(uri: string, fetch: () => Promise<Found>): Promise<Found> {
    const miss = this.#misses.get(uri)
    if (miss && miss.until > Date.now()) return Promise.resolve(miss.found)
    let underway = this.#underway.get(uri)
    if (!underway) {
      underway = fetch().then((found) => {
        // Who may not ask has been told nothing.
        if (!found.ok && found.error !== 'RateLimited') {
          if (this.#misses.size >= MAX_MISSES) this.#misses.clear()
          this.#misses.set(uri, { found, until: Date.now() + KEEP_MISSES })
        }
        return found
      })
      this.#underway.set(uri, underway)
      void underway.finally(() => this.#underway.delete(uri)).catch(() => {})
    }
    return underway
  }
}

function hidden(uri: string): Found & { ok: false } {
  return { ok: false, uri, error: 'Hidden', message: `this server does not show ${uri}` }
}

function limited(uri: string | undefined): Found & { ok: false } {
  const message = 'too much was asked from this address: try again in a minute'
  return { ok: false, uri, error: 'RateLimited', message }
}

function missing(uri: string, deleted: boolean): Found & { ok: false } {
  const message = deleted ? `the poll ${uri} was deleted` : `there is no poll ${uri}`
  return { ok: false, uri, error: 'PollNotFound', message, deleted }
}
