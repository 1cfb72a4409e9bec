/**
 * What somebody does with an account of theirs. A click is a promise: it is written down before it is answered, done in
 * the order of the clicks, and goes on where it was when the page, this worker or the browser ended.
 */
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Act, ActMessage, Reason, ToEngine } from '@pollz/shared/engine'
import { familyOfPoll, home } from '@pollz/shared/families'
import type { Accounts } from './accounts.ts'
import type { Pages } from './pages.ts'
import { reasonOf } from './reasons.ts'
import type { JournalledAct, ServerDb, SignInResult } from './storage.ts'

/** An act that takes longer, in ms, is answered: nobody watches a circle for longer. */
const DEADLINE = 20_000
/** Ended acts are kept for so long, in ms: their pages may ask for them. */
const KEEP_ENDED = 3_600_000

/** `at`: when it was clicked, in ms since 1970; whatever is written says so, however often it is tried. */
export type Doing = { did: string; at: number; signal: AbortSignal }

/** Does one kind of thing. @returns at-uri of the poll it was done to @throws with the PDS's reason */
export type Doer<T extends Act['type']> = (act: Act & { type: T }, doing: Doing) => Promise<string>

export type Doers = { [T in Exclude<Act['type'], 'signIn'>]: Doer<T> }

export type ActsOptions = {
  db: Promise<ServerDb>
  accounts: Accounts
  pages: Pages
  doers: Doers
  /** the at-uri by DID of a poll that a page calls otherwise, as far as it is known */
  canonical: (uri: string) => string
}

type Ending = ActMessage extends infer M ? (M extends ActMessage ? Omit<M, 'id' | 'act'> : never) : never

export class Acts {
  #options: ActsOptions
  /** Acts are accepted one after the other: which of two is newer is asked of the journal. */
  #accepting: Promise<unknown> = Promise.resolve()
  /** Queues in which something is being done, until that is over. */
  #running = new Map<string, Promise<void>>()

  constructor(options: ActsOptions) {
    this.#options = options
  }

  /** Goes on with what was accepted before this worker started. */
  async resume(): Promise<void> {
    const db = await this.#options.db
    for (const entry of await db.getAll('acts')) {
      if (entry.state.name === 'ready') void this.#run(this.#queueOf(entry))
      else if (entry.state.name === 'ended' && entry.state.at < Date.now() - KEEP_ENDED)
        await db.delete('acts', entry.id)
    }
  }

  /** @param page that it came from */
  accept(page: number | undefined, message: ToEngine & { type: 'act' }): Promise<void> {
    const accepted = this.#accepting.then(() => this.#accept(page, message))
    this.#accepting = accepted.catch(() => {})
    return accepted
  }

  /** Signs somebody in for nothing else. @returns why that could not begin; undefined: a page to sign in was opened */
  async signIn(identifier: string): Promise<Reason | undefined> {
    const id = crypto.randomUUID()
    const act = { type: 'signIn' } as const
    await this.accept(undefined, { type: 'act', id, at: Date.now(), act, account: undefined, identifier })
    await this.#running.get(identifier)
    const state = (await (await this.#options.db).get('acts', id))?.state
    return state?.name === 'ended' && state.message.type === 'refused' ? state.message.reason : undefined
  }

  /** Tells a page how one of its acts is. */
  async tell(page: number | undefined, id: string): Promise<void> {
    const entry = await (await this.#options.db).get('acts', id)
    if (entry) await this.#tellPage(entry, page)
  }

  /** From now on it is this page that is told. */
  async #tellPage(entry: JournalledAct, page: number | undefined): Promise<void> {
    const told = { ...entry, page }
    if (entry.page !== page) await (await this.#options.db).put('acts', told, entry.id)
    this.#tell(told)
  }

  /** A sign-in came back. @param tab that it is known by */
  async signedIn(tab: number, result: SignInResult): Promise<void> {
    const entry = await this.waitingFor(tab)
    if (!entry) return
    if ('failed' in result) return this.#end(entry, { type: 'refused', reason: result.failed })
    const voter = entry.voter ?? { did: result.did }
    if (entry.act.type === 'signIn') return this.#end(entry, { type: 'done', uri: '' })
    const ready: JournalledAct = { ...entry, voter, state: { name: 'ready', signedIn: true } }
    await (await this.#options.db).put('acts', ready, entry.id)
    await this.#run(this.#queueOf(ready))
  }

  /** The act that a sign-in is for. */
  async waitingFor(tab: number): Promise<JournalledAct | undefined> {
    const all = await (await this.#options.db).getAll('acts')
    return all.find(({ state }) => state.name === 'signingIn' && state.tab === tab)
  }

  async #accept(page: number | undefined, message: ToEngine & { type: 'act' }): Promise<void> {
    const { accounts, db, pages } = this.#options
    const { id, at, act, account, identifier } = message
    const journal = await db
    const known = await journal.get('acts', id)
    if (known) return this.#tellPage(known, page)
    if (account === undefined && identifier === undefined) {
      const last = await accounts.lastUsed()
      pages.sendPage(page, { type: 'whoAreYou', id, act, ...(last ? { last } : {}) })
      return
    }
    let entry: JournalledAct = {
      id,
      at,
      act,
      voter: account,
      identifier,
      page,
      state: { name: 'ready', signedIn: false },
    }
    const queue = this.#queueOf(entry)
    for (const other of await journal.getAll('acts')) {
      if (this.#queueOf(other) !== queue || other.state.name === 'ended') continue
      if (other.at > at) {
        await journal.put('acts', entry, id)
        return this.#end(entry, { type: 'superseded' })
      }
      if (other.state.name === 'signingIn') entry = { ...entry, state: other.state }
      if (other.state.name === 'signingIn' || !this.#doing.has(other.id))
        await this.#end(other, { type: 'superseded' })
    }
    await journal.put('acts', entry, id)
    this.#tell(entry)
    void this.#run(queue)
  }

  /** ids of the acts that are being done */
  #doing = new Set<string>()

  /** Whose acts wait for each other: one person's for one poll. */
  #queueOf({ act, voter, identifier }: JournalledAct): string {
    const who = voter?.did ?? identifier
    switch (act.type) {
      case 'vote':
      case 'delete':
        return `${who} ${this.#options.canonical(act.uri)}`
      case 'publish':
        return `${who} ${act.rkey}`
      case 'signIn':
        return `${who}`
      default:
        return act satisfies never
    }
  }

  #run(queue: string): Promise<void> {
    const running =
      this.#running.get(queue) ??
      this.#runAll(queue)
        .catch((error: unknown) => console.error('pollz:', error))
        .finally(() => this.#running.delete(queue))
    this.#running.set(queue, running)
    return running
  }

  async #runAll(queue: string): Promise<void> {
    for (;;) {
      const all = await (await this.#options.db).getAll('acts')
      const [next] = all
        .filter((it) => it.state.name === 'ready' && this.#queueOf(it) === queue)
        .toSorted((a, b) => a.at - b.at)
      if (!next) return
      this.#doing.add(next.id)
      await this.#do(next)
      this.#doing.delete(next.id)
    }
  }

  async #do(entry: JournalledAct): Promise<void> {
    const { accounts } = this.#options
    const { act, voter, identifier, at, state } = entry
    const justSignedIn = state.name === 'ready' && state.signedIn
    try {
      if (voter && act.type !== 'signIn' && (await accounts.isSignedIn(voter.did, collectionOf(act)))) {
        const { did } = voter
        try {
          const uri = await inTime((signal) => this.#perform(act, { did, at, signal }))
          await accounts.used(did)
          return await this.#end(entry, { type: 'done', uri })
        } catch (error) {
          // The client forgets a session that is revoked or expired; one that may do less is asked to do more, once.
          const maySignIn = !justSignedIn && reasonOf(error).name === 'noScope'
          if (!maySignIn && (await accounts.isSignedIn(did))) throw error
        }
      }
      if (justSignedIn) {
        const reason: Reason =
          voter && (await accounts.isSignedIn(voter.did))
            ? { name: 'noScope' }
            : { name: 'signInFailed', detail: 'the session ended at once' }
        return await this.#end(entry, { type: 'refused', reason })
      }
      await inTime(() => this.#signIn(entry, voter?.did ?? identifier!))
    } catch (error) {
      await this.#end(entry, { type: 'refused', reason: reasonOf(error) })
    }
  }

  async #signIn(entry: JournalledAct, who: string): Promise<void> {
    const { accounts, db } = this.#options
    await accounts.signIn(who, async (tab) => {
      const waiting: JournalledAct = { ...entry, state: { name: 'signingIn', tab } }
      await (await db).put('acts', waiting, entry.id)
      this.#tell(waiting)
    })
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

  async #end(entry: JournalledAct, ending: Ending): Promise<void> {
    const message = { ...ending, id: entry.id, act: entry.act } as ActMessage
    const ended: JournalledAct = { ...entry, state: { name: 'ended', at: Date.now(), message } }
    await (await this.#options.db).put('acts', ended, entry.id)
    this.#tell(ended)
  }

  #tell({ id, act, page, state, voter, identifier }: JournalledAct): void {
    const message: ActMessage =
      state.name === 'ended'
        ? state.message
        : state.name === 'signingIn'
          ? { type: 'signingIn', id, act, as: voter?.handle ?? voter?.did ?? identifier ?? '' }
          : { type: 'accepted', id, act }
    this.#options.pages.sendPage(page, message)
  }
}

/** NSID of the records that are written; undefined where no family has the poll. */
function collectionOf(act: Act & { type: keyof Doers }): string | undefined {
  return act.type === 'vote' ? familyOfPoll.get(parseAtUri(act.uri)!.collection)?.vote : home.poll
}

/** A task that is given up in time, whether it heeds the signal or not. */
async function inTime<T>(task: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(DEADLINE)
  return Promise.race([
    task(signal),
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    }),
  ])
}
