/**
 * One's own votes, as they are in one's own repo, of every client and under any key. So nobody else has to be asked, and
 * nobody learns what somebody looks at.
 */
import { parseAtUri } from '@pollz/shared/at-uri'
import { families } from '@pollz/shared/families'
import { unlessAborted } from './deadline.ts'
import type { Repos } from './repos.ts'
import type { IndexedVote, ServerDb } from './storage.ts'

/** Records that are listed of one collection: a hundred a request. */
const PAGE = 100
const MAX_PAGES = 50
/** The repo is listed again when it was so many ms ago. */
const FRESH = 30_000
/** A list that takes longer, in ms, is given up: votes wait for it. */
const TIMEOUT = 8_000

export type OwnVote = IndexedVote & { uri: string }

export class VoteIndex {
  #db: Promise<ServerDb>
  #repos: Repos
  #listing = new Map<string, { began: number; done: Promise<void>; stop: AbortController }>()
  /** Counts what happens here: clocks are too coarse for its order, and may step back. */
  #happened = 0
  /** When records were written here: a list that was begun before knows nothing of it. */
  #written = new Map<string, number>()
  /** When accounts' lists became too old. */
  #expired = new Map<string, number>()

  constructor(db: Promise<ServerDb>, repos: Repos) {
    this.#db = db
    this.#repos = repos
  }

  /** Whether an account's votes are known at all. */
  async isListed(did: string): Promise<boolean> {
    return (await (await this.#db).get('listed', did)) !== undefined
  }

  /**
   * Lists an account's votes, unless that was begun a moment ago.
   *
   * @param maxAge in ms
   * @throws where its PDS can't be asked
   */
  async refresh(did: string, maxAge = FRESH): Promise<void> {
    const asked = Date.now()
    const isFresh = (began: number) => began > asked - maxAge && began <= Date.now()
    const under = this.#listing.get(did)
    if (under && isFresh(under.began)) return under.done
    // One that began before may have missed what this one is asked for.
    await under?.done.catch(() => {})
    if (isFresh((await (await this.#db).get('listed', did)) ?? 0)) return
    await (this.#listing.get(did) ?? this.#begin(did)).done
  }

  /** After a write of which nobody knows how it went: what is known is shown until the repo is listed again. */
  async expire(did: string): Promise<void> {
    this.#expired.set(did, ++this.#happened)
    const db = await this.#db
    if ((await db.get('listed', did)) !== undefined) await db.put('listed', 0, did)
  }

  /** @param poll at-uri by DID @returns its records for a poll, the one that counts (C2) first */
  async votesFor(did: string, poll: string): Promise<OwnVote[]> {
    return (await this.all(did)).filter((vote) => vote.poll === poll)
  }

  /** The newest first; of the same time the greater key. */
  async all(did: string): Promise<OwnVote[]> {
    const { store } = (await this.#db).transaction('votes')
    const votes: OwnVote[] = []
    for (let it = await store.index('did').openCursor(did); it; it = await it.continue())
      votes.push({ ...it.value, uri: it.primaryKey })
    const keyOf = ({ uri }: OwnVote) => parseAtUri(uri)!.rkey
    return votes.toSorted(
      (a, b) =>
        Date.parse(b.createdAt) - Date.parse(a.createdAt) ||
        (keyOf(a) < keyOf(b) ? 1 : keyOf(a) > keyOf(b) ? -1 : 0),
    )
  }

  /** A record was written. */
  async put(uri: string, vote: IndexedVote): Promise<void> {
    this.#written.set(uri, ++this.#happened)
    await (await this.#db).put('votes', vote, uri)
  }

  async delete(uri: string): Promise<void> {
    this.#written.set(uri, ++this.#happened)
    await (await this.#db).delete('votes', uri)
  }

  /** Whoever signs out leaves nothing behind. */
  async forget(did: string): Promise<void> {
    const db = await this.#db
    this.#listing.get(did)?.stop.abort(new Error('the account is forgotten'))
    for (const { uri } of await this.all(did)) await db.delete('votes', uri)
    await db.delete('listed', did)
  }

  #begin(did: string): { done: Promise<void> } {
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(new DOMException('it took too long', 'TimeoutError')), TIMEOUT)
    const done = this.#list(did, stop.signal).finally(() => {
      clearTimeout(timer)
      if (this.#listing.get(did) === listing) this.#listing.delete(did)
    })
    const listing = { began: Date.now(), done, stop }
    this.#listing.set(did, listing)
    return listing
  }

  async #list(did: string, signal: AbortSignal): Promise<void> {
    const began = { at: Date.now(), happened: this.#happened }
    const read = await unlessAborted(
      Promise.all(families.map((family) => this.#listCollection(did, family, signal))),
      signal,
    )
    const found = new Map(read.flat())
    const tx = (await this.#db).transaction(['votes', 'listed'], 'readwrite')
    const votes = tx.objectStore('votes')
    const isNewer = (uri: string) => (this.#written.get(uri) ?? 0) > began.happened
    for (const uri of await votes.index('did').getAllKeys(did))
      if (!found.has(uri) && !isNewer(uri)) await votes.delete(uri)
    for (const [uri, vote] of found) if (!isNewer(uri)) await votes.put(vote, uri)
    const isExpired = (this.#expired.get(did) ?? 0) > began.happened
    await tx.objectStore('listed').put(isExpired ? 0 : began.at, did)
    await tx.done
  }

  async #listCollection(
    did: string,
    { vote: collection, readVote }: (typeof families)[number],
    signal: AbortSignal,
  ): Promise<[string, IndexedVote][]> {
    const votes: [string, IndexedVote][] = []
    let cursor: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const { records, cursor: next } = await this.#repos.list(did, collection, {
        limit: PAGE,
        signal,
        ...(cursor === undefined ? {} : { cursor }),
      })
      for (const { uri, cid, value } of records) {
        const read = readVote(value)
        if (!read.ok) continue
        const { subject, option, createdAt } = read.value
        votes.push([uri, { did, poll: subject, option, createdAt, cid }])
      }
      cursor = next
      if (cursor === undefined) break
    }
    return votes
  }
}
