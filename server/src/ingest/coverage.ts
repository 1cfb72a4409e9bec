/**
 * Whether votes may be missing. Nobody is missed as long as
 *
 * - a tap is connected: it brings the votes of everybody whom it tracks, and finds the voters of the home family itself;
 * - and, in the other families, everything that Jetstream told up to a moment ago was dealt with, hints that wait too;
 * - and a relay named everybody who had voted by then in a walk that began after Jetstream began to be heard without a
 *   gap.
 *
 * Left out is whose own server does not answer: nobody can read their vote.
 */
import { families, home, type Family } from '@pollz/shared/families'
import type { History } from './history.ts'
import type { Jetstream } from './jetstream.ts'

/** The moment in which Jetstream may be silent and hints may wait, in ms: the public ones tell of accounts all the time. */
const MOMENT = 5 * 60_000
/** For how long no tap may be connected, in ms. */
const TAP_AWAY = 60_000
/** How often it is looked whether that has changed, in ms. */
const LOOK_EVERY = 1_000

export type CoverageOptions = {
  jetstream: Pick<Jetstream, 'since' | 'until'>
  /** undefined: no relay is asked */
  history: Pick<History, 'knownUntil'> | undefined
  /** Whether a tap is connected; undefined: there is none. */
  tapConnected: (() => boolean) | undefined
  /** Keeps for all who serve whether a family is complete. @returns whether it is kept */
  remember: (family: Family, complete: boolean) => Promise<boolean>
}

export class Coverage {
  #options: CoverageOptions
  /** When a tap was connected last, in ms since 1970; at first it is given the time to be. */
  #tapHeard = Date.now()
  /** As of the last look: nothing was heard of yet. */
  #incomplete: ReadonlySet<Family>
  /** What is kept of it, by family. */
  #kept = new Map<Family, boolean>()

  constructor(options: CoverageOptions) {
    this.#options = options
    this.#incomplete = new Set(families.filter(({ poll }) => !options.tapConnected || poll !== home.poll))
  }

  /** Whether votes for polls of a family may be missing. */
  isIncomplete(family: Family): boolean {
    return this.#incomplete.has(family)
  }

  /** Looks again and again. */
  follow(signal: AbortSignal): void {
    void this.#keep()
    const looking = setInterval(() => {
      this.#incomplete = this.#look()
      void this.#keep()
    }, LOOK_EVERY)
    signal.addEventListener('abort', () => clearInterval(looking), { once: true })
  }

  async #keep(): Promise<void> {
    for (const family of families) {
      const complete = !this.#incomplete.has(family)
      if (this.#kept.get(family) === complete) continue
      this.#kept.set(family, complete)
      if (!(await this.#options.remember(family, complete))) this.#kept.delete(family)
    }
  }

  #look(): ReadonlySet<Family> {
    const { history, jetstream, tapConnected } = this.#options
    const now = Date.now()
    if (tapConnected?.()) this.#tapHeard = now
    if (!tapConnected || now - this.#tapHeard > TAP_AWAY) return new Set(families)
    const { since, until } = jetstream
    const isHeard = until !== undefined && until >= (now - MOMENT) * 1000
    const isComplete = (family: Family) => {
      if (family.poll === home.poll) return true
      const known = history?.knownUntil(family)
      return isHeard && known !== undefined && known * 1000 >= since
    }
    return new Set(families.filter((family) => !isComplete(family)))
  }
}
