/** Handles of poll authors that tap has not told (yet): pages are read by people, who know nobody by DID. */
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import { within } from './patience.ts'

/** Bytes of all that are kept, about. */
const MAX_KEPT = 2 * 1024 * 1024
/** The longest that a handle can be. */
const MAX_HANDLE = 253
/** For how long a handle is believed, and that there is none, in ms. */
const KEEP = 3_600_000
const KEEP_NONE = 60_000
/** A page does not wait longer than this for a name, in ms. */
const PATIENCE = 1_000

export class Handles {
  #kept = new LRUCache<string, Promise<string | undefined>>({
    maxSize: MAX_KEPT,
    sizeCalculation: (_, did) => did.length + MAX_HANDLE,
    ttl: KEEP,
  })
  #ask: (did: string) => Promise<string | undefined>

  /** @param ask never rejects */
  constructor(ask: (did: string) => Promise<string | undefined>) {
    this.#ask = ask
  }

  /** The poll with its author's handle, as far as that is known in time. */
  async named(poll: PollView): Promise<PollView> {
    if (poll.handle !== undefined) return poll
    const handle = await within(PATIENCE, this.#of(poll.repo))
    return handle === undefined ? poll : { ...poll, handle }
  }

  #of(did: string): Promise<string | undefined> {
    const kept = this.#kept.get(did)
    if (kept) return kept
    const asked = this.#ask(did)
    this.#kept.set(did, asked)
    void asked.then((handle) => {
      if (handle === undefined && this.#kept.peek(did) === asked)
        this.#kept.set(did, asked, { ttl: KEEP_NONE })
    })
    return asked
  }
}
