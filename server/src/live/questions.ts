/** Questions of polls that are the text of a post: what stands there is read from the post, by its author's own server. */
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import type { Budget } from '../ingest/budget.ts'
import { within } from './patience.ts'

/** Bytes of all that are kept, about. */
const MAX_KEPT = 8 * 1024 * 1024
/** The longest that a post's text can be, in bytes. */
const MAX_TEXT = 3000
/** For how long a text is believed, and that there is none, in ms. */
const KEEP = 3_600_000
const KEEP_NONE = 60_000
/** A poll is shown without its question rather than later than this, in ms. */
const PATIENCE = 2_000

export class Questions {
  #kept = new LRUCache<string, Promise<string | undefined>>({
    maxSize: MAX_KEPT,
    sizeCalculation: (_, post) => post.length + MAX_TEXT,
    ttl: KEEP,
  })
  /** One object for each poll as it is kept elsewhere: what is made of it once stays true for as long as it does. */
  #asked = new WeakMap<PollView, PollView>()
  #read: (post: string, budget: Budget) => Promise<string | undefined>

  /** @param read the text of a post; undefined where it can't be had. It never rejects. */
  constructor(read: (post: string, budget: Budget) => Promise<string | undefined>) {
    this.#read = read
  }

  /** The poll with its question, as far as that can be had in time. */
  async asked(poll: PollView, budget: Budget): Promise<PollView> {
    if (poll.post === undefined || poll.text !== '') return poll
    const known = this.#asked.get(poll)
    if (known) return known
    if (!this.#kept.has(poll.post) && !(await budget.take(1))) return poll
    const text = await within(PATIENCE, this.#of(poll.post, budget))
    if (text === undefined) return poll
    const asked = { ...poll, text }
    this.#asked.set(poll, asked)
    return asked
  }

  #of(post: string, budget: Budget): Promise<string | undefined> {
    const kept = this.#kept.get(post)
    if (kept) return kept
    const asked = this.#read(post, budget)
    this.#kept.set(post, asked)
    void asked.then((text) => {
      if (text === undefined && this.#kept.peek(post) === asked)
        this.#kept.set(post, asked, { ttl: KEEP_NONE })
    })
    return asked
  }
}
