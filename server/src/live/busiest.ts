/**
 * The polls with the most votes, without looking at all of them each time: those that had the most when all were looked at,
 * and those that have come as far since. Exact, or all are looked at again.
 */
import type { PollView } from '@pollz/shared/wire'
import type { News } from '../store/news.ts'

/** Polls that are known to have many votes: far more than are listed, for some are hidden or get old. */
const CANDIDATES = 300
/** So many make it worth to look at all again. */
const MAX_CANDIDATES = 1_000
/** All are looked at no more often than this, in ms. */
const SCAN_EVERY = 60_000

export type BusiestOptions = {
  /** Of all polls since a time (microseconds since 1970) those with the most votes, with how many; not on the main thread. */
  scan: (since: number, limit: number) => Promise<{ uri: string; votes: number }[]>
  /** Of these polls those with the most votes first. */
  read: (limit: number, since: number, uris: string[]) => Promise<PollView[]>
}

export class Busiest {
  #options: BusiestOptions
  #candidates = new Set<string>()
  /** Any poll that has more votes than this is a candidate; undefined: nothing is known. */
  #least: number | undefined
  #scanned = Number.NEGATIVE_INFINITY
  #scanning: Promise<void> | undefined
  /** What changed while all were looked at: votes, by at-uri. */
  #meanwhile = new Map<string, number>()

  constructor(options: BusiestOptions) {
    this.#options = options
  }

  apply({ tallies }: Pick<News, 'tallies'>): void {
    for (const [uri, { counts }] of tallies) {
      let votes = 0
      for (const [option, n] of counts) if (option >= 0) votes += n
      if (this.#least !== undefined && votes >= this.#least) this.#candidates.add(uri)
      if (this.#scanning) this.#meanwhile.set(uri, votes)
    }
  }

  /** The database is another one. */
  forget(): void {
    this.#least = undefined
    this.#scanned = Number.NEGATIVE_INFINITY
  }

  /** @param since microseconds since 1970 */
  async list(limit: number, since: number): Promise<PollView[]> {
    const isDue = performance.now() - this.#scanned > SCAN_EVERY
    if (this.#least === undefined || (isDue && this.#candidates.size > MAX_CANDIDATES))
      await this.#scan(since)
    const found = await this.#options.read(limit, since, [...this.#candidates])
    // One that is no candidate may have as many as the last of these.
    const isExact = this.#least === 0 || (found.length === limit && votersOf(found.at(-1)!) > this.#least!)
    if (isExact || !isDue) return found
    await this.#scan(since)
    return this.#options.read(limit, since, [...this.#candidates])
  }

  #scan(since: number): Promise<void> {
    this.#scanning ??= this.#scanAll(since).finally(() => {
      this.#scanning = undefined
      this.#meanwhile.clear()
    })
    return this.#scanning
  }

  async #scanAll(since: number): Promise<void> {
    const found = await this.#options.scan(since, CANDIDATES)
    this.#least = found.length < CANDIDATES ? 0 : found.at(-1)!.votes
    this.#candidates = new Set(found.map(({ uri }) => uri))
    for (const [uri, votes] of this.#meanwhile) if (votes >= this.#least) this.#candidates.add(uri)
    this.#scanned = performance.now()
  }
}

const votersOf = ({ total, voters = total }: PollView) => voters
