/** What the companion server has still to be told of. It changes nothing that a person sees but the tally of others. */
import type { Api } from './api.ts'
import type { Live } from './live.ts'
import type { ServerDb } from './storage.ts'

const FIRST_RETRY = 5_000
const LAST_RETRY = 600_000
/** After so many ms tap has brought it, or nobody ever will. */
const GIVE_UP = 7 * 86_400_000

export class Outbox {
  #api: Api
  #live: Live
  #db: Promise<ServerDb>
  #signal: AbortSignal
  #retry: ReturnType<typeof setTimeout> | undefined
  #wait = FIRST_RETRY
  #flushing: Promise<void> | undefined

  constructor({ api, live, db }: { api: Api; live: Live; db: Promise<ServerDb> }, signal: AbortSignal) {
    this.#api = api
    this.#live = live
    this.#db = db
    this.#signal = signal
    signal.addEventListener('abort', () => clearTimeout(this.#retry))
  }

  /** @param uri at-uri of a vote or poll that was written or deleted */
  async add(what: 'votes' | 'polls', uri: string): Promise<void> {
    await (await this.#db).put('announcements', { what, at: Date.now() }, uri)
    void this.flush()
  }

  /** Tells all that is left, one after the other. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush()
      .catch((error: unknown) => {
        // The database closes with the engine.
        if (!this.#signal.aborted) throw error
      })
      .finally(() => (this.#flushing = undefined))
    return this.#flushing
  }

  async #flush(): Promise<void> {
    const db = await this.#db
    for (;;) {
      if (this.#signal.aborted) return
      const cursor = await db.transaction('announcements').store.openCursor()
      if (!cursor) break
      const uri = cursor.primaryKey
      const { what, at } = cursor.value
      const answer = await this.#api.announce(what, uri)
      if (answer === 'away' && at > Date.now() - GIVE_UP) return this.#later()
      if (typeof answer === 'object') this.#live.update(answer)
      // Meanwhile it may have been written again.
      if ((await db.get('announcements', uri))?.at === at) await db.delete('announcements', uri)
    }
    this.#wait = FIRST_RETRY
  }

  #later(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.flush(), this.#wait)
    this.#wait = Math.min(this.#wait * 2, LAST_RETRY)
  }
}
