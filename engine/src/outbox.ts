/** What the companion server has still to be told of. It changes nothing that a person sees but the tally of others. */
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Api } from './api.ts'
import type { Live } from './live.ts'
import type { Pages } from './pages.ts'
import type { CastVote, ServerDb } from './storage.ts'

const FIRST_RETRY = 5_000
const LAST_RETRY = 600_000
/** After so many ms tap has brought it, or nobody ever will. */
const GIVE_UP = 7 * 86_400_000

export class Outbox {
  #api: Api
  #live: Live
  #pages: Pages
  #db: PromiseLike<ServerDb>
  #signal: AbortSignal
  #retry: ReturnType<typeof setTimeout> | undefined
  #wait = FIRST_RETRY
  #flushing: Promise<void> | undefined

  constructor(
    { api, live, pages, db }: { api: Api; live: Live; pages: Pages; db: PromiseLike<ServerDb> },
    signal: AbortSignal,
  ) {
    this.#api = api
    this.#live = live
    this.#pages = pages
    this.#db = db
    this.#signal = signal
    signal.addEventListener('abort', () => clearTimeout(this.#retry))
  }

  /**
   * @param uri at-uri of a vote or poll that was written or deleted
   * @param vote what a vote says
   */
  async add(what: 'votes' | 'polls', uri: string, vote?: CastVote): Promise<void> {
    const announcement = { what, at: Date.now(), ...(vote ? { vote } : {}) }
    await (await this.#db).put('announcements', announcement, uri)
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
      const { what, at, vote } = cursor.value
      const answer = await this.#api.announce(what, uri)
      if (answer === 'away' && at > Date.now() - GIVE_UP) return this.#later()
      if (typeof answer === 'object') this.#live.update(answer)
      // Meanwhile it may have been written again.
      const tx = db.transaction('announcements', 'readwrite')
      const isNewest = (await tx.store.get(uri))?.at === at
      if (isNewest) await tx.store.delete(uri)
      await tx.done
      if (isNewest && vote)
        this.#counted(vote, parseAtUri(uri)!.repo, typeof answer === 'object' ? answer.version : 0)
    }
    this.#wait = FIRST_RETRY
  }

  #counted({ poll, option }: CastVote, voter: string, version: number): void {
    for (const uri of this.#pages.all())
      if (uri === poll || this.#live.known(uri)?.uri === poll)
        this.#pages.send({ type: 'counted', uri, voter, option, version })
  }

  #later(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.flush(), this.#wait)
    this.#wait = Math.min(this.#wait * 2, LAST_RETRY)
  }
}
