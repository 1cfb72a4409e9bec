/** Finding a poll by any of its names: in memory, in the database, else, through whoever reads records, on its PDS. */
import { familyOfPoll, home } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import type { Read } from '../ingest/announced.ts'
import type { Budget } from '../ingest/budget.ts'
import type { Named, Names } from '../ingest/names.ts'
import type { Hidden } from './hidden.ts'
import type { Polls } from './polls.ts'
import type { Questions } from './questions.ts'

export type LookupError =
  | (Named & { ok: false })['error']
  | 'PollNotFound'
  /** the operator does not show it */
  | 'Hidden'
  | 'InternalServerError'

/** `uri`: the poll's at-uri with the author's DID, also where there is no poll (yet). `deleted`: there was one. */
export type Found =
  | { ok: true; uri: string; poll: PollView }
  | { ok: false; uri: string | undefined; error: LookupError; message: string; deleted?: boolean }

/** How long an answer of a PDS that there is no such poll is believed, in ms. */
const KEEP_MISSES = 10_000
const MAX_MISSES = 10_000

export type LookupOptions = {
  polls: Polls
  hidden: Hidden
  names: Names
  questions: Questions
  /** Reads a poll that is not known from its PDS, and has it stored. */
  read: (uri: string, budget: Budget) => Promise<Read<unknown>>
  /** Whether votes for polls of a collection may be missing. */
  isIncomplete: (collection: string) => boolean
  /** Since when the tallies may be old, in ms since 1970; undefined: they are not. */
  staleSince: () => number | undefined
}

export class Lookup {
  #options: LookupOptions
  /** What was last said of a poll beside what is kept of it. */
  #said = new WeakMap<PollView, { said: string; poll: PollView }>()
  #underway = new Map<string, Promise<Found>>()
  #misses = new LRUCache<string, Found>({ max: MAX_MISSES, ttl: KEEP_MISSES })

  constructor(options: LookupOptions) {
    this.#options = options
  }

  /**
   * The poll as `told` has it.
   *
   * @param uri at-uri of a poll, by DID or handle
   * @param patience ms to wait for a question of which nothing is known
   */
  async find(uri: string, budget: Budget, patience = 0): Promise<Found> {
    const found = await this.#find(uri, budget)
    if (!found.ok) return found
    const poll = await this.told(found.poll, budget, patience)
    // It may have been hidden meanwhile.
    if (this.#options.hidden.hides(found.uri)) return hiddenPoll(found.uri)
    return { ...found, poll }
  }

  /** The poll as `told` has it, where nothing has to be read for that. @param uri at-uri with a DID */
  kept(uri: string): PollView | undefined {
    const { polls, hidden } = this.#options
    const kept = polls.kept(uri)
    const isKnown = kept && (kept.post === undefined || kept.text !== '') && !hidden.hides(uri)
    return isKnown ? this.#lacking(kept) : undefined
  }

  /** The poll, with its question wherever that is, as far as it is known, and what its tally may lack. */
  async told(poll: PollView, budget: Budget, patience = 0): Promise<PollView> {
    return this.#lacking(await this.#options.questions.asked(poll, budget, patience))
  }

  /** The poll with what its tally may lack. */
  #lacking(asked: PollView): PollView {
    const { isIncomplete, staleSince } = this.#options
    const incomplete = isIncomplete(asked.collection ?? home.poll)
    const since = staleSince()
    if (since === undefined && !incomplete) return asked
    // The same object as long as the same is to be said: its JSON is kept (http/api.ts).
    const said = `${incomplete} ${since}`
    const before = this.#said.get(asked)
    if (before?.said === said) return before.poll
    const lacking = {
      ...asked,
      ...(incomplete ? { incomplete: true } : {}),
      ...(since === undefined ? {} : { asOf: new Date(since).toISOString() }),
    }
    this.#said.set(asked, { said, poll: lacking })
    return lacking
  }

  async #find(uri: string, budget: Budget): Promise<Found> {
    const { polls, hidden, names } = this.#options
    const kept = polls.kept(uri)
    if (kept && !hidden.hides(uri)) return { ok: true, uri, poll: kept }
    const named = await names.canonical(uri, familyOfPoll, budget)
    if (!named.ok) return { ...named, uri: undefined }
    const known = await this.#known(named.uri)
    return known ?? this.#once(named.uri, budget)
  }

  /** undefined: nobody has looked for it yet. @param uri at-uri by DID */
  async #known(uri: string): Promise<Found | undefined> {
    const { polls, hidden } = this.#options
    if (hidden.hides(uri)) return hiddenPoll(uri)
    const state = await polls.find(uri)
    // It may have been hidden meanwhile.
    if (hidden.hides(uri)) return hiddenPoll(uri)
    switch (state.state) {
      case 'there':
        return { ok: true, uri, poll: state.poll }
      case 'gone':
        return missing(uri, state.deleted)
      case 'inactive':
        return { ok: false, uri, error: 'RepoInactive', message: `the account of ${uri} is ${state.status}` }
      case 'unknown':
        return undefined
      default:
        return state satisfies never
    }
  }

  /**
   * One request to a PDS however often a client asks, and none for what it said a moment ago it has not. Clients do not
   * wait for each other: one that has filled its places would hold up the others.
   */
  async #once(uri: string, budget: Budget): Promise<Found> {
    const miss = this.#misses.get(uri)
    if (miss) return miss
    const key = `${budget.name} ${uri}`
    let underway = this.#underway.get(key)
    if (!underway) {
      underway = this.#read(uri, budget)
      this.#underway.set(key, underway)
      void underway.finally(() => this.#underway.delete(key)).catch(() => {})
    }
    return underway
  }

  async #read(uri: string, budget: Budget): Promise<Found> {
    const read = await this.#options.read(uri, budget)
    const found: Found = read.ok
      ? ((await this.#known(uri)) ?? missing(uri, false))
      : { ok: false, uri, error: read.error, message: read.message }
    // Don’t cache a rate-limit refusal as a miss.
    if (!found.ok && !PASSING.has(found.error)) this.#misses.set(uri, found)
    return found
  }
}

/** Errors that concern whoever asked, or this moment. */
const PASSING: ReadonlySet<LookupError> = new Set<LookupError>(['RateLimited', 'Busy', 'StoreFailure'])

const hiddenPoll = (uri: string): Found => ({
  ok: false,
  uri,
  error: 'Hidden',
  message: `this server does not show ${uri}`,
})

function missing(uri: string, deleted: boolean): Found & { ok: false } {
  const message = deleted ? `the poll ${uri} was deleted` : `there is no poll ${uri}`
  return { ok: false, uri, error: 'PollNotFound', message, deleted }
}
