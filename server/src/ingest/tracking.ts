/** Whom tap tracks beside the voters that it finds by itself: the authors of polls (design section 3). */
import { Tap } from '@atproto/tap'
import { reasonOf, type Log } from '../log.ts'

/** DIDs in one request to tap. */
const AT_ONCE = 500

export type TrackingOptions = {
  /** of the taps */
  urls: string[]
  adminPassword: string | undefined
  log: Log
}

export class Tracking {
  #taps: Map<string, Tap>
  #log: Log

  constructor({ urls, adminPassword, log }: TrackingOptions) {
    const config = adminPassword === undefined ? {} : { adminPassword }
    this.#taps = new Map(urls.map((url) => [url, new Tap(url, config)]))
    this.#log = log
  }

  /** Has all taps track these repos. It may be told again and again. */
  track(dids: string[]): void {
    if (dids.length === 0) return
    // At the next connection all authors are told again.
    for (const [url, tap] of this.#taps) tap.addRepos(dids).catch(this.#failed(url))
  }

  /** Has all taps forget these repos: a vote of theirs brings them back. */
  untrack(dids: string[]): void {
    for (const [url, tap] of this.#taps) tap.removeRepos(dids).catch(this.#failed(url))
  }

  /**
   * Has one tap, that was connected to just now, track everybody.
   *
   * @param page DIDs after the place where the last page ended, 0 at first; none: that was all
   */
  async trackAll(
    url: string,
    page: (after: number, limit: number) => Promise<{ dids: string[]; last: number }>,
  ): Promise<void> {
    try {
      for (let after = 0; ;) {
        const { dids, last } = await page(after, AT_ONCE)
        if (dids.length === 0) return
        await this.#taps.get(url)!.addRepos(dids)
        after = last
      }
    } catch (error) {
      this.#failed(url)(error)
    }
  }

  #failed = (url: string) => (error: unknown) =>
    this.#log.warn('tap could not be told whom to track', { url, reason: reasonOf(error) })
}
