/** Pictures of polls, kept while they are true, or nearly. */
import type { Budget } from '../ingest/budget.ts'
import type { PollView } from '@pollz/shared/wire'
import pLimit from 'p-limit'

/** Some forty kilobytes each. */
const MAX_KEPT = 500
/** A poll's picture is drawn at most this often, in ms, however fast its votes come. */
const REDRAW = 5_000
/** A drawing takes a core for some tens of ms. */
const limit = pLimit(1)
const MAX_WAITING = 100

export type Card = { version: number; png: Buffer }

export class Cards {
  #kept = new Map<string, { version: number; at: number; card: Promise<Card> }>()
  #draw: (poll: PollView) => Promise<Buffer>

  constructor(draw: (poll: PollView) => Promise<Buffer>) {
    this.#draw = draw
  }

  /**
   * @param budget for a drawing
   * @returns undefined: too many are waiting to be drawn, or this one may not have more
   */
  async of(poll: PollView, budget: Budget): Promise<Card | undefined> {
    const kept = this.#kept.get(poll.uri)
    const good = kept && (kept.version === poll.version || Date.now() - kept.at < REDRAW)
    if (!good && (limit.pendingCount >= MAX_WAITING || !(await budget.take(1)))) return undefined
    const { version } = poll
    const entry = good
      ? kept
      : {
          version,
          at: Date.now(),
          card: limit(async () => ({ version, png: await this.#draw(poll) })),
        }
    // Asked for last, it goes last.
    this.#kept.delete(poll.uri)
    this.#kept.set(poll.uri, entry)
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    try {
      return await entry.card
    } catch (error) {
      if (this.#kept.get(poll.uri) === entry) this.#kept.delete(poll.uri)
      throw error
    }
  }
}
