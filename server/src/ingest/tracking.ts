/**
 * Whom tap tracks beside the voters that it finds by itself: the authors of polls, and the voters of other families
 * (design section 3).
 */
import { setImmediate, setTimeout } from 'node:timers/promises'
import { Tap } from '@atproto/tap'
import { reasonOf, type Log } from '../log.ts'

/** DIDs in one request to tap. */
const AT_ONCE = 500
/** DIDs that wait for a tap that is away, at most: whoever is stored is told again at the next connection. */
const MAX_WAITING = 100_000
/** Between two requests after one that failed, in ms. */
const PAUSE = 2_000
/** How often tap is asked whether it has read a repo, in ms. */
const ASK_EVERY = 1_000
/** For the answer, in ms. */
const TIMEOUT = 10_000

export type TrackingOptions = {
  /** of the taps */
  urls: string[]
  adminPassword: string | undefined
  log: Log
  signal: AbortSignal
}

/** `waiting`: DIDs that it has not been told yet. `rounds`: how often it was begun to tell it of everybody */
type Told = { url: string; tap: Tap; waiting: Set<string>; busy: boolean; rounds: number }

export class Tracking {
  #taps: Told[]
  #log: Log
  #signal: AbortSignal

  constructor({ urls, adminPassword, log, signal }: TrackingOptions) {
    const config = adminPassword === undefined ? {} : { adminPassword }
    this.#taps = urls.map((url) => ({
      url,
      tap: new Tap(url, config),
      waiting: new Set(),
      busy: false,
      rounds: 0,
    }))
    this.#log = log
    this.#signal = signal
  }

  /** Has all taps track these repos, as soon as each can be told. It may be told again and again. */
  track(dids: Iterable<string>): void {
    for (const told of this.#taps) {
      for (const did of dids) if (told.waiting.size < MAX_WAITING) told.waiting.add(did)
      if (!told.busy) void this.#tell(told)
    }
  }

  /** Has all taps forget these repos: a vote of theirs brings them back. */
  untrack(dids: string[]): void {
    for (const { url, tap, waiting } of this.#taps) {
      for (const did of dids) waiting.delete(did)
      tap.removeRepos(dids).catch(this.#failed(url))
    }
  }

  /**
   * Has one tap, that was connected to just now, track everybody.
   *
   * @param page DIDs after the place where the last page ended, 0 at first; `last`: where it ends, undefined: that was all
   */
  async trackAll(
    url: string,
    page: (after: number, limit: number) => Promise<{ dids: string[]; last: number | undefined }>,
  ): Promise<void> {
    const told = this.#taps.find((it) => it.url === url)!
    const round = ++told.rounds
    // A newer round, after the next connection, tells all of it again.
    for (let after = 0; told.rounds === round && !this.#signal.aborted;) {
      try {
        const { dids, last } = await page(after, AT_ONCE)
        if (last === undefined) return
        if (dids.length > 0) await told.tap.addRepos(dids)
        after = last
        // Others have their turn between two looks.
        await setImmediate()
      } catch (error) {
        this.#failed(url)(error)
        await this.#pause()
      }
    }
  }

  /**
   * Has all taps track these repos, and waits until they have read them or failed to.
   *
   * @param patience ms after which it waits no longer
   * @throws Error where a tap can't be told, or does not say in that time how far it is
   */
  async trackAndWait(dids: string[], patience: number): Promise<void> {
    for (const { tap } of this.#taps) {
      const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(patience)])
      await unless(signal, tap.addRepos(dids))
      const unread = new Set(dids)
      let failure: { error: unknown } | undefined
      while (unread.size > 0 && !signal.aborted) {
        for (const did of unread) {
          try {
            const soon = AbortSignal.timeout(Math.min(TIMEOUT, patience / 2))
            const { state } = await unless(AbortSignal.any([signal, soon]), tap.getRepoInfo(did))
            failure = undefined
            if (!UNREAD.has(state)) unread.delete(did)
          } catch (error) {
            if (isForgotten(error)) {
              unread.delete(did)
              continue
            }
            if (!signal.aborted) failure = { error }
            break
          }
        }
        if (unread.size > 0) await setTimeout(ASK_EVERY, undefined, { signal }).catch(() => {})
      }
      if (failure) throw failure.error
    }
  }

  async #tell(told: Told): Promise<void> {
    const { tap, waiting, url } = told
    told.busy = true
    while (waiting.size > 0 && !this.#signal.aborted) {
      const dids = [...waiting].slice(0, AT_ONCE)
      for (const did of dids) waiting.delete(did)
      try {
        await tap.addRepos(dids)
      } catch (error) {
        this.#failed(url)(error)
        for (const did of dids) waiting.add(did)
        await this.#pause()
      }
    }
    told.busy = false
  }

  async #pause(): Promise<void> {
    await setTimeout(PAUSE, undefined, { signal: this.#signal }).catch(() => {})
  }

  #failed = (url: string) => (error: unknown) =>
    this.#log.warn('tap could not be told whom to track', { url, reason: reasonOf(error) })
}

/** Tap knows a repo that it was told of, unless the account was deleted. Its client says no more than this of a 404. */
const isForgotten = (error: unknown) => error instanceof Error && error.message.endsWith('Not Found')

/** A request that has no end of its own. @throws where the signal ends it */
async function unless<T>(signal: AbortSignal, request: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const ended = new AbortController()
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), {
      once: true,
      signal: ended.signal,
    })
  })
  try {
    return await Promise.race([request, late])
  } finally {
    ended.abort()
  }
}

/** What tap says of a repo whose records it has not sent yet. */
const UNREAD: ReadonlySet<string> = new Set(['pending', 'desynchronized', 'resyncing'])
