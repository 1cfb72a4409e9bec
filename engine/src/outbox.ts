/** What the companion server has still to be told of. It changes nothing that a person sees but the tally of others. */
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Api } from './api.ts'
import type { Live } from './live.ts'
import type { Pages } from './pages.ts'
import type { Announcement, CastVote, ServerDb } from './storage.ts'

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
  /** By at-uri: what the server could not be told, and how long that waits, in ms. One can hold up no other. */
  #resting = new Map<string, { wait: number; timer: ReturnType<typeof setTimeout> | undefined }>()
  /** at-uris of records that are being written. */
  #held = new Set<string>()
  /** Something may be left that those who are under way have not seen. */
  #wanted = false
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
    signal.addEventListener('abort', () => this.#wake())
  }

  /**
   * @param uri at-uri of a vote or poll that was written or deleted
   * @param vote what a vote says; of several records that together are one, the last has it
   */
  async add(what: 'votes' | 'polls', uri: string, vote?: CastVote): Promise<void> {
    await this.#put(uri, { what, ...(vote ? { vote } : {}) })
    this.#held.delete(uri)
    this.#wake(uri)
    void this.flush()
  }

  /**
   * Before records are written or deleted: whatever becomes of that, or of this worker, the server is told of them. By
   * this worker not before each is added, or released.
   *
   * @param uris at-uris
   */
  async hold(what: 'votes' | 'polls', uris: Iterable<string>): Promise<void> {
    for (const uri of uris) {
      this.#held.add(uri)
      await this.#put(uri, { what })
    }
  }

  release(uris: Iterable<string>): void {
    for (const uri of uris) this.#held.delete(uri)
    void this.flush()
  }

  /** By its time the announcement is another than the one before, whatever the clock says. */
  async #put(uri: string, announcement: Omit<Announcement, 'at'>): Promise<void> {
    const tx = (await this.#db).transaction('announcements', 'readwrite')
    const before = (await tx.store.get(uri))?.at ?? 0
    await tx.store.put({ ...announcement, at: Math.max(Date.now(), before + 1) }, uri)
    await tx.done
  }

  /** The server is there again. */
  retry(): Promise<void> {
    this.#wake()
    return this.flush()
  }

  /** Tells what is left and does not rest, one after the other. */
  flush(): Promise<void> {
    this.#wanted = true
    return (this.#flushing ??= this.#flush())
  }

  async #flush(): Promise<void> {
    try {
      while (this.#wanted) {
        this.#wanted = false
        await this.#tellAll()
      }
    } catch (error) {
      // The database closes with the engine.
      if (!this.#signal.aborted) console.error('pollz:', error)
    } finally {
      this.#flushing = undefined
    }
  }

  async #tellAll(): Promise<void> {
    for (;;) {
      if (this.#signal.aborted) return
      const next = await this.#next()
      if (!next) return
      const { uri, what, at, vote } = next
      const answer = await this.#api.announce(what, uri)
      if (answer === 'away' && at > Date.now() - GIVE_UP) {
        this.#rest(uri)
        continue
      }
      this.#resting.delete(uri)
      if (typeof answer === 'object') this.#live.update(answer)
      // Meanwhile it may have been written again.
      const tx = (await this.#db).transaction('announcements', 'readwrite')
      const isNewest = (await tx.store.get(uri))?.at === at
      if (isNewest) await tx.store.delete(uri)
      await tx.done
      if (isNewest && vote)
        this.#counted(vote, parseAtUri(uri)!.repo, typeof answer === 'object' ? answer.version : 0)
    }
  }

  /** What was never tried comes before what the server could not be told. */
  async #next() {
    const { store } = (await this.#db).transaction('announcements')
    let tried: ({ uri: string } & Announcement) | undefined
    for (let it = await store.openCursor(); it; it = await it.continue()) {
      if (this.#held.has(it.primaryKey)) continue
      const resting = this.#resting.get(it.primaryKey)
      if (!resting) return { uri: it.primaryKey, ...it.value }
      if (resting.timer === undefined) tried ??= { uri: it.primaryKey, ...it.value }
    }
    return tried
  }

  #counted({ poll, ...choice }: CastVote, voter: string, version: number): void {
    for (const uri of new Set([poll, ...this.#pages.all()]))
      if (uri === poll || this.#live.known(uri)?.uri === poll)
        this.#pages.send({ type: 'counted', uri, voter, ...choice, version })
  }

  #rest(uri: string): void {
    if (this.#signal.aborted) return
    const before = this.#resting.get(uri)
    const wait = before ? Math.min(before.wait * 2, LAST_RETRY) : FIRST_RETRY
    const timer = setTimeout(() => {
      this.#wake(uri)
      void this.flush()
    }, wait)
    this.#resting.set(uri, { wait, timer })
  }

  /** @param only at-uri; undefined: all */
  #wake(only?: string): void {
    for (const [uri, resting] of this.#resting) {
      if (only !== undefined && uri !== only) continue
      clearTimeout(resting.timer)
      resting.timer = undefined
    }
  }
}
