/**
 * What somebody does with an account of theirs. A click is a promise: it is written down before it is answered, done in
 * the order of the clicks, and goes on where it was when the page, this worker or the browser ended.
 */
import { parseAtUri } from '@pollz/shared/at-uri'
import { newId } from '@pollz/shared/ids'
import type { Act, ActMessage, PageAccount, Reason, ToEngine } from '@pollz/shared/engine'
import { familyOfPoll, home } from '@pollz/shared/families'
import type { Accounts } from './accounts.ts'
import { inTime, unlessAborted } from './deadline.ts'
import type { Pages } from './pages.ts'
import { reasonOf } from './reasons.ts'
import type { JournalledAct, ServerDb, SignInResult } from './storage.ts'

/** An act that takes longer, in ms, is answered: nobody watches a circle for longer. */
const DEADLINE = 20_000
/** Ended acts are kept for so long, in ms: their pages may ask for them. */
const KEEP_ENDED = 3_600_000
/** What could not be begun for so long, in ms, is not done: nobody expects it any more. */
const MAX_WAIT = 600_000
/** A page to sign in that was opened longer ago, in ms, may be lost among others, or show something else by now. */
const MAX_FRESH = 180_000
/** Where nobody can tell whether a page to sign in is still open: it comes back within this time (ms), or never. */
const MAX_SIGN_IN = 3_600_000

/**
 * `at`: when it was clicked, in ms since 1970; whatever is written says so, however often it is tried. `signal`: nobody
 * waits any more, and a newer act may be under way.
 */
export type Doing = { did: string; at: number; signal: AbortSignal }

/** Does one kind of thing. @returns at-uri of the poll it was done to @throws with the PDS's reason */
export type Doer<T extends Act['type']> = (act: Act & { type: T }, doing: Doing) => Promise<string>

export type Doers = { [T in Exclude<Act['type'], 'signIn'>]: Doer<T> }

export type ActsOptions = {
  db: PromiseLike<ServerDb>
  accounts: Accounts
  pages: Pages
  doers: Doers
  /** the at-uri by DID of a poll that a page calls otherwise, as far as it is known */
  canonical: (uri: string) => string
  /** whether somebody has voted on a poll since a time in ms, wherever that was */
  votedSince: (uri: string, did: string, at: number) => Promise<boolean>
  /** whether the page of a sign-in is still open; undefined: that can't be known here */
  signInOpen?: (key: number) => Promise<boolean>
  /** closes the page of a sign-in that is not wanted any more, where it is a page of its own */
  closeSignIn?: (key: number) => Promise<void>
  /** ends this engine: what it is doing is left to the next one */
  signal: AbortSignal
}

type Ending = ActMessage extends infer M
  ? M extends ActMessage
    ? Omit<M, 'id' | 'act' | 'voter'>
    : never
  : never

export class Acts {
  #options: ActsOptions
  /** Acts are accepted one after the other, once it is known what an earlier worker has left. */
  #accepting: Promise<unknown> = Promise.resolve()
  #resumed: Promise<unknown> = Promise.resolve()
  /** The last run of each queue in which something is being done. */
  #running = new Map<string, Promise<void>>()
  /** ids of the acts that are being done */
  #doing = new Set<string>()
  /** ids of the acts that were accepted here, and not by an earlier worker or another page's engine */
  #own = new Set<string>()

  constructor(options: ActsOptions) {
    this.#options = options
  }

  /** Goes on with what was accepted before this worker started. */
  resume(): Promise<void> {
    const resuming = this.#resume()
    this.#resumed = resuming.catch(() => {})
    return resuming
  }

  /** @param page that it came from @returns why it can't be; undefined: it is accepted, or was before */
  accept(page: number | undefined, message: ToEngine & { type: 'act' }): Promise<Reason | undefined> {
    const accepted = this.#accepting.then(() => this.#orSay(page, message, () => this.#accept(page, message)))
    this.#accepting = accepted
    return accepted
  }

  /** Where the journal can't be used nobody waits for it. @returns why */
  async #orSay(
    page: number | undefined,
    { id, act }: Pick<ActMessage, 'id' | 'act'>,
    task: () => Promise<void>,
  ): Promise<Reason | undefined> {
    const { pages, signal } = this.#options
    try {
      await task()
      return undefined
    } catch (error) {
      const reason = reasonOf(error)
      // Of an engine that has ended the next is asked.
      if (signal.aborted) return reason
      console.error('pollz:', error)
      pages.sendPage(page, { type: 'refused', id, act, reason })
      return reason
    }
  }

  /** Signs somebody in for nothing else. @returns why that could not begin; undefined: a page to sign in was opened */
  async signIn(identifier: string): Promise<Reason | undefined> {
    const id = newId()
    const act = { type: 'signIn' } as const
    const message = { type: 'act', id, at: Date.now(), act, account: undefined, identifier } as const
    const failed = await this.accept(undefined, message)
    if (failed) return failed
    const journal = await this.#options.db
    const accepted = await journal.get('acts', id)
    if (accepted) await this.#running.get(this.#queueOf(accepted))
    const state = (await journal.get('acts', id))?.state
    return state?.name === 'ended' && state.message.type === 'refused' ? state.message.reason : undefined
  }

  /** Tells a page how one of its acts is. */
  async tell(page: number | undefined, { id, act }: ToEngine & { type: 'ask' }): Promise<void> {
    await this.#orSay(page, { id, act }, async () => {
      await this.#resumed
      const entry = await (await this.#options.db).get('acts', id)
      if (entry) await this.#tellPage(entry, page)
      else this.#options.pages.sendPage(page, { type: 'superseded', id, act })
    })
  }

  /** Nobody wants it any more: it is not done, unless that is under way. */
  async withdraw(id: string): Promise<void> {
    await this.#accepting
    const { closeSignIn, db } = this.#options
    const entry = await (await db).get('acts', id)
    if (!entry) return
    let tab: number | undefined
    await this.#end(entry, { type: 'superseded' }, ({ state }) => {
      if (state.name === 'signingIn' && isFresh(state)) tab = state.tab
      return !this.#isDoing(id, state)
    })
    if (tab !== undefined) await closeSignIn?.(tab)
  }

  /** A sign-in came back. @param tab that it is known by */
  async signedIn(tab: number, result: SignInResult): Promise<void> {
    const entry = await this.waitingFor(tab)
    if (!entry) return
    if ('failed' in result) {
      if (result.failed.name === 'noScope') await this.#noteDenied(entry)
      return this.#end(entry, { type: 'refused', reason: result.failed })
    }
    if (entry.act.type === 'signIn') return this.#end(entry, { type: 'done', uri: '' })
    const voter = entry.voter ?? { did: result.did }
    if (voter.did !== result.did)
      return this.#end(entry, { type: 'refused', reason: { name: 'otherAccount', as: result.did } })
    const ready = await this.#change(entry.id, {
      voter,
      state: { name: 'ready', signedIn: true, since: Date.now() },
    })
    if (ready) await this.#run(this.#queueOf(ready))
  }

  /** The act that a sign-in is for. */
  async waitingFor(tab: number): Promise<JournalledAct | undefined> {
    await this.#resumed
    const all = await (await this.#options.db).getAll('acts')
    return all.find(({ state }) => state.name === 'signingIn' && state.tab === tab)
  }

  /** The browser has started: whatever page it has opened again, it is known by another number. */
  async forgetTabs(): Promise<void> {
    await this.#resumed
    for (const entry of await this.#journalled()) {
      await this.#change(entry.id, { page: undefined })
      if (entry.state.name === 'signingIn')
        await this.#end(entry, { type: 'refused', reason: { name: 'notFinished' } })
    }
  }

  async #resume(): Promise<void> {
    const queues = new Set<string>()
    for (const entry of await this.#journalled()) {
      if (entry.state.name === 'ready') queues.add(this.#queueOf(entry))
      else if (entry.state.name === 'signingIn' && !(await this.#mayComeBack(entry)))
        await this.#end(entry, { type: 'refused', reason: { name: 'notFinished' } })
    }
    for (const queue of queues) void this.#run(queue)
  }

  async #mayComeBack({ state }: JournalledAct): Promise<boolean> {
    const { signInOpen } = this.#options
    if (state.name !== 'signingIn') return false
    return signInOpen ? signInOpen(state.tab) : state.since > Date.now() - MAX_SIGN_IN
  }

  /** All that is in the journal, in the order in which it was accepted. What ended long ago is forgotten. */
  async #journalled(): Promise<JournalledAct[]> {
    const journal = await this.#options.db
    const kept: JournalledAct[] = []
    for (const entry of await journal.getAll('acts')) {
      const { id, state } = entry
      if (state.name === 'ended' && state.at < Date.now() - KEEP_ENDED) await journal.delete('acts', id)
      else kept.push(entry)
    }
    return kept.toSorted((a, b) => a.seq - b.seq)
  }

  async #accept(page: number | undefined, message: ToEngine & { type: 'act' }): Promise<void> {
    await this.#resumed
    const { accounts, db, pages } = this.#options
    const { id, at, act, account, identifier, again } = message
    const journal = await db
    const known = await journal.get('acts', id)
    if (known) return this.#tellPage(known, page)
    if (account === undefined && identifier === undefined) {
      const last = await accounts.lastUsed()
      pages.sendPage(page, { type: 'whoAreYou', id, act, ...(last ? { last } : {}) })
      return
    }
    const all = await this.#journalled()
    const voter = account ?? (act.type === 'signIn' ? undefined : await this.#accountOf(identifier))
    const entry: JournalledAct = {
      id,
      at,
      seq: (all.at(-1)?.seq ?? 0) + 1,
      act,
      voter,
      identifier,
      page,
      // A page that sends it again may have been cut off for long.
      state: { name: 'ready', signedIn: false, since: again ? at : Date.now() },
    }
    this.#own.add(id)
    if (again && all.some((other) => this.#areRivals(other, entry) && other.at > at)) {
      await journal.put('acts', entry, id)
      return this.#end(entry, { type: 'superseded' })
    }
    const state = await this.#inherited(entry, all)
    await journal.put('acts', { ...entry, state }, id)
    this.#tell({ ...entry, state }, await this.#isSignedIn(entry))
    await this.#supersede(entry, all)
    void this.#run(this.#queueOf(entry))
  }

  /** Somebody who is signed in by the handle that was typed. */
  async #accountOf(identifier: string | undefined): Promise<PageAccount | undefined> {
    const wanted = identifier && nameIn(identifier)
    const all = await this.#options.accounts.all()
    return all.find(({ did, handle }) => did === wanted || handle?.toLowerCase() === wanted)
  }

  /** What an act begins with: where a page to sign in is open for one that it supersedes, no other is opened. */
  async #inherited(entry: JournalledAct, all: JournalledAct[]): Promise<JournalledAct['state']> {
    const { signInOpen } = this.#options
    // Who asks for a page to sign in wants to see one.
    if (!signInOpen || entry.act.type === 'signIn') return entry.state
    const signedIn = entry.state.name === 'ready' && entry.state.signedIn
    if (signedIn || (await this.#isSignedIn(entry))) return entry.state
    for (const { state } of this.#olderRivals(entry, all))
      if (state.name === 'signingIn' && isFresh(state) && (await signInOpen(state.tab))) return state
    return entry.state
  }

  /** Whether it is known whose it is, and they may do it as they are signed in now. */
  async #isSignedIn({ act, voter }: JournalledAct): Promise<boolean> {
    return voter !== undefined && this.#options.accounts.isSignedIn(voter.did, collectionsOf(act))
  }

  async #supersede(entry: JournalledAct, all: JournalledAct[]): Promise<void> {
    for (const other of this.#olderRivals(entry, all)) await this.#end(other, { type: 'superseded' })
  }

  /** Those that nobody has to wait for any more. */
  #olderRivals(entry: JournalledAct, all: JournalledAct[]): JournalledAct[] {
    return all.filter(
      (other) =>
        other.seq < entry.seq &&
        other.state.name !== 'ended' &&
        !this.#doing.has(other.id) &&
        this.#areRivals(other, entry),
    )
  }

  /** Whether the newer of two acts makes the older one pointless. Of polls by another name that is not always known. */
  #areRivals(a: JournalledAct, b: JournalledAct): boolean {
    if (a.id === b.id || this.#queueOf(a) !== this.#queueOf(b)) return false
    if (a.act.type !== 'vote' || b.act.type !== 'vote') return true
    const { canonical } = this.#options
    return canonical(a.act.uri) === canonical(b.act.uri)
  }

  /**
   * Whose acts wait for each other: one person's for one poll. A poll's author may be named by handle or DID, so its key
   * alone decides: where two polls have the same one, their acts wait for each other, and all are done.
   */
  #queueOf({ act, voter, identifier = '' }: JournalledAct): string {
    const who = voter?.did ?? nameIn(identifier)
    switch (act.type) {
      case 'vote': {
        const { collection, rkey } = parseAtUri(act.uri)!
        return `${who} vote ${collection} ${rkey}`
      }
      case 'delete':
        return `${who} poll ${parseAtUri(act.uri)!.rkey}`
      case 'publish':
        return `${who} poll ${act.rkey}`
      case 'signIn':
        return `${who}`
      default:
        return act satisfies never
    }
  }

  /** Does what is ready in a queue, after what is being done there now. */
  #run(queue: string): Promise<void> {
    const running = (this.#running.get(queue) ?? Promise.resolve())
      .then(() => this.#alone(queue, () => this.#runAll(queue)))
      .catch((error: unknown) => this.#giveUp(queue, error))
      .finally(() => {
        if (this.#running.get(queue) === running) this.#running.delete(queue)
      })
    this.#running.set(queue, running)
    return running
  }

  /** The journal could not be used: what waits is refused. */
  async #giveUp(queue: string, error: unknown): Promise<void> {
    // The database closes with the engine.
    if (this.#options.signal.aborted) return
    console.error('pollz:', error)
    try {
      for (const entry of await this.#journalled())
        if (entry.state.name === 'ready' && this.#queueOf(entry) === queue)
          await this.#end(entry, { type: 'refused', reason: reasonOf(error) })
    } catch (again) {
      console.error('pollz:', again)
    }
  }

  /** The server's own pages each have an engine, and one journal: only one of them works on a queue. */
  async #alone(queue: string, task: () => Promise<void>): Promise<void> {
    const { db, signal } = this.#options
    const { name } = await db
    // An engine that has ended leaves its queues to the next, whatever it still waits for.
    const untilEnd = () => unlessAborted(task(), signal)
    // Pages that are no secure context have no locks.
    const { locks } = navigator as { locks?: LockManager }
    await (locks ? locks.request(`${name} ${queue}`, { signal }, untilEnd) : untilEnd())
  }

  async #runAll(queue: string): Promise<void> {
    for (;;) {
      const all = await this.#journalled()
      const next = all.find((it) => it.state.name === 'ready' && this.#queueOf(it) === queue)
      if (!next) return
      if (!next.voter && next.act.type !== 'signIn') {
        await this.#identify(next)
        continue
      }
      // Whoever typed a handle has a DID now, and a poll may have got one since: there may be a newer act.
      if (all.some((other) => other.seq > next.seq && this.#areRivals(other, next))) {
        await this.#end(next, { type: 'superseded' })
        continue
      }
      const state = await this.#inherited(next, all)
      await this.#supersede(next, all)
      if (next.state.name === 'ready' && next.state.since < Date.now() - MAX_WAIT)
        await this.#end(next, { type: 'refused', reason: { name: 'tooLate' } })
      else if (state !== next.state) await this.#wait(next, state)
      else await this.#do(next)
    }
  }

  /** Who types a handle acts as its owner, and as nobody else who may sign in. From then on it is in their queue. */
  async #identify({ id, identifier = '', ...entry }: JournalledAct): Promise<void> {
    try {
      const { accounts } = this.#options
      const voter = await inTime(DEADLINE, () => accounts.identify(nameIn(identifier)))
      const identified = await this.#change(id, { voter })
      if (identified) void this.#run(this.#queueOf(identified))
    } catch (error) {
      await this.#end({ ...entry, id, identifier }, { type: 'refused', reason: reasonOf(error) })
    }
  }

  async #do(entry: JournalledAct): Promise<void> {
    this.#doing.add(entry.id)
    try {
      // A newer one may have come while this one was looked for.
      if (!(await this.#change(entry.id, {}))) return
      await inTime(DEADLINE, (signal) => this.#try(entry, signal))
    } catch (error) {
      const reason = reasonOf(error)
      const justSignedIn = entry.state.name === 'ready' && entry.state.signedIn
      if (justSignedIn && reason.name === 'noScope') await this.#noteDenied(entry)
      await this.#end(entry, { type: 'refused', reason })
    } finally {
      this.#doing.delete(entry.id)
    }
  }

  async #try(entry: JournalledAct, signal: AbortSignal): Promise<void> {
    const { accounts, votedSince } = this.#options
    const { id, act, at, identifier, state, voter } = entry
    const justSignedIn = state.name === 'ready' && state.signedIn
    if (voter && act.type !== 'signIn' && (await this.#isSignedIn(entry))) {
      const { did } = voter
      if (!this.#own.has(id) && act.type === 'vote' && (await votedSince(act.uri, did, at)))
        return this.#end(entry, { type: 'superseded' })
      signal.throwIfAborted()
      // It may have to look up a handle: nobody waits for that.
      accounts.used(did).catch((error: unknown) => console.debug('pollz:', error))
      const uri = await this.#perform(act, { did, at, signal }).catch(async (error: unknown) => {
        // The client forgets a session that is revoked or expired; one that may do less is asked to do more, once.
        const maySignIn = !justSignedIn && reasonOf(error).name === 'noScope'
        if (signal.aborted || (!maySignIn && (await accounts.isSignedIn(did)))) throw error
        return undefined
      })
      if (uri !== undefined) return this.#end(entry, { type: 'done', uri })
    }
    if (justSignedIn) {
      const reason: Reason =
        voter && (await accounts.isSignedIn(voter.did))
          ? { name: 'noScope' }
          : { name: 'signInFailed', detail: 'the session ended at once' }
      if (reason.name === 'noScope') await this.#noteDenied(entry)
      return this.#end(entry, { type: 'refused', reason })
    }
    // It would end as the last time.
    if (voter && !(await accounts.mayGet(voter.did, collectionsOf(act))))
      return this.#end(entry, { type: 'refused', reason: { name: 'noScope' } })
    await accounts.signIn(
      voter?.did ?? identifier!,
      async (tab) => {
        if (!(await this.#wait(entry, { name: 'signingIn', tab, since: Date.now() })))
          throw new Error('nobody waits any more')
      },
      signal,
    )
  }

  async #noteDenied({ act, voter }: JournalledAct): Promise<void> {
    if (voter) await this.#options.accounts.noteDenied(voter.did, collectionsOf(act))
  }

  async #wait(entry: JournalledAct, state: JournalledAct['state']): Promise<boolean> {
    const waiting = await this.#change(entry.id, { state })
    if (waiting) this.#tell(waiting)
    return waiting !== undefined
  }

  #perform(act: Act & { type: keyof Doers }, doing: Doing): Promise<string> {
    const { doers } = this.#options
    switch (act.type) {
      case 'vote':
        return doers.vote(act, doing)
      case 'publish':
        return doers.publish(act, doing)
      case 'delete':
        return doers.delete(act, doing)
      default:
        return act satisfies never
    }
  }

  /** Who is brought to a page to sign in does not do it yet. */
  #isDoing(id: string, state: JournalledAct['state']): boolean {
    return state.name === 'ready' && this.#doing.has(id)
  }

  /** @returns what it is now; undefined: it has ended before, or may not be changed, and stays as it is */
  async #change(
    id: string,
    change: Partial<JournalledAct>,
    mayChange: (entry: JournalledAct) => boolean = () => true,
  ): Promise<JournalledAct | undefined> {
    const tx = (await this.#options.db).transaction('acts', 'readwrite')
    const entry = await tx.store.get(id)
    const changed =
      entry && entry.state.name !== 'ended' && mayChange(entry) ? { ...entry, ...change } : undefined
    if (changed) await tx.store.put(changed, id)
    await tx.done
    return changed
  }

  /** @throws where it can't be written down; its page is told all the same */
  async #end(
    entry: JournalledAct,
    ending: Ending,
    mayEnd?: (entry: JournalledAct) => boolean,
  ): Promise<void> {
    const { id, act, voter } = entry
    const message = { ...ending, id, act, ...(voter ? { voter: voter.did } : {}) } as ActMessage
    const state = { name: 'ended', at: Date.now(), message } as const
    this.#own.delete(id)
    try {
      const ended = await this.#change(id, { state }, mayEnd)
      if (ended) this.#tell(ended)
    } catch (error) {
      if (!this.#options.signal.aborted) this.#tell({ ...entry, state })
      throw error
    }
  }

  /** From now on it is this page that is told. */
  async #tellPage(entry: JournalledAct, page: number | undefined): Promise<void> {
    if (entry.page !== page) await this.#change(entry.id, { page })
    this.#tell({ ...entry, page }, await this.#isSignedIn(entry))
  }

  #tell({ id, act, page, state, voter, identifier }: JournalledAct, isSignedIn = false): void {
    const of = { id, act, ...(voter ? { voter: voter.did } : {}) }
    const message: ActMessage =
      state.name === 'ended'
        ? state.message
        : state.name === 'signingIn'
          ? { type: 'signingIn', ...of, as: voter?.handle ?? voter?.did ?? identifier ?? '' }
          : { type: 'accepted', ...of, ...(isSignedIn ? { signedIn: true } : {}) }
    this.#options.pages.sendPage(page, message)
  }
}

const isFresh = ({ since }: { since: number }) => since > Date.now() - MAX_FRESH

/** NSIDs of the records that may be written, and of those that may be deleted for it. */
function collectionsOf(act: Act): readonly string[] {
  switch (act.type) {
    case 'vote':
      return familyOfPoll.get(parseAtUri(act.uri)!.collection)?.votes.map(({ nsid }) => nsid) ?? []
    case 'publish':
    case 'delete':
      return [home.poll]
    case 'signIn':
      return []
    default:
      return act satisfies never
  }
}

/** A handle or DID that somebody has typed. */
const nameIn = (identifier: string) => identifier.trim().replace(/^@/, '').toLowerCase()
