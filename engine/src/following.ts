/**
 * How the people whom somebody follows have voted. Off until it is asked for: then the follows are read from that
 * person's own repo, and nobody is told of them (shared/followed.ts).
 */
import type { PageAccount } from '@pollz/shared/engine'
import { findVoters, voterHash } from '@pollz/shared/followed'
import { openDB, type DBSchema } from 'idb'
import { isValidDid } from '@atproto/syntax'
import { pollPath } from './api.ts'
import { faceOf } from './faces.ts'
import type { Pages, Port } from './pages.ts'
import type { Repos } from './repos.ts'

const COLLECTION = 'app.bsky.graph.follow'
const PAGE = 100
/** Who follows more has the newest looked at. */
const MAX_PAGES = 200
/** Follows are read again after so many ms. */
const FRESH = 3_600_000
/** A list of voters is asked for again after so many ms. */
const AGAIN = 15_000
const TIMEOUT = 60_000
/** Of so many people the handles are looked up. */
const MAX_NAMED = 20
/** Of so many their pictures, and how many pictures are kept. */
const FACES = 3
const MAX_FACES = 100

interface FollowingStores extends DBSchema {
  /** by DID of who follows; `at`: when they were read, in ms since 1970 */
  follows: { key: string; value: { dids: string[]; at: number } }
  /** there: it was asked for in this browser */
  on: { key: 'on'; value: true }
}

export type FollowingOptions = {
  repos: Repos
  pages: Pages
  /** base URL of the companion server */
  server: string
  /** at-uri by DID @throws where a handle leads nowhere */
  canonical: (uri: string) => Promise<string>
  signal: AbortSignal
}

export class Following {
  #options: FollowingOptions
  /** Whether it was asked for in this browser, once that was read. */
  #on: Promise<boolean> | undefined
  /** by poll: the list of its voters, asked for once for all pages */
  #lists = new Map<string, { at: number; list: Promise<Uint8Array<ArrayBuffer>> }>()
  #faces = new Map<string, Promise<string | undefined>>()
  #people = new Map<string, { at: number; people: Promise<Map<number, string>> }>()

  constructor(options: FollowingOptions) {
    this.#options = options
  }

  /**
   * Tells a page how those whom an account follows have voted, where that was asked for.
   *
   * @param on asks for it, for all polls; false: no longer; undefined: as it is
   */
  async show(port: Port, uri: string, account: PageAccount, on: boolean | undefined): Promise<void> {
    const { pages, canonical, repos } = this.#options
    if (on !== undefined) await this.#switch(on)
    if (!(await this.#isOn())) {
      pages.post(port, { type: 'following', uri, voter: account.did, on: false, people: [] })
      return
    }
    const poll = await canonical(uri)
    try {
      const [list, people] = await Promise.all([this.#listOf(poll), this.#follows(account.did)])
      const found = [...findVoters(list, people)]
      const named = await Promise.all(
        found.map(async ([did, options], i) => {
          const handle = i < MAX_NAMED ? await repos.handleOf(did) : undefined
          const face = i < FACES ? await this.#faceOf(did) : undefined
          return {
            did,
            options,
            ...(handle === undefined ? {} : { handle }),
            ...(face === undefined ? {} : { face }),
          }
        }),
      )
      pages.post(port, { type: 'following', uri, voter: account.did, on: true, people: named })
    } catch (error) {
      if (this.#options.signal.aborted) return
      console.debug('pollz:', error)
      pages.post(port, { type: 'following', uri, voter: account.did, on: true, people: [], failed: true })
    }
  }

  /** A page shows a poll now: it is told as `show` tells it, where that was asked for. */
  async watched(port: Port, uri: string, account: PageAccount): Promise<void> {
    if (await this.#isOn()) await this.show(port, uri, account, undefined)
  }

  #faceOf(did: string): Promise<string | undefined> {
    const kept = this.#faces.get(did)
    if (kept) return kept
    const face = faceOf(this.#options.repos, did, this.#options.signal)
    this.#faces.set(did, face)
    const [oldest] = this.#faces.keys()
    if (this.#faces.size > MAX_FACES) this.#faces.delete(oldest!)
    return face
  }

  #listOf(poll: string): Promise<Uint8Array<ArrayBuffer>> {
    const kept = this.#lists.get(poll)
    if (kept && Date.now() - kept.at < AGAIN) return kept.list
    const list = this.#fetchList(poll)
    this.#lists.set(poll, { at: Date.now(), list })
    // One that failed is asked for again, and lists are long: only those in use are kept.
    const forget = () => {
      if (this.#lists.get(poll)?.list === list) this.#lists.delete(poll)
    }
    list.catch(forget)
    setTimeout(forget, AGAIN)
    return list
  }

  async #fetchList(poll: string): Promise<Uint8Array<ArrayBuffer>> {
    const { server, signal } = this.#options
    const response = await fetch(new URL(`${pollPath(poll)}/voters.bin`, server), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
    })
    if (!response.ok) throw new Error(`${server} answered ${response.status}`)
    return new Uint8Array(await response.arrayBuffer())
  }

  #follows(did: string): Promise<Map<number, string>> {
    const kept = this.#people.get(did)
    if (kept && Date.now() - kept.at < FRESH) return kept.people
    const people = this.#readFollows(did).then((dids) => new Map(dids.map((it) => [voterHash(it), it])))
    this.#people.set(did, { at: Date.now(), people })
    people.catch(() => this.#people.delete(did))
    return people
  }

  async #readFollows(did: string): Promise<string[]> {
    const db = await this.#open()
    try {
      const kept = await db.get('follows', did)
      if (kept && Date.now() - kept.at < FRESH) return kept.dids
      const dids: string[] = []
      let cursor: string | undefined
      for (let page = 0; page < MAX_PAGES; page++) {
        const { signal } = this.#options
        const data = await this.#options.repos.list(did, COLLECTION, {
          limit: PAGE,
          signal,
          ...(cursor === undefined ? {} : { cursor }),
        })
        for (const { value } of data.records) {
          const subject = (value as { subject?: unknown } | null)?.subject
          if (typeof subject === 'string' && isValidDid(subject)) dids.push(subject)
        }
        cursor = data.cursor === '' ? undefined : data.cursor
        if (cursor === undefined || data.records.length === 0) break
      }
      await db.put('follows', { dids, at: Date.now() }, did)
      return dids
    } finally {
      db.close()
    }
  }

  #isOn(): Promise<boolean> {
    this.#on ??= this.#readOn()
    return this.#on
  }

  async #readOn(): Promise<boolean> {
    const db = await this.#open()
    try {
      return (await db.get('on', 'on')) ?? false
    } finally {
      db.close()
    }
  }

  /** Nothing of it is kept once it is off. */
  async #switch(on: boolean): Promise<void> {
    this.#on = Promise.resolve(on)
    const db = await this.#open()
    try {
      if (on) await db.put('on', true, 'on')
      else {
        this.#people.clear()
        this.#faces.clear()
        await Promise.all([db.clear('on'), db.clear('follows')])
      }
    } finally {
      db.close()
    }
  }

  #open() {
    return openDB<FollowingStores>('pollz following', 1, {
      upgrade: (db) => {
        db.createObjectStore('follows')
        db.createObjectStore('on')
      },
    })
  }
}
