/**
 * C5, C10: tap never sends the deletes of a time in which a repo was out of sync, and its identity events are neither
 * ordered nor final. So each account's status is asked of its PDS, and the records that are held are compared with what
 * the PDS lists. Each that differs is read with its proof and stored like any event: a PDS that lists wrongly heals
 * nothing and breaks nothing.
 */
import { setTimeout } from 'node:timers/promises'
import { collections } from '@pollz/shared/families'
import { reasonOf, type Log } from '../log.ts'
import { unlimited } from './budget.ts'
import { microseconds } from '@pollz/shared/counting'
import { readRecord, type AccountStatus, type Change } from './events.ts'
import { samePoll, sameVote, type HeldAccount, type HeldRecord } from './held.ts'
import { changeOf } from './announced.ts'
import type { RepoRead, Repos } from './repos.ts'

/** Pages of a hundred records that are read of one collection: what lies beyond is left to tap. */
const MAX_PAGES = 50
/** Records of one account that are healed at a time; the next round goes on. */
const MAX_HEALED = 500
/** An account whose PDS takes longer, in ms, is left to the next round: it must not hold up the others. */
const MAX_TIME = 60_000
/** Pause after a round in which there was nobody, in ms. */
const IDLE = 60_000
/** Accounts that are looked at before it is their turn, at most: the others wait for it. */
const MAX_SOON = 10_000

const budget = unlimited('reconcile')

export type ReconcileOptions = {
  repos: Repos
  /** Resolves once the changes are committed. @throws where they may not be */
  store: (changes: Change[]) => Promise<unknown>
  /** Has tap track these repos. */
  track: (dids: string[]) => void
  /** Tells tap that it has no reason to track these repos. */
  untrack: (dids: string[]) => void
  /** What is held, and where this was: questions to the database. */
  held: {
    account: (did: string) => Promise<HeldAccount | undefined>
    /** the one after the account with this number */
    next: (after: number) => Promise<HeldAccount | undefined>
    records: (did: string) => Promise<HeldRecord[]>
    last: () => Promise<number>
    remember: (account: number) => Promise<unknown>
  }
  log: Log
  /** is told how many records or statuses differed */
  onHealed: (differences: number) => void
}

export class Reconciler {
  #options: ReconcileOptions
  #soon = new Set<string>()
  #hurry: () => void = () => {}

  constructor(options: ReconcileOptions) {
    this.#options = options
  }

  /** Accounts that something was said of which may not be so: they are looked at next. */
  soon(dids: Iterable<string>): void {
    for (const did of dids) if (this.#soon.size < MAX_SOON) this.#soon.add(did)
    this.#hurry()
  }

  /**
   * Walks all accounts, again and again, one at a time, from where it was when the server ended.
   *
   * @param pause between two accounts, in ms
   */
  async run(pause: number, signal: AbortSignal): Promise<void> {
    const { held, log } = this.#options
    let after: number | undefined
    // In turns, so that whoever makes much to be looked at soon does not end the walk.
    let walked = true
    while (!signal.aborted) {
      await this.#wait(pause, signal)
      if (signal.aborted) return
      try {
        after ??= await held.last()
        const [first] = this.#soon
        if (first !== undefined && walked) {
          walked = false
          this.#soon.delete(first)
          const account = await held.account(first)
          if (account) await this.#look(account)
          continue
        }
        walked = true
        const account = await held.next(after)
        after = account?.id ?? 0
        if (account) await this.#look(account)
        await held.remember(after)
        if (!account) await this.#wait(Math.min(IDLE, pause * 10), signal, true)
      } catch (error) {
        log.warn('reconciling failed', { reason: reasonOf(error) })
      }
    }
  }

  async #wait(ms: number, signal: AbortSignal, untilSoon = false): Promise<void> {
    if (untilSoon && this.#soon.size > 0) return
    const hurry = new AbortController()
    if (untilSoon) this.#hurry = () => hurry.abort()
    await setTimeout(ms, undefined, { signal: AbortSignal.any([signal, hurry.signal]) }).catch(() => {})
    this.#hurry = () => {}
  }

  async #look(account: HeldAccount): Promise<void> {
    const { log, onHealed } = this.#options
    const { did } = account
    const result = await this.reconcile(account)
    if (!result.ok) log.debug('an account could not be reconciled', { did, reason: result.message })
    else if (result.value > 0) {
      log.info('what tap had missed was read anew', { did, differences: result.value })
      onHealed(result.value)
    }
  }

  /** @returns how much differed and was healed; an error where the PDS did not answer */
  async reconcile(account: HeldAccount): Promise<RepoRead<number>> {
    const { store, track, untrack, held } = this.#options
    const { did } = account
    const status = await this.#statusOf(account)
    if (!status.ok) return status
    const changed = status.value !== account.status
    if (changed) {
      await store([{ type: 'account', did, status: status.value }])
      // Tap may have asked for this account too, but a second look is for the next round.
      this.#soon.delete(did)
    }
    if (changed && status.value === 'deleted') untrack([did])
    if (status.value !== 'active') return { ok: true, value: Number(changed) }
    const records = await this.#records(did)
    const now = await held.account(did)
    if (now && !now.wanted) untrack([did])
    else if (now && account.status === 'deleted') track([did])
    return records.ok ? { ok: true, value: records.value + Number(changed) } : records
  }

  /** C5. That an account is gone is believed when it is said a second time: a PDS may have lost it for a moment. */
  async #statusOf({ did, status }: HeldAccount): Promise<RepoRead<AccountStatus>> {
    const read = await this.#options.repos.status({ did, budget })
    if (read.ok) return { ok: true, value: read.value.status }
    if (read.gone === undefined) return read
    return { ok: true, value: status === 'active' ? 'deactivated' : 'deleted' }
  }

  async #records(did: string): Promise<RepoRead<number>> {
    const { repos, store, held: questions } = this.#options
    const until = Date.now() + MAX_TIME
    const late = {
      ok: false,
      error: 'UpstreamFailure',
      message: `${did}: its PDS takes too long`,
    } as const
    const records = await questions.records(did)
    const held = new Map(records.map((it) => [`${it.collection}/${it.rkey}`, it.held]))
    // A poll that votes name and that nobody has seen is looked for, listed or not.
    const differing = new Set(records.filter(({ seen }) => !seen).map((it) => `${it.collection}/${it.rkey}`))
    // Most repos have records of few families. Where that can't be asked, each is.
    const described = await repos.collections({ did, budget })
    for (const collection of collections) {
      const pages = !described.ok || described.value.includes(collection) ? MAX_PAGES : 0
      const listed = new Set<string>()
      let cursor: string | undefined
      let least = ''
      for (let page = 0; page < pages; page++) {
        if (Date.now() > until) return late
        const read = await repos.listRecords({ did, collection, cursor, budget })
        if (!read.ok) return read
        for (const { rkey, value } of read.value.records) {
          const path = `${collection}/${rkey}`
          listed.add(path)
          if (contentOf(did, collection, rkey, value) !== (held.get(path) ?? null)) differing.add(path)
        }
        cursor = read.value.cursor
        least = cursor === undefined ? '' : (read.value.records.at(-1)?.rkey ?? '')
        if (cursor === undefined) break
      }
      for (const [path, content] of held) {
        const [of, rkey] = path.split('/') as [string, string]
        // If paging stopped early, later records are unknown, not missing.
        if (of === collection && content !== null && rkey >= least && !listed.has(path)) differing.add(path)
      }
    }
    for (const path of [...differing].slice(0, MAX_HEALED)) {
      if (Date.now() > until) return late
      const [collection, rkey] = path.split('/') as [string, string]
      const read = await repos.readRecord({ did, collection, rkey, budget })
      if (!read.ok) return read
      await store([changeOf(read.value)])
    }
    return { ok: true, value: differing.size }
  }
}

/** The least TID there is: the content of a record does not depend on its rev. */
const NO_REV = '2222222222222'

function contentOf(did: string, collection: string, rkey: string, value: unknown): string | null {
  const { change } = readRecord({ did, collection, rkey, rev: NO_REV }, value, false)
  if (change.type === 'vote') return change.vote && sameVote(change.vote)
  const { poll } = change
  return (
    poll &&
    samePoll({
      text: poll.text,
      options: poll.options,
      createdAt: microseconds(poll.createdAt),
      endsAt: poll.endsAt === undefined ? undefined : microseconds(poll.endsAt),
      multiple: poll.multiple ?? false,
      post: poll.post,
    })
  )
}
