/**
 * Voters from before this server listened, and those whom Jetstream did not name: a relay says who has records of a
 * collection, and tap is told of them in small batches. Where it was needs no cursor: who is stored is passed over.
 */
import { setTimeout } from 'node:timers/promises'
import { families, home, type Family } from '@pollz/shared/families'
import { reasonOf, type Log } from '../log.ts'
import { unlimited } from './budget.ts'
import type { Repos } from './repos.ts'

/** Voters whom tap reads at a time. */
const BATCH = 50
/** For how long it is waited for them, in ms: one whose server does not answer must not hold up the others. */
const PATIENCE = 60_000
/** Pages of one collection, against a relay that never ends. */
const MAX_PAGES = 2_000
/** How often all are named anew, in ms. */
const EVERY = 24 * 3_600_000
/** After a walk that failed it is tried again, in ms: twice as late each time, at most an hour. */
const AGAIN = 60_000
const MAX_AGAIN = 3_600_000

const budget = unlimited('history')

export type HistoryOptions = {
  relayUrl: string
  repos: Pick<Repos, 'listRepos'>
  /** Of these DIDs those that tap tracks. */
  tracked: (dids: string[]) => Promise<ReadonlySet<string>>
  /** Has tap track these repos; resolves when it has read them, or has had so many ms. @throws Error */
  track: (dids: string[], patience: number) => Promise<void>
  /** When the last walk of each collection that came to its end began, in ms since 1970; undefined: there was none. */
  walked: {
    last: (collection: string) => Promise<number | undefined>
    remember: (collection: string, time: number) => Promise<unknown>
  }
  /** is told of each batch that tap was told of */
  onTold: (dids: number) => void
  log: Log
  signal: AbortSignal
  /** ms, as the constants above */
  again?: number
  every?: number
}

/** Collections whose voters tap does not find by itself. */
const walkedCollections = ({ votes }: Family) =>
  votes.map(({ nsid }) => nsid).filter((nsid) => nsid !== home.vote)

export class History {
  #options: HistoryOptions
  /** By collection, as `walked` has it. */
  #walked = new Map<string, number>()

  constructor(options: HistoryOptions) {
    this.#options = options
  }

  /** Ms since 1970: who had voted in a family by then is known to tap; undefined: who had may not be. */
  knownUntil(family: Family): number | undefined {
    const walks = walkedCollections(family).map((nsid) => this.#walked.get(nsid))
    return walks.includes(undefined) ? undefined : Math.min(...(walks as number[]))
  }

  /** Walks all collections at start and daily. */
  async run(): Promise<void> {
    const { again = AGAIN, every = EVERY, signal } = this.#options
    for (let failures = 0; !signal.aborted;) {
      // One that a relay refuses is no reason to leave out the others.
      let failed = 0
      for (const visit of [this.#recall, this.#walk])
        for (const nsid of families.flatMap(walkedCollections)) if (!(await this.#try(nsid, visit))) failed++
      if (signal.aborted) return
      const wait = failed === 0 ? every : Math.min(again * 2 ** failures, MAX_AGAIN)
      failures = failed === 0 ? 0 : failures + 1
      await setTimeout(wait, undefined, { signal }).catch(() => {})
    }
  }

  /** @returns whether it did not fail */
  async #try(collection: string, visit: (collection: string) => Promise<void>): Promise<boolean> {
    const { log, relayUrl, signal } = this.#options
    if (signal.aborted) return true
    try {
      await visit.call(this, collection)
      return true
    } catch (error) {
      if (signal.aborted) return true
      const reason = reasonOf(error)
      log.warn('voters from before could not all be named (RELAY_URL)', { relayUrl, collection, reason })
      return false
    }
  }

  async #recall(collection: string): Promise<void> {
    if (this.#walked.has(collection)) return
    const last = await this.#options.walked.last(collection)
    if (last !== undefined) this.#walked.set(collection, last)
  }

  async #walk(collection: string): Promise<void> {
    const { log, onTold, relayUrl, repos, signal, track, tracked, walked } = this.#options
    const began = Date.now()
    const seen = new Set<string | undefined>()
    let told = 0
    let cursor: string | undefined
    do {
      seen.add(cursor)
      const page = await repos.listRepos({ relayUrl, collection, cursor, budget })
      if (!page.ok) throw new Error(page.message)
      const known = await tracked(page.value.dids)
      const dids = [...new Set(page.value.dids)].filter((did) => !known.has(did))
      for (let i = 0; i < dids.length; i += BATCH) {
        if (signal.aborted) return
        const batch = dids.slice(i, i + BATCH)
        await track(batch, PATIENCE)
        told += batch.length
        onTold(batch.length)
      }
      cursor = page.value.cursor
      if (seen.size >= MAX_PAGES || (cursor !== undefined && seen.has(cursor)))
        throw new Error(`${collection}: its list does not end`)
    } while (cursor !== undefined && !signal.aborted)
    if (signal.aborted) return
    if (told > 0) log.info('tap was told of voters from before', { collection, voters: told })
    await walked.remember(collection, began)
    this.#walked.set(collection, began)
  }
}
