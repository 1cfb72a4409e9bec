/**
 * What one process at a time does for all: it listens to tap and Jetstream, asks the relay who has voted, and reconciles.
 * It does so for as long as it holds the lease; the others stand by.
 */
import { setTimeout } from 'node:timers/promises'
import { home } from '@pollz/shared/families'
import type { Config } from './config.ts'
import { AnnouncedRecords, type Read } from './ingest/announced.ts'
import { Coverage } from './ingest/coverage.ts'
import type { Change } from './ingest/events.ts'
import { Hints } from './ingest/hints.ts'
import { History } from './ingest/history.ts'
import { Jetstream } from './ingest/jetstream.ts'
import { Reconciler } from './ingest/reconcile.ts'
import type { Repos } from './ingest/repos.ts'
import { checkSelf } from './ingest/selfcheck.ts'
import { TapConsumer } from './ingest/tap.ts'
import { Tracking } from './ingest/tracking.ts'
import { reasonOf, type Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Applied } from './store/counting/apply.ts'
import { COMPLETE } from './store/news.ts'
import {
  accountOf,
  countedVotes,
  keptToTrack,
  nextAccount,
  recordsOf,
  somePoll,
  stateOf,
  subjectOf,
  trackedAccounts,
  trackedAmong,
  voteRecordsOf,
} from './store/queries.ts'
import type { Outcome } from './store/store.ts'
import type { Leased, Writer } from './writer.ts'

/** Where Jetstream was, as the database keeps it. */
const STATE = { cursor: 'jetstream', since: 'jetstream since' }
/** How often it is looked for repos that others have tap track, in ms, and how many are taken at once. */
const TRACK_EVERY = 1_000
const TRACK_AT_ONCE = 500
/** How long it is waited before it is begun again after something failed, in ms. */
const PAUSE = 1_000

export type IngesterOptions = {
  config: Config
  writer: Writer
  repos: Repos
  /** Tells what became of a write. */
  report: (outcome: Outcome) => void
  /** Another process is there that ingests. */
  onRival: (holder: string) => void
  metrics: Metrics
  log: Log
  signal: AbortSignal
}

/** From getting the lease to losing it. */
type Term = { fence: number; stop: AbortController; done: Promise<void>; parts: Parts | undefined }

type Parts = {
  taps: TapConsumer[]
  jetstream: Jetstream
  hints: Hints
  tracking: Tracking
  reconciler: Reconciler
}

export class Ingester {
  #options: IngesterOptions
  #term: Term | undefined
  #lease: Leased | undefined

  constructor(options: IngesterOptions) {
    this.#options = options
    // What is being stored is acked before the process ends.
    options.signal.addEventListener('abort', () => this.#term?.stop.abort(), { once: true })
  }

  /** Begins or ends as the lease says. */
  beaten(lease: Leased | undefined): void {
    const { log, onRival, signal } = this.#options
    const before = this.#lease
    this.#lease = lease
    if (lease && !lease.mine) {
      if (lease.holder !== before?.holder)
        log.info('another process ingests, this one stands by', { holder: lease.holder })
      // Renewed since this one has looked: it is alive.
      else if (lease.until !== before.until) onRival(lease.holder)
    }
    const fence = lease?.mine ? lease.fence : undefined
    if (this.#term && this.#term.fence !== fence) this.#term.stop.abort()
    if (this.#term || fence === undefined || signal.aborted) return
    const stop = new AbortController()
    const term: Term = { fence, stop, done: Promise.resolve(), parts: undefined }
    this.#term = term
    log.info('this process ingests', { fence })
    term.done = this.#run(term).finally(() => {
      this.#term = undefined
      log.info('this process no longer ingests', { fence })
    })
  }

  /** What was stored may name accounts that tap does not track yet. @returns whether that is seen to here */
  committed({ unknownAuthors, statuses }: Pick<Applied, 'unknownAuthors' | 'statuses'>): boolean {
    const parts = this.#term?.parts
    if (!parts) return false
    parts.tracking.track(unknownAuthors)
    parts.reconciler.soon(unknownAuthors)
    // C5: what tap says of an account may be old.
    parts.reconciler.soon(statuses)
    return true
  }

  /** @returns whether tap is told here */
  track(dids: string[]): boolean {
    this.#term?.parts?.tracking.track(dids)
    return this.#term?.parts !== undefined
  }

  /** How it is with tap, in words; `ok`: as it should be. */
  get state(): string {
    const { config } = this.#options
    if (config.tapUrls.length === 0) return 'TAP_URL: names none'
    if (this.#lease && !this.#lease.mine) return 'ok'
    const { taps } = this.#term?.parts ?? { taps: [] }
    const missing = config.tapUrls.filter((url) => !taps.some((tap) => tap.url === url && tap.connected))
    return missing.length === 0 ? 'ok' : `TAP_URL: not connected: ${missing.join(', ')}`
  }

  /** Who ingests, as far as this process knows. */
  get holder(): string | undefined {
    return this.#lease?.holder
  }

  get queued(): number {
    return this.#term?.parts?.taps.reduce((sum, tap) => sum + tap.queued, 0) ?? 0
  }

  get jetstreamConnected(): boolean {
    return this.#term?.parts?.jetstream.connected ?? false
  }

  get hints(): number {
    return this.#term?.parts?.hints.size ?? 0
  }

  /** Resolves once what was taken is committed and acked. Called when the signal was aborted. */
  async ended(): Promise<void> {
    await this.#term?.done
  }

  async #run(term: Term): Promise<void> {
    const { log } = this.#options
    const { signal } = term.stop
    while (!signal.aborted) {
      try {
        term.parts = await this.#begin(term.fence, signal)
        await Promise.all(term.parts.taps.map((tap) => tap.done))
        if (!signal.aborted)
          await new Promise((ended) => signal.addEventListener('abort', ended, { once: true }))
      } catch (error) {
        log.warn('ingesting could not begin', { reason: reasonOf(error) })
        await setTimeout(PAUSE, undefined, { signal }).catch(() => {})
      }
    }
    term.parts = undefined
  }

  /** @throws where the database can't be read */
  async #begin(fence: number, signal: AbortSignal): Promise<Parts> {
    const { config, log, metrics, report, repos, writer } = this.#options
    const { reader } = writer
    const cursor = await stateOf(reader, STATE.cursor)
    const since = await stateOf(reader, STATE.since)

    const tracking = new Tracking({
      urls: config.tapUrls,
      adminPassword: config.tapAdminPassword,
      log,
      signal,
    })
    const store = async (changes: Change[]): Promise<Read<undefined>> => {
      const outcome = await writer.storeChanges(changes, fence)
      report(outcome)
      return outcome.outcome === 'committed'
        ? { ok: true, value: undefined }
        : { ok: false, error: 'StoreFailure', message: outcome.reason }
    }
    const reconciler = new Reconciler({
      repos,
      store: async (changes) => {
        const stored = await store(changes)
        if (!stored.ok) throw new Error(stored.message)
      },
      track: (dids) => tracking.track(dids),
      untrack: (dids) => tracking.untrack(dids),
      held: {
        account: (did) => accountOf(reader, did),
        next: (after) => nextAccount(reader, after),
        records: (did) => recordsOf(reader, did),
        last: async () => (await stateOf(reader, 'reconciled')) ?? 0,
        remember: (account) => writer.remember('reconciled', account, fence),
      },
      log,
      onHealed: (differences) => metrics.reconciled.inc(differences),
    })
    const named = new AnnouncedRecords({
      repos,
      store,
      track: (dids) => tracking.track(dids),
      subjectOf: (vote) => subjectOf(reader, vote),
      votesOf: (poll, limit) => voteRecordsOf(reader, poll, limit),
    })
    // Whom tap does not find by itself; without a tap nobody is tracked, and every vote is read.
    const hasTap = config.tapUrls.length > 0
    const tracked = async (dids: string[]) => (hasTap ? trackedAmong(reader, dids) : new Set<string>())
    const hints = new Hints({
      tracked,
      hostOf: (did, budget) => repos.hostOf({ did, budget }),
      read: (uri, budget) => named.prove(uri, budget),
      store: (change) => named.store(change),
      onRead: (outcome) => metrics.hints.inc({ outcome }),
      log,
      signal,
    })
    const jetstream = new Jetstream({
      urls: config.jetstreamUrls,
      hints,
      cursor,
      since,
      remember: (name, time) => writer.remember(STATE[name], time, fence),
      deletes: !hasTap,
      log,
      signal,
    })
    // Whom a relay names is read by tap alone.
    const history =
      config.relayUrl === undefined || !hasTap
        ? undefined
        : new History({
            relayUrl: config.relayUrl,
            repos,
            tracked,
            track: (dids, patience) => tracking.trackAndWait(dids, patience),
            walked: {
              last: (collection) => stateOf(reader, `walked ${collection}`),
              remember: (collection, time) => writer.remember(`walked ${collection}`, time, fence),
            },
            onTold: (dids) => metrics.told.inc(dids),
            log,
            signal,
          })
    const taps = config.tapUrls.map(
      (url) =>
        new TapConsumer({
          url,
          adminPassword: config.tapAdminPassword,
          store: async (messages) => {
            const measured = metrics.storeSeconds.startTimer()
            const { outcome, ids } = await writer.storeMessages(messages, fence)
            measured()
            report(outcome)
            if (outcome.outcome === 'unknown') {
              // It must not connect again: tap would share its events between two.
              if (outcome.fencedOff) this.#term?.stop.abort()
              throw new Error(outcome.reason)
            }
            metrics.events.inc(ids.length)
            return ids
          },
          onConnect: () =>
            void tracking.trackAll(url, (...page) => trackedAccounts(reader, home.vote, ...page)),
          log,
          signal,
        }),
    )
    const coverage = new Coverage({
      jetstream,
      history,
      tapConnected: hasTap ? () => taps.some(({ connected }) => connected) : undefined,
      remember: ({ poll }, complete) => writer.remember(COMPLETE + poll, Number(complete), fence),
    })
    coverage.follow(signal)
    // Nobody waits for these, so nobody else hears of an error: it must not end the server.
    const failed = (error: unknown) => log.error('voters are no longer named', { reason: reasonOf(error) })
    void jetstream.run().catch(failed)
    void history?.run().catch(failed)
    void this.#trackForOthers(tracking, signal)
    if (config.reconcilePause > 0) void reconciler.run(config.reconcilePause, signal)
    if (config.selfCheckPause > 0)
      void checkSelf(
        {
          repos,
          pick: async () => (await somePoll(reader, Math.random())) ?? somePoll(reader, 0),
          claim: (poll, limit) => countedVotes(reader, poll, limit),
          store,
          onChecked: (verdict) => metrics.selfChecks.inc({ verdict }),
          log,
        },
        config.selfCheckPause,
        signal,
      )
    return { taps, jetstream, hints, tracking, reconciler }
  }

  /** Others can't tell tap of whom they stored something: it may be out of their reach. */
  async #trackForOthers(tracking: Tracking, signal: AbortSignal): Promise<void> {
    const { log, writer } = this.#options
    while (!signal.aborted) {
      try {
        const { dids, last } = await keptToTrack(writer.reader, TRACK_AT_ONCE)
        tracking.track(dids)
        if (dids.length > 0) await writer.do({ tracked: last })
      } catch (error) {
        if (!signal.aborted) log.warn('who is to be tracked can’t be read', { reason: reasonOf(error) })
      }
      await setTimeout(TRACK_EVERY, undefined, { signal }).catch(() => {})
    }
  }
}
