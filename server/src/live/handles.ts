/** Handles of poll authors that tap has not told (yet): pages are read by people, who know nobody by DID. */
import { setTimeout } from 'node:timers/promises'
import type { PollView } from '@pollz/shared/wire'

const MAX_KEPT = 10_000
/** For how long a handle is believed, and that there is none, in ms. */
const KEEP = 3_600_000
const KEEP_NONE = 60_000
/** A page does not wait longer than this for a name, in ms. */
const PATIENCE = 1_000

export class Handles {
  #kept = new Map<string, { handle: Promise<string | undefined>; until: number }>()
  #ask: (did: string) => Promise<string | undefined>

  /** @param ask never rejects */
  constructor(ask: (did: string) => Promise<string | undefined>) {
    this.#ask = ask
  }

  /** The poll with its author's handle, as far as that is known in time. */
  async named(poll: PollView): Promise<PollView> {
    if (poll.handle !== undefined) return poll
    const stop = new AbortController()
    const late = setTimeout(PATIENCE, undefined, { signal: stop.signal }).catch(() => undefined)
    const handle = await Promise.race([this.#of(poll.repo), late])
    stop.abort()
    return handle === undefined ? poll : { ...poll, handle }
  }

  #of(did: string): Promise<string | undefined> {
    const kept = this.#kept.get(did)
    if (kept && kept.until > Date.now()) return kept.handle
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear()
    const asked = { handle: this.#ask(did), until: Date.now() + KEEP }
    this.#kept.set(did, asked)
    void asked.handle.then((handle) => {
      if (handle === undefined) asked.until = Date.now() + KEEP_NONE
    })
    return asked.handle
  }
}
