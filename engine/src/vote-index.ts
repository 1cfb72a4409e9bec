/**
 * One's own votes, as they are in one's own repo, of every client and under any key. So nobody else has to be asked, and
 * nobody learns what somebody looks at.
 */
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { choiceOf, choicesIn, type Choice } from '@pollz/shared/choices'
import { familyOfPoll, familyOfVote, type Family } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { inTime, unlessAborted } from './deadline.ts'
import type { Repos } from './repos.ts'
import type { IndexedVote, Listing, ServerDb } from './storage.ts'

/** Records that are listed of one collection: a hundred a request. */
const PAGE = 100
const MAX_PAGES = 1_000
/** The repo is listed again when it was so many ms ago. */
const FRESH = 30_000
/** A list that failed is not begun again for so many ms. */
const RETRY = 10_000
/** For how long, in ms, votes wait for a list, which goes on, and then for single records. */
const MAX_WAIT = 3_000
/** A page, and a list, that takes longer, in ms, is given up. */
const PAGE_TIMEOUT = 8_000
const LIST_TIMEOUT = 300_000
/** A list of so many pages may be begun whenever somebody looks. Each further one puts off the next list, by so many ms. */
const FREE_PAGES = 2 * familyOfVote.size
const PAUSE_PER_PAGE = 120_000
/** How often, in pages, a list that goes on notes what it costs: the worker may end. */
const NOTE_EVERY = 10
/** Accounts that are not signed in here and whose votes are known, until the worker ends. */
const MAX_PASSING = 3
/** Polls of which it is known when their vote was read. */
const MAX_LOOKED = 1_000
/** Votes of one account for one poll that are read one by one. */
const MAX_READ = 5

export type OwnVote = IndexedVote & { uri: string }

type Passing = { votes: Map<string, IndexedVote>; listing: Listing }

const NEVER: Listing = { at: 0, tried: 0, pause: 0, complete: false }

/** @param poll at-uri */
export function familyOf(poll: string): Family {
  const family = familyOfPoll.get(parseAtUri(poll)!.collection)
  if (!family) throw new Error(`no family has the poll ${poll}`)
  return family
}

/**
 * @param poll at-uri by DID
 * @returns at-uri of the record that a vote for it is written to, unless there is another; undefined: its family's votes
 *   may be anywhere
 */
export function usualVote(did: string, poll: string): string | undefined {
  const { key, votes } = familyOf(poll)
  return key === 'poll'
    ? formatAtUri({ repo: did, collection: votes[0]!.nsid, rkey: voteRkey(poll) })
    : undefined
}

/** @param votes one voter's for a poll, the one that counts (C2) first @returns what they choose (C11) */
export const chosenIn = (poll: string, votes: readonly IndexedVote[]): Choice =>
  choiceOf((familyOf(poll).together ? votes : votes.slice(0, 1)).flatMap(choicesIn))

export class VoteIndex {
  #db: PromiseLike<ServerDb>
  #repos: Repos
  #listing = new Map<string, { began: number; done: Promise<void>; stop: AbortController }>()
  /** Of accounts that are not signed in here nothing is stored. */
  #passing = new Map<string, Passing>()
  /** Counts what happens here: clocks are too coarse for its order, and may step back. */
  #happened = 0
  /** When records were written or read here: a list that was begun before knows nothing of it. */
  #written = new Map<string, number>()
  /** When accounts' lists became too old. */
  #expired = new Map<string, number>()
  #forgotten = new Map<string, number>()
  /** Why the last lists failed. */
  #failures = new Map<string, unknown>()
  /** When votes were read one by one, in ms since 1970, by account and poll. */
  #looked = new Map<string, number>()

  constructor(db: PromiseLike<ServerDb>, repos: Repos) {
    this.#db = db
    this.#repos = repos
  }

  /**
   * Lists an account's votes, unless that was begun a moment ago: of somebody who has many a moment is long.
   *
   * @param maxAge in ms
   * @throws where its PDS can't be asked, or takes long: then the list goes on
   */
  async refresh(did: string, maxAge = FRESH): Promise<void> {
    await this.#refresh(did, maxAge)
  }

  /**
   * Asks the PDS for the votes for a poll: by a list where that is cheap, else for the records where they should be.
   *
   * @param poll at-uri by DID
   * @param maxAge in ms
   * @throws where its PDS can't be asked
   */
  async look(did: string, poll: string, maxAge = FRESH): Promise<void> {
    const asked = Date.now()
    const isListed = await this.#refresh(did, maxAge).catch(() => false)
    if (isListed && (await this.#listed(did)).complete) return
    const usual = usualVote(did, poll)
    const look = lookOf(did, poll)
    if (isRecent(this.#looked.get(look) ?? 0, asked, maxAge)) return
    const known = (await this.votesFor(did, poll)).slice(0, MAX_READ).map(({ uri }) => uri)
    const happened = this.#happened
    await inTime(MAX_WAIT, (signal) =>
      Promise.all([...new Set([...(usual ? [usual] : []), ...known])].map((uri) => this.read(uri, signal))),
    )
    const isLate = Math.max(this.#expired.get(did) ?? 0, this.#forgotten.get(did) ?? 0) > happened
    if (isLate) return
    if (this.#looked.size >= MAX_LOOKED) this.#looked.clear()
    this.#looked.set(look, asked)
  }

  /** Asks the PDS for one record. @returns its cid, whatever is in it; undefined: there is none @throws as `look` */
  async read(uri: string, signal?: AbortSignal): Promise<string | undefined> {
    const { repo: did } = parseAtUri(uri)!
    const happened = this.#happened
    const record = await this.#repos.read(uri, signal)
    if (record && record.cid === undefined) throw new Error(`${uri} has no cid`)
    const vote = record && readVote({ uri, cid: record.cid!, value: record.value })
    const changed = Math.max(this.#written.get(uri) ?? 0, this.#forgotten.get(did) ?? 0)
    if (changed <= happened) await (vote ? this.put(uri, vote) : this.delete(uri))
    return record?.cid
  }

  /** After a write of which nobody knows how it went: what is known is shown until the repo is asked again. */
  async expire(did: string): Promise<void> {
    this.#expired.set(did, ++this.#happened)
    this.#forgetLooks(did)
    const { pause, tried } = await this.#listed(did)
    // It has not failed.
    const before = pause > 0 ? Math.min(tried, Date.now() - RETRY) : 0
    await this.#keep(did, this.#happened, { listing: { at: 0, tried: before } })
  }

  /** @param poll at-uri by DID @returns what counts of it, as far as it is known; undefined: nothing is known */
  async own(did: string, poll: string): Promise<Choice | undefined> {
    const votes = await this.votesFor(did, poll)
    if (votes.length > 0) return chosenIn(poll, votes)
    const isRead = usualVote(did, poll) !== undefined && this.#looked.has(lookOf(did, poll))
    return isRead || (await this.#listed(did)).complete ? choiceOf([]) : undefined
  }

  /** @param poll at-uri by DID @returns its records for a poll, the one that counts (C2) first */
  async votesFor(did: string, poll: string): Promise<OwnVote[]> {
    return byTime(await this.#votes(did, poll))
  }

  /** The newest first; of the same time the greater key. */
  async all(did: string): Promise<OwnVote[]> {
    return byTime(await this.#votes(did))
  }

  /** A record was written. */
  async put(uri: string, vote: IndexedVote): Promise<void> {
    const happened = ++this.#happened
    this.#written.set(uri, happened)
    await this.#keep(vote.did, happened, { put: [[uri, vote]] })
  }

  async delete(uri: string): Promise<void> {
    const happened = ++this.#happened
    this.#written.set(uri, happened)
    await this.#keep(parseAtUri(uri)!.repo, happened, { remove: [uri] })
  }

  /** Whoever signs out leaves nothing behind. */
  async forget(did: string): Promise<void> {
    this.#forgotten.set(did, ++this.#happened)
    this.#forgetLooks(did)
    this.#listing.get(did)?.stop.abort(new Error('the account is forgotten'))
    this.#passing.delete(did)
    const tx = (await this.#db).transaction(['votes', 'listed'], 'readwrite')
    const votes = tx.objectStore('votes')
    for (const uri of await votes.index('poll').getAllKeys(pollsOf(did))) await votes.delete(uri)
    await tx.objectStore('listed').delete(did)
    await tx.done
  }

  #forgetLooks(did: string): void {
    for (const look of this.#looked.keys()) if (look.startsWith(`${did} `)) this.#looked.delete(look)
  }

  async #isSignedIn(did: string): Promise<boolean> {
    const db = await this.#db
    const isSignedIn = (await db.getKey('sessions', did)) !== undefined
    const passing = this.#passing.get(did)
    if (!isSignedIn || !passing) return isSignedIn
    this.#passing.delete(did)
    const tx = db.transaction(['votes', 'listed'], 'readwrite')
    const requests = [...passing.votes].map(([uri, vote]) => tx.objectStore('votes').put(vote, uri))
    await Promise.all([...requests, tx.objectStore('listed').put(passing.listing, did), tx.done])
    return isSignedIn
  }

  async #listed(did: string): Promise<Listing> {
    const kept = (await this.#isSignedIn(did))
      ? await (await this.#db).get('listed', did)
      : this.#passing.get(did)?.listing
    return kept ?? NEVER
  }

  async #votes(did: string, poll?: string): Promise<OwnVote[]> {
    if (!(await this.#isSignedIn(did))) {
      const votes = [...(this.#passing.get(did)?.votes ?? [])].map(([uri, vote]) => ({ ...vote, uri }))
      return votes.filter((vote) => poll === undefined || vote.poll === poll)
    }
    const index = (await this.#db).transaction('votes').store.index('poll')
    const range = poll === undefined ? pollsOf(did) : IDBKeyRange.only([did, poll])
    const [uris, votes] = await Promise.all([index.getAllKeys(range), index.getAll(range)])
    return votes.map((vote, i) => ({ ...vote, uri: uris[i]! }))
  }

  /** @param happened what was written since then stands */
  async #keep(
    did: string,
    happened: number,
    change: { put?: Iterable<[string, IndexedVote]>; remove?: string[]; listing?: Partial<Listing> },
  ): Promise<void> {
    const { put = [], remove = [], listing } = change
    await this.#isSignedIn(did)
    const tx = (await this.#db).transaction(['sessions', 'votes', 'listed'], 'readwrite')
    const [stored, listed] = [tx.objectStore('votes'), tx.objectStore('listed')]
    const isSignedIn = (await tx.objectStore('sessions').getKey(did)) !== undefined
    const before = await listed.get(did)
    // A session may also end without us.
    const left = isSignedIn || !before ? [] : await stored.index('poll').getAllKeys(pollsOf(did))
    if ((this.#forgotten.get(did) ?? 0) > happened) return tx.done
    const isOlder = (uri: string) => (this.#written.get(uri) ?? 0) <= happened
    const gone = remove.filter(isOlder)
    const written = [...put].filter(([uri]) => isOlder(uri))
    const requests: Promise<unknown>[] = [...left, ...(isSignedIn ? gone : [])].map((uri) =>
      stored.delete(uri),
    )
    if (isSignedIn) {
      for (const [uri, vote] of written) requests.push(stored.put(vote, uri))
      if (listing) requests.push(listed.put({ ...(before ?? NEVER), ...listing }, did))
    } else {
      if (before) requests.push(listed.delete(did))
      const passing = this.#passingOf(did)
      for (const uri of gone) passing.votes.delete(uri)
      for (const [uri, vote] of written) passing.votes.set(uri, vote)
      passing.listing = { ...passing.listing, ...listing }
    }
    await Promise.all([...requests, tx.done])
  }

  #passingOf(did: string): Passing {
    const known = this.#passing.get(did) ?? { votes: new Map(), listing: NEVER }
    this.#passing.delete(did)
    this.#passing.set(did, known)
    for (const oldest of this.#passing.keys()) {
      if (this.#passing.size <= MAX_PASSING) break
      this.#passing.delete(oldest)
    }
    return known
  }

  /** @returns whether there is a list that is no older than asked for */
  async #refresh(did: string, maxAge: number): Promise<boolean> {
    const asked = Date.now()
    const under = this.#listing.get(did)
    if (under && isRecent(under.began, asked, maxAge)) {
      await inTime(MAX_WAIT, () => under.done)
      return true
    }
    // One that began before may have missed what this one is asked for.
    if (under) await inTime(MAX_WAIT, () => under.done.catch(() => {}))
    const { at, tried, pause } = await this.#listed(did)
    const isListing = this.#listing.has(did)
    if (!isListing && at !== tried && isRecent(tried, asked, Math.min(maxAge, RETRY)))
      throw this.#failures.get(did) ?? new Error('the PDS could not be asked a moment ago')
    if (!isListing && isRecent(tried, asked, Math.max(at === tried ? maxAge : 0, pause)))
      return isRecent(at, asked, maxAge)
    const listing = this.#listing.get(did) ?? this.#begin(did)
    await inTime(MAX_WAIT, () => listing.done)
    return true
  }

  #begin(did: string): { done: Promise<void> } {
    const stop = new AbortController()
    const timer = setTimeout(
      () => stop.abort(new DOMException('it took too long', 'TimeoutError')),
      LIST_TIMEOUT,
    )
    const done = this.#list(did, stop.signal).finally(() => {
      clearTimeout(timer)
      stop.abort()
      if (this.#listing.get(did) === listing) this.#listing.delete(did)
    })
    // Perhaps nobody waits for it any more.
    done.catch(() => {})
    const listing = { began: Date.now(), done, stop }
    this.#listing.set(did, listing)
    return listing
  }

  async #list(did: string, signal: AbortSignal): Promise<void> {
    const at = Date.now()
    const happened = this.#happened
    const found = new Map<string, IndexedVote>()
    let pages = 0
    const pause = () => Math.max(0, pages - FREE_PAGES) * PAUSE_PER_PAGE
    const read = async (votes: [string, IndexedVote][]) => {
      for (const [uri, vote] of votes) found.set(uri, vote)
      if (++pages % NOTE_EVERY === 0) await this.#keep(did, happened, { listing: { pause: pause() } })
    }
    await this.#keep(did, happened, { listing: { tried: at } })
    try {
      const ends = await unlessAborted(this.#listCollections(did, read, signal), signal)
      this.#failures.delete(did)
      const complete = ends.every(Boolean)
      const gone = complete ? (await this.#votes(did)).filter(({ uri }) => !found.has(uri)) : []
      const isExpired = (this.#expired.get(did) ?? 0) > happened
      await this.#keep(did, happened, {
        put: found,
        remove: gone.map(({ uri }) => uri),
        listing: { complete, pause: pause(), at: isExpired ? 0 : at },
      })
    } catch (error) {
      this.#failures.set(did, error)
      await this.#keep(did, happened, { put: found, listing: { pause: pause() } })
      throw error
    }
  }

  /** Most repos have votes of few families. @param read is given what is found @returns for each whether that was all */
  async #listCollections(
    did: string,
    read: (votes: [string, IndexedVote][]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<boolean[]> {
    const all = [...familyOfVote.keys()]
    // Where a PDS does not say what it has, it is asked for each.
    const has = await inTime(PAGE_TIMEOUT, (timeout) =>
      this.#repos.collections(did, AbortSignal.any([signal, timeout])),
    ).catch(() => all)
    signal.throwIfAborted()
    const listed = all.filter((nsid) => has.includes(nsid))
    return Promise.all(listed.map((nsid) => this.#listCollection(did, nsid, read, signal)))
  }

  /** @param read is given what is found, page by page @returns whether that was all */
  async #listCollection(
    did: string,
    collection: string,
    read: (votes: [string, IndexedVote][]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<boolean> {
    let cursor: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const after = cursor === undefined ? {} : { cursor }
      const { records, cursor: next } = await inTime(PAGE_TIMEOUT, (timeout) =>
        this.#repos.list(did, collection, {
          limit: PAGE,
          signal: AbortSignal.any([signal, timeout]),
          ...after,
        }),
      )
      signal.throwIfAborted()
      await read(
        records.flatMap((record): [string, IndexedVote][] => {
          const vote = readVote(record)
          return vote ? [[record.uri, vote]] : []
        }),
      )
      if (next === undefined) return true
      cursor = next
    }
    return false
  }
}

/** Of the future, by a clock that has stepped back, nothing is recent. */
const isRecent = (at: number, now: number, maxAge: number) => at > now - maxAge && at <= Date.now()

const lookOf = (did: string, poll: string) => `${did} ${poll}`

const pollsOf = (did: string) => IDBKeyRange.bound([did], [did, []])

/** @returns undefined where a record is no vote */
export function readVote({
  uri,
  cid,
  value,
}: {
  uri: string
  cid: string
  value: unknown
}): IndexedVote | undefined {
  const { repo: did, collection, rkey } = parseAtUri(uri)!
  const read = familyOfVote.get(collection)!.readVote(value, { did, collection, rkey })
  if (!read.ok) return undefined
  const { subject, choices, createdAt } = read.value
  return { did, poll: subject, ...choiceOf(choices), option: Math.min(...choices), createdAt, cid }
}

function byTime(votes: OwnVote[]): OwnVote[] {
  const keyOf = ({ uri }: OwnVote) => parseAtUri(uri)!.rkey
  return votes.toSorted(
    (a, b) =>
      Date.parse(b.createdAt) - Date.parse(a.createdAt) ||
      (keyOf(a) < keyOf(b) ? 1 : keyOf(a) > keyOf(b) ? -1 : 0),
  )
}
