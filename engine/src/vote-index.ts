/**
 * One's own votes, as they are in one's own repo, of every client and under any key. So nobody else has to be asked, and
 * nobody learns what somebody looks at.
 */
import { parseAtUri } from '@pollz/shared/at-uri'
import { families } from '@pollz/shared/families'
import type { Repos } from './repos.ts'
import type { IndexedVote, ServerDb } from './storage.ts'

/** Records that are listed of one collection: a hundred a request. */
const PAGE = 100
const MAX_PAGES = 50
/** The repo is listed again when it was so many ms ago. */
const FRESH = 30_000

export type OwnVote = IndexedVote & { uri: string }

export class VoteIndex {
  #db: Promise<ServerDb>
  #repos: Repos
  #listing = new Map<string, Promise<void>>()
  /** When records were written here: a list that was begun before knows nothing of it. */
  #written = new Map<string, number>()

  constructor(db: Promise<ServerDb>, repos: Repos) {
    this.#db = db
    this.#repos = repos
  }

  /** Whether an account's votes are known at all. */
  async isListed(did: string): Promise<boolean> {
    return (await (await this.#db).get('listed', did)) !== undefined
  }

  /** Lists an account's votes, unless that was done a moment ago. @throws where its PDS can't be asked */
  async refresh(did: string, maxAge = FRESH): Promise<void> {
    const listed = await (await this.#db).get('listed', did)
    if (listed !== undefined && listed > Date.now() - maxAge) return
    let listing = this.#listing.get(did)
    if (!listing) {
      listing = this.#list(did).finally(() => this.#listing.delete(did))
      this.#listing.set(did, listing)
    }
    return listing
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
    this.#written.set(uri, Date.now())
    await (await this.#db).put('votes', vote, uri)
  }

  async delete(uri: string): Promise<void> {
    this.#written.set(uri, Date.now())
    await (await this.#db).delete('votes', uri)
  }

  /** Whoever signs out leaves nothing behind. */
  async forget(did: string): Promise<void> {
    const db = await this.#db
    for (const { uri } of await this.all(did)) await db.delete('votes', uri)
    await db.delete('listed', did)
  }

  async #list(did: string): Promise<void> {
    const began = Date.now()
    const read = await Promise.all(families.map((family) => this.#listCollection(did, family)))
    const found = new Map(read.flat())
    const tx = (await this.#db).transaction(['votes', 'listed'], 'readwrite')
    const votes = tx.objectStore('votes')
    const isNewer = (uri: string) => (this.#written.get(uri) ?? 0) >= began
    for (const uri of await votes.index('did').getAllKeys(did))
      if (!found.has(uri) && !isNewer(uri)) await votes.delete(uri)
    for (const [uri, vote] of found) if (!isNewer(uri)) await votes.put(vote, uri)
    await tx.objectStore('listed').put(began, did)
    await tx.done
  }

  async #listCollection(
    did: string,
    { vote: collection, readVote }: (typeof families)[number],
  ): Promise<[string, IndexedVote][]> {
    const votes: [string, IndexedVote][] = []
    let cursor: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const { records, cursor: next } = await this.#repos.list(did, collection, {
        limit: PAGE,
        ...(cursor === undefined ? {} : { cursor }),
      })
      for (const { uri, value } of records) {
        const read = readVote(value)
        if (!read.ok) continue
        const { subject, option, createdAt } = read.value
        votes.push([uri, { did, poll: subject, option, createdAt }])
      }
      cursor = next
      if (cursor === undefined) break
    }
    return votes
  }
}
