/** The parts, joined in the order of the flow: tap, ingest, store, live, http. */
import { setTimeout } from 'node:timers/promises'
import { parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll, home, pollHosts } from '@pollz/shared/families'
import { PUBLIC_HANDLE_RESOLVER } from '@pollz/shared/network'
import type { PollView } from '@pollz/shared/wire'
import { briefly } from './briefly.ts'
import type { Config } from './config.ts'
import { createLimits } from './http/limits.ts'
import { listen, type Readiness } from './http/server.ts'
import { AnnouncedRecords, type Read } from './ingest/announced.ts'
import { unlimited } from './ingest/budget.ts'
import type { Change } from './ingest/events.ts'
import { Coverage } from './ingest/coverage.ts'
import { Hints } from './ingest/hints.ts'
import { History } from './ingest/history.ts'
import { Jetstream } from './ingest/jetstream.ts'
import { Names } from './ingest/names.ts'
import { Reconciler } from './ingest/reconcile.ts'
import { postText } from './ingest/posts.ts'
import { createRepos } from './ingest/repos.ts'
import { TapConsumer } from './ingest/tap.ts'
import { Tracking } from './ingest/tracking.ts'
import { Handles } from './live/handles.ts'
import { Hidden } from './live/hidden.ts'
import { Hub } from './live/hub.ts'
import { Lookup } from './live/lookup.ts'
import { Polls } from './live/polls.ts'
import { Questions } from './live/questions.ts'
import { reasonOf, type Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import type { Applied } from './store/counting/apply.ts'
import { hiddenAfter } from './store/hidden.ts'
import {
  accountOf,
  busiestPolls,
  didOfHandle,
  findPoll,
  newestPolls,
  nextAccount,
  recordsOf,
  stateOf,
  trackedAccounts,
  trackedAmong,
  voteRecordsOf,
  votesOf,
} from './store/queries.ts'
import type { Outcome } from './store/store.ts'
import { Writer } from './writer.ts'

/** Where Jetstream was, as the database keeps it. */
const STATE = { cursor: 'jetstream', since: 'jetstream since' }
/** Polls in each list of the home page. */
const LISTED = 10
/** For how long the lists are good enough, in ms. */
const LISTS_AGE = 2_000
/** Polls that are older than this, in ms, are not among the busiest. */
const BUSY_FOR = 7 * 24 * 3_600_000
/** Stopping takes no longer than this, whatever clients, taps and databases do, in ms. */
export const STOPPING = 4_500

/** `done` as `startServer` says. */
type Server = { port: number; done: Promise<void> }

type Parts = { config: Config; log: Log; signal: AbortSignal }

/**
 * Starts everything. It is stopped by the signal: no more events are taken, what was taken is committed and acked,
 * the sockets are closed; then `done` resolves. It rejects when the server can't go on and has to be started anew.
 *
 * @throws Error naming the variable that is wrong; AbortError where it is stopped before it could open its database
 */
export async function startServer(config: Config, log: Log, signal: AbortSignal): Promise<Server> {
  const writer = await Writer.open({ url: config.databaseUrl, authToken: config.databaseAuthToken })
  try {
    signal.throwIfAborted()
    return await startParts(writer, { config, log, signal })
  } catch (error) {
    // A thread that has a database open must not be ended by the end of the process.
    await Promise.race([writer.close(), writer.died])
    if (signal.aborted) log.info('stopped')
    throw error
  }
}

async function startParts(writer: Writer, { config, log, signal }: Parts): Promise<Server> {
  const metrics = createMetrics()
  const { reader } = writer

  // ingest
  const tracking = new Tracking({ urls: config.tapUrls, adminPassword: config.tapAdminPassword, log, signal })
  const repos = createRepos({ ...config, signal })
  const report = (outcome: Outcome) => {
    if (outcome.outcome === 'unknown') {
      metrics.doubts.inc()
      log.warn('nobody knows whether a write was committed', { reason: outcome.reason })
      return
    }
    metrics.setAside.inc(outcome.setAside.length)
    for (const { uri, reason } of outcome.setAside) log.warn('an event was set aside', { uri, reason })
  }
  const store = async (changes: Change[]): Promise<Read<string[]>> => {
    const outcome = await writer.storeChanges(changes)
    report(outcome)
    return outcome.outcome === 'committed'
      ? { ok: true, value: [...outcome.applied.tallies.keys()] }
      : { ok: false, error: 'StoreFailure', message: 'the database does not answer: try again later' }
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
      remember: (account) => writer.remember('reconciled', account),
    },
    log,
    onHealed: (differences) => metrics.reconciled.inc(differences),
  })
  const announced = new AnnouncedRecords({
    repos,
    store,
    track: (dids) => tracking.track(dids),
    votesOf: (poll, limit) => voteRecordsOf(reader, poll, limit),
  })
  // Whom tap does not find by itself; without a tap nobody is tracked, and every vote is read.
  const hasTap = config.tapUrls.length > 0
  const tracked = async (dids: string[]) => (hasTap ? trackedAmong(reader, dids) : new Set<string>())
  const hints = new Hints({
    tracked,
    hostOf: (did, budget) => repos.hostOf({ did, budget }),
    read: (uri, budget) => announced.prove(uri, budget),
    store: (change) => announced.store(change),
    onRead: (outcome) => metrics.hints.inc({ outcome }),
    log,
    signal,
  })
  const jetstream = new Jetstream({
    urls: config.jetstreamUrls,
    hints,
    cursor: await stateOf(reader, STATE.cursor),
    since: await stateOf(reader, STATE.since),
    remember: (name, time) => writer.remember(STATE[name], time),
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
            remember: (collection, time) => writer.remember(`walked ${collection}`, time),
          },
          onTold: (dids) => metrics.told.inc(dids),
          log,
          signal,
        })
  const coverage = new Coverage({
    jetstream,
    history,
    tapConnected: hasTap ? () => taps.some(({ connected }) => connected) : undefined,
    onChange: (changed) => hub.recheck((uri) => changed.has(familyOfPoll.get(parseAtUri(uri)!.collection)!)),
  })
  const names = new Names(repos, (handle) => didOfHandle(reader, handle).catch(() => undefined))

  // live
  const hidden = new Hidden((after) => hiddenAfter(reader, after))
  // Load the hidden list before serving.
  await hidden.refresh()
  const polls = new Polls(
    (uri) => findPoll(reader, uri),
    () => writer.failure !== undefined,
  )
  const questions = new Questions(
    (post, budget) => postText(repos, post, budget),
    (poll) => hub.recheck((uri) => uri === poll),
  )
  const lookup = new Lookup({
    polls,
    hidden,
    names,
    questions,
    read: (uri, budget) => announced.read(uri, budget),
    isIncomplete: ({ collection }) => coverage.isIncomplete(familyOfPoll.get(collection!)!),
  })
  const hub = new Hub((uri, budget) => lookup.find(uri, budget), log, signal)
  writer.listen({
    committed: (applied: Applied) => {
      polls.apply(applied)
      hub.apply(applied)
      tracking.track([...applied.unknownAuthors])
      reconciler.soon(applied.unknownAuthors)
    },
    doubt: () => {
      polls.doubt()
      hub.recheckAll()
    },
  })
  void hidden.follow((concerns) => hub.recheck(concerns), log, signal)
  const handlesBudget = unlimited('handles')
  const questionsBudget = unlimited('questions')
  const handles = new Handles((did) => repos.handleOf({ did, budget: handlesBudget }))
  const shown = (list: PollView[]) => list.filter(({ uri }) => !hidden.hides(uri))
  const lists = briefly(LISTS_AGE, async () => {
    // Fetch extra rows, because hidden polls are filtered out.
    const spare = Math.min(hidden.size, 100)
    const [newest, busiest] = await Promise.all([
      newestPolls(reader, LISTED + spare, undefined),
      busiestPolls(reader, LISTED + spare, (Date.now() - BUSY_FOR) * 1000),
    ])
    const named = (all: PollView[]) =>
      Promise.all(
        shown(all)
          .slice(0, LISTED)
          .map(async (poll) => handles.named(await lookup.told(poll, questionsBudget))),
      )
    const [first, second] = await Promise.all([named(newest.items), named(busiest)])
    return { newest: first, busiest: second }
  })

  // Now that there is somebody to tell of it, tap is listened to.
  const taps = config.tapUrls.map(
    (url) =>
      new TapConsumer({
        url,
        adminPassword: config.tapAdminPassword,
        store: async (messages) => {
          const measured = metrics.storeSeconds.startTimer()
          const { outcome, ids } = await writer.storeMessages(messages)
          measured()
          report(outcome)
          if (outcome.outcome === 'unknown') throw new Error(outcome.reason)
          metrics.events.inc(ids.length)
          // C5: what tap says of an account may be old.
          reconciler.soon(outcome.applied.statuses)
          return ids
        },
        onConnect: () =>
          void tracking.trackAll(url, (...page) => trackedAccounts(reader, home.vote, ...page)),
        log,
        signal,
      }),
  )

  coverage.follow(signal)
  // Nobody waits for these, so nobody else hears of an error: it must not end the server.
  const failed = (error: unknown) => log.error('voters are no longer named', { reason: reasonOf(error) })
  void jetstream.run().catch(failed)
  void history?.run().catch(failed)

  const readiness = (): Readiness => {
    const missing = taps.filter((tap) => !tap.connected).map((tap) => tap.url)
    const tap =
      taps.length === 0
        ? 'TAP_URL: names none'
        : missing.length === 0
          ? 'ok'
          : `TAP_URL: not connected: ${missing.join(', ')}`
    const database = writer.failure ?? 'ok'
    return { ready: tap === 'ok' && database === 'ok', database, tap }
  }
  metrics.gauges({
    watchers: () => hub.watchers,
    buffered: () => hub.buffered,
    queued: () => taps.reduce((sum, tap) => sum + tap.queued, 0),
    ready: () => readiness().ready,
    jetstream: () => jetstream.connected,
    hints: () => hints.size,
    hidden: () => hidden.size,
  })

  // http
  const http = await listen(
    {
      metrics: metrics.registry,
      frame: {
        publicUrl: config.publicUrl,
        network: { plc: config.plcUrl, handleResolver: config.handleResolverUrl ?? PUBLIC_HANDLE_RESOLVER },
        hosts: pollHosts(config.publicUrl),
      },
      lists,
      named: (poll) => handles.named(poll),
      lookup,
      names,
      announced,
      hub,
      limits: createLimits(config.readsPerMinute, config.clientAddressHeader, () => metrics.refused.inc()),
      hidesAccount: (did) => hidden.hidesAccount(did),
      newestPolls: async (limit, cursor, budget) => {
        const { items, cursor: next } = await newestPolls(reader, limit, cursor)
        const told = shown(items).map((poll) => lookup.told(poll, budget))
        return { items: shown(await Promise.all(told)), cursor: next }
      },
      busiestPolls: async (limit) => shown((await lists()).busiest).slice(0, limit),
      votesOf: (...args) => votesOf(reader, ...args),
      readiness,
      onAnswer: (status, seconds) =>
        metrics.answers.observe({ status: `${Math.floor(status / 100)}xx` }, seconds),
      log,
      signal,
    },
    config.port,
    config.host,
  )
  if (config.reconcilePause > 0) void reconciler.run(config.reconcilePause, signal)
  log.info('listening', { port: http.port, publicUrl: config.publicUrl, taps: config.tapUrls })

  const stop = async (): Promise<'stopped'> => {
    writer.stopSoon()
    const closed = http.close()
    await Promise.all(taps.map((tap) => tap.done))
    await closed
    await writer.close()
    return 'stopped'
  }
  const done = new Promise<void>((resolve, reject) => {
    void writer.died.then(reject)
    const end = async () => {
      const ended = await Promise.race([stop(), setTimeout(STOPPING, undefined, { ref: false })])
      if (ended === 'stopped') log.info('stopped')
      else log.warn('stopped without waiting further: what is not acked comes again')
      resolve()
    }
    // It may have been aborted while the server started.
    if (signal.aborted) void end()
    else signal.addEventListener('abort', end)
  })
  return { port: http.port, done }
}
