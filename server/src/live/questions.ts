/** Questions of polls that are the text of a post: what stands there is read from the post, by its author's own server. */
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import type { Budget } from '../ingest/budget.ts'
import type { RepoRead } from '../ingest/repos.ts'
import { within } from './patience.ts'

/** Bytes of all texts that are kept, and of what is remembered of reads, about. */
const MAX_KEPT = 8 * 1024 * 1024
const MAX_READS = 4 * 1024 * 1024
/** How old a text gets, in ms, before it is read anew, and how old the news that there is none. */
const RENEW = 3_600_000
const RENEW_NONE = 60_000
/** While a post's server does not answer, its text is shown until it is this old, in ms. */
const KEEP = 24 * 3_600_000
/** Nobody has the same post read more often than this, in ms. */
const RETRY = 60_000
/** What a page or a picture may wait for its question, in ms: it is made once, and nobody tells it more. */
export const PATIENCE = 2_000

/** `text`: undefined: there is none. `at`: when it was asked for, in ms since 1970 */
type Kept = { text: string | undefined; at: number }

/** Some for an entry itself, and two bytes for each character. */
const sizeOf = (...texts: string[]) => texts.reduce((sum, { length }) => sum + 2 * length, 300)

export class Questions {
  /** By poll and post, as `keyOf` has them. */
  #kept = new LRUCache<string, Kept>({
    maxSize: MAX_KEPT,
    sizeCalculation: ({ text = '' }, key) => sizeOf(key, text),
    ttl: KEEP,
    perf: Date,
  })
  /** Under way or done, by who asked and for what. */
  #reads = new LRUCache<string, Promise<void>>({
    maxSize: MAX_READS,
    sizeCalculation: (_, key) => sizeOf(key),
    ttl: RETRY,
    perf: Date,
  })
  #ask: (post: string, budget: Budget) => Promise<RepoRead<string | undefined>>
  #onChange: (poll: string) => void

  /**
   * @param ask the text of a post; undefined where there is none. It never rejects.
   * @param onChange called with the at-uri of a poll that has another question than it was shown with
   */
  constructor(
    ask: (post: string, budget: Budget) => Promise<RepoRead<string | undefined>>,
    onChange: (poll: string) => void,
  ) {
    this.#ask = ask
    this.#onChange = onChange
  }

  /**
   * The poll with its question, as far as that is known. What is not known, or known for long, is read meanwhile.
   *
   * @param patience ms to wait where nothing is known
   */
  async asked(poll: PollView, budget: Budget, patience = 0): Promise<PollView> {
    const { post, text } = poll
    if (post === undefined || text !== '') return poll
    const known = this.#kept.get(keyOf(poll.uri, post))
    if (known && known.at + (known.text === undefined ? RENEW_NONE : RENEW) > Date.now())
      return withText(poll, known)
    const reading = this.#readOnce(poll.uri, post, budget)
    if (known || patience === 0) return withText(poll, known)
    await within(patience, reading)
    return withText(poll, this.#kept.get(keyOf(poll.uri, post)))
  }

  /** Once for one budget: who has filled the places of theirs must not hold up the others. */
  #readOnce(poll: string, post: string, budget: Budget): Promise<void> {
    const key = `${budget.name} ${keyOf(poll, post)}`
    const before = this.#reads.get(key)
    if (before) return before
    const reading = this.#read(poll, post, budget).then((refused) => {
      if (refused && this.#reads.peek(key) === reading) this.#reads.delete(key)
    })
    this.#reads.set(key, reading)
    return reading
  }

  /** @returns whether the budget did not allow it */
  async #read(poll: string, post: string, budget: Budget): Promise<boolean> {
    if (!(await budget.take(1))) return true
    const at = Date.now()
    const read = await this.#ask(post, budget)
    const known = this.#kept.get(keyOf(poll, post))
    // Whoever asked later knows better.
    if (!read.ok || (known && known.at > at)) return false
    this.#kept.set(keyOf(poll, post), { text: read.value, at })
    if (read.value !== known?.text) this.#onChange(poll)
    return false
  }
}

const keyOf = (poll: string, post: string) => `${poll} ${post}`

const withText = (poll: PollView, { text }: Partial<Kept> = {}): PollView =>
  text === undefined ? poll : { ...poll, text }
