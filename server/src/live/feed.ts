/** What was committed, by whatever process: asked of the database four times a second, and told to whoever serves. */
import { families, home } from '@pollz/shared/families'
import { reasonOf, type Log } from '../log.ts'
import { steadyNow } from '../steady.ts'
import type { News } from '../store/news.ts'

/** How often the database is asked, in ms. */
const EVERY = 250
/** How soon it is asked again for what somebody waits for, in ms: a replica has it a few ms after the primary. */
const AGAIN = 10
/** How long what was committed is waited for, in ms. */
const PATIENCE = 3_000
/** For how long no beat of this process needs to come back, in ms: there is one every two seconds. */
const STALE = 6_000
/** For how long the database may be behind what it was, in ms, before it is taken for one that was put back. */
const BEHIND = 10_000
/** For how long nobody needs to ingest, in ms: from one to the next it takes ten seconds. */
const ALONE = 60_000

export type FeedOptions = {
  /** @throws where the database can't be read */
  read: (after: number | undefined) => Promise<News>
  onNews: (news: News) => void
  /** Any poll may have changed: the database is an older one than it was, or there is too much news to be told. */
  onReplaced: (version: number) => void
  /** What is said of the tallies has changed for polls of these collections; undefined: for all. */
  onState: (collections: ReadonlySet<string> | undefined) => void
  log: Log
}

export class Feed {
  #options: FeedOptions
  #version: number | undefined
  /** When there were news last, in ms of this process. */
  #told = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  /** The newest beat of this process that came back: all that was committed before it has been told. Ms since 1970. */
  #beat = steadyNow()
  /** Since when this process has not met its own beats. */
  #behind: number | undefined
  #wasStale = false
  /** Poll collections of which no vote is missing. At first nothing is known of the others. */
  #complete: ReadonlySet<string> = new Set([home.poll])
  #until = 0
  /** When the lease was seen to be renewed, in ms of this process. */
  #renewed = performance.now()
  #failed = false

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** Since when the tallies may be old, in ms since 1970; undefined: they are not. */
  get staleSince(): number | undefined {
    return steadyNow() - this.#beat > STALE ? this.#beat : undefined
  }

  /** Whether votes for polls of a collection may be missing. */
  isIncomplete(collection: string): boolean {
    return !this.#complete.has(collection)
  }

  /** Asks at once, and then again and again. */
  follow(signal: AbortSignal): void {
    void this.#look()
    const looking = setInterval(() => void this.#look(), EVERY)
    signal.addEventListener('abort', () => clearInterval(looking), { once: true })
  }

  /** Something was committed here: after a quiet moment it is told at once. */
  hurry(): void {
    if (performance.now() - this.#told > EVERY) void this.#look()
  }

  /** @returns whether all up to this version has been told; if not, the database does not say it in time */
  async reached(version: number): Promise<boolean> {
    const late = performance.now() + PATIENCE
    while ((this.#version ?? 0) < version) {
      if (performance.now() > late) return false
      // The look that is under way may have begun before the commit.
      await this.#looking
      await this.#look()
      if ((this.#version ?? 0) < version) await new Promise((again) => setTimeout(again, AGAIN))
    }
    return true
  }

  /** One at a time. Never rejects. */
  #look(): Promise<void> {
    this.#looking ??= this.#read().finally(() => (this.#looking = undefined))
    return this.#looking
  }

  async #read(): Promise<void> {
    const { log, read } = this.#options
    try {
      this.#take(await read(this.#version))
      this.#failed = false
    } catch (error) {
      if (!this.#failed) log.warn('what was committed can’t be read', { reason: reasonOf(error) })
      this.#failed = true
    }
    this.#tellState()
  }

  #take(news: News): void {
    const { onNews, onReplaced } = this.#options
    const known = this.#version
    if (known !== undefined && news.version < known) {
      // A replica may be behind the one that was asked before. It catches up, or else the database was put back.
      this.#behind ??= performance.now()
      if (performance.now() - this.#behind < BEHIND) return
      this.#version = news.version
      onReplaced(news.version)
    } else if (news.version !== known) {
      this.#version = news.version
      this.#told = performance.now()
      if (news.isTooMuch) onReplaced(news.version)
      else onNews(news)
    }
    this.#behind = undefined
    this.#beat = Math.max(this.#beat, Math.min(news.beat ?? 0, steadyNow()))
    if (news.until !== this.#until) this.#renewed = performance.now()
    this.#until = news.until
    const isAlone = performance.now() - this.#renewed > ALONE
    const complete = new Set(
      families.flatMap(({ poll }) =>
        !isAlone && (news.complete.get(poll) ?? poll === home.poll) ? [poll] : [],
      ),
    )
    const changed = complete.symmetricDifference(this.#complete)
    this.#complete = complete
    if (changed.size > 0) this.#options.onState(changed)
  }

  #tellState(): void {
    const isStale = this.staleSince !== undefined
    if (isStale !== this.#wasStale) this.#options.onState(undefined)
    this.#wasStale = isStale
  }
}
