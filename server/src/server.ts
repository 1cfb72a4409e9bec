/** The parts, joined in the order of the flow: tap, ingest, store, live, http. */
import { pollHosts } from '@pollz/shared/families'
import { PUBLIC_HANDLE_RESOLVER } from '@pollz/shared/network'
import type { PollView } from '@pollz/shared/wire'
import type { Config } from './config.ts'
import { createLimits } from './http/limits.ts'
import { listen, type Readiness } from './http/server.ts'
import type { Change } from './ingest/events.ts'
import { createRepos } from './ingest/repos.ts'
import { TapConsumer } from './ingest/tap.ts'
import { Handles } from './live/handles.ts'
import { Hidden } from './live/hidden.ts'
import { Hub } from './live/hub.ts'
import { Lookup } from './live/lookup.ts'
import { Polls } from './live/polls.ts'
import { briefly } from './briefly.ts'
import { reasonOf, type Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { hiddenAfter } from './store/hidden.ts'
import { busiestPolls, findPoll, newestPolls, pollAuthors, voteRecordsOf, votesOf } from './store/queries.ts'
import { reconcileForever } from './store/reconcile.ts'
import { Store, type Stored } from './store/store.ts'

/** How often the database is written to, so that `/ready` means it, in ms. */
const PROBE_EVERY = 5_000
/** Polls in each list of the home page. */
const LISTED = 10
/** For how long the lists are good enough, in ms. */
const LISTS_AGE = 2_000
/** Polls that are older than this, in ms, are not among the busiest. */
const BUSY_FOR = 7 * 24 * 3_600_000

/** DIDs in one request to tap. */
const TRACK_AT_ONCE = 500

/**
 * Starts everything. It is stopped by the signal: no more events are taken, what was taken is committed and acked,
 * the sockets are closed; then `done` resolves. It rejects when the server can't go on and has to be started anew.
 *
 * @throws Error naming the variable that is wrong
 */
export async function startServer(
  config: Config,
  log: Log,
  signal: AbortSignal,
): Promise<{ port: number; done: Promise<void> }> {
  const store = await Store.open(
    { url: config.databaseUrl, authToken: config.databaseAuthToken },
    (applied) => {
      polls.apply(applied)
      hub.apply(applied)
    },
  )
  const polls = new Polls((uri) => findPoll(store.reader, uri))

  // At the next connection all authors are told again.
  const notTracked = (url: string) => (error: unknown) =>
    log.warn('tap could not be told whom to track', { url, reason: reasonOf(error) })
  const track = (dids: string[]) => {
    for (const tap of taps) tap.track(dids).catch(notTracked(tap.url))
  }
  const trackAuthors = async (tap: TapConsumer) => {
    for (let after = 0; ;) {
      const { dids, last } = await pollAuthors(store.reader, after, TRACK_AT_ONCE)
      if (dids.length === 0) return
      await tap.track(dids)
      after = last
    }
  }
  const reportSetAside = ({ setAside }: Stored) => {
    metrics.setAside.inc(setAside.length)
    for (const { uri, reason } of setAside) log.warn('an event was set aside', { uri, reason })
  }

  const repos = createRepos(config)
  const storeChanges = async (changes: Change[]) => (await store.storeChanges(changes)).applied
  const hidden = new Hidden(
    (after) => hiddenAfter(store.reader, after),
    (concerns) => hub.recheck(concerns),
  )
  const lookup = new Lookup(polls, repos, hidden, storeChanges, track, (poll, limit) =>
    voteRecordsOf(store.reader, poll, limit),
  )
  const hub = new Hub(async (uri, budget) => {
    try {
      return await lookup.find(uri, budget)
    } catch (error) {
      log.error('a poll could not be looked up', { uri, reason: reasonOf(error) })
      const message = 'something went wrong here; it has been logged'
      return { ok: false, uri: undefined, error: 'InternalServerError', message }
    }
  }, signal)

  const taps = config.tapUrls.map((url) => {
    const tap: TapConsumer = new TapConsumer({
      url,
      adminPassword: config.tapAdminPassword,
      store: async (messages) => {
        const measured = metrics.storeSeconds.startTimer()
        const stored = await store.storeMessages(messages)
        measured()
        metrics.events.inc(stored.ids.length)
        reportSetAside(stored)
        if (stored.applied.unknownAuthors.size > 0) track([...stored.applied.unknownAuthors])
        return stored.ids
      },
      onConnect: () => void trackAuthors(tap).catch(notTracked(url)),
      log,
      signal,
    })
    return tap
  })

  const readiness = (): Readiness => {
    const missing = taps.filter((tap) => !tap.connected).map((tap) => tap.url)
    const tap =
      taps.length === 0
        ? 'TAP_URL: names none'
        : missing.length === 0
          ? 'ok'
          : `TAP_URL: not connected: ${missing.join(', ')}`
    const database = store.failure ?? 'ok'
    return { ready: tap === 'ok' && database === 'ok', database, tap }
  }

  // A disk that is full or a database that is away is known before the next vote comes.
  const probing = setInterval(() => void store.probe(), PROBE_EVERY)
  signal.addEventListener('abort', () => clearInterval(probing))

  const metrics = createMetrics({
    watchers: () => hub.watchers,
    queued: () => taps.reduce((sum, tap) => sum + tap.queued, 0),
    ready: () => readiness().ready,
    hidden: () => hidden.size,
  })

  const handles = new Handles((did) => repos.handleOf(did))
  const shown = (list: PollView[]) => list.filter(({ uri }) => !hidden.hides(uri))
  const lists = briefly(LISTS_AGE, async () => {
    // So many may be left out.
    const spare = Math.min(hidden.size, 100)
    const [newest, busiest] = await Promise.all([
      newestPolls(store.reader, LISTED + spare, undefined),
      busiestPolls(store.reader, LISTED + spare, (Date.now() - BUSY_FOR) * 1000),
    ])
    const named = (all: PollView[]) =>
      Promise.all(
        shown(all)
          .slice(0, LISTED)
          .map((poll) => handles.named(poll)),
      )
    const [first, second] = await Promise.all([named(newest.items), named(busiest)])
    return { newest: first, busiest: second }
  })

  // Nothing is shown for a moment that is hidden.
  await hidden.refresh()
  void hidden.follow(log, signal)

  const { server, port } = await listen(
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
      hub,
      limits: createLimits(config.readsPerMinute, config.clientAddressHeader, () => metrics.refused.inc()),
      hidesAccount: (did) => hidden.hidesAccount(did),
      newestPolls: async (...args) => {
        const page = await newestPolls(store.reader, ...args)
        return { ...page, items: shown(page.items) }
      },
      busiestPolls: async (limit) => shown((await lists()).busiest).slice(0, limit),
      votesOf: (...args) => votesOf(store.reader, ...args),
      readiness,
      onAnswer: (status, seconds) =>
        metrics.answers.observe({ status: `${Math.floor(status / 100)}xx` }, seconds),
      log,
    },
    config.port,
    config.host,
  )
  if (config.reconcilePause > 0)
    void reconcileForever(
      { client: store.reader, repos, store: storeChanges },
      config.reconcilePause,
      (records) => metrics.reconciled.inc(records),
      log,
      signal,
    )
  log.info('listening', { port, publicUrl: config.publicUrl, taps: config.tapUrls })

  const done = new Promise<void>((resolve, reject) => {
    void store.died.then(reject)
    signal.addEventListener('abort', async () => {
      const closed = new Promise<void>((end) => server.close(() => end()))
      await Promise.all(taps.map((tap) => tap.done))
      server.closeAllConnections()
      await closed
      await store.close()
      resolve()
    })
  })
  return { port, done }
}
