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
  /** When each collection was walked to its end last, in ms since 1970; undefined: never. */
  walked: {
    last: (collection: string) => Promise<number | undefined>
    remember: (collection: string, time: number) => Promise<unknown>
  }
  /** is told of each batch that tap was told of */
  onTold: (dids: number) => void
  /** is told when a family's voters are all known that were not before */
  onComplete: () => void
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
  #complete = new Set<string>()

  constructor(options: HistoryOptions) {
    this.#options = options
  }

  /** Whether all who had voted in a family when it was walked last are known to tap. */
  covers(family: Family): boolean {
    return walkedCollections(family).every((nsid) => this.#complete.has(nsid))
  }

  /** Walks all collections at start and daily. */
  async run(): Promise<void> {
    const { again = AGAIN, every = EVERY, log, relayUrl, signal } = this.#options
    let failures = 0
    while (!signal.aborted) {
      let wait = every
      try {
        for (const nsid of families.flatMap(walkedCollections)) await this.#recall(nsid)
        for (const nsid of families.flatMap(walkedCollections)) await this.#walk(nsid)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        wait = Math.min(again * 2 ** failures++, MAX_AGAIN)
        log.warn('voters from before could not all be named (RELAY_URL)', {
          relayUrl,
          reason: reasonOf(error),
          retryInMs: wait,
        })
      }
      await setTimeout(wait, undefined, { signal }).catch(() => {})
    }
  }

  async #recall(collection: string): Promise<void> {
    if ((await this.#options.walked.last(collection)) !== undefined) this.#has(collection)
  }

  #has(collection: string): void {
    if (this.#complete.has(collection)) return
    this.#complete.add(collection)
    this.#options.onComplete()
  }

  async #walk(collection: string): Promise<void> {
    const { log, onTold, relayUrl, repos, signal, track, tracked, walked } = this.#options
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
    await walked.remember(collection, Date.now())
    this.#has(collection)
  }
}
