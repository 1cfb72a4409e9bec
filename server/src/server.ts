/** The parts, joined in the order of the flow: tap, ingest, store, live, http. */
import { setTimeout } from 'node:timers/promises'
import { parseAtUri } from '@pollz/shared/at-uri'
import { pollHosts } from '@pollz/shared/families'
import { PUBLIC_HANDLE_RESOLVER } from '@pollz/shared/network'
import type { PollView } from '@pollz/shared/wire'
import { briefly, brieflyOf } from './briefly.ts'
import type { Config } from './config.ts'
import { createLimits } from './http/limits.ts'
import { listen, type Readiness } from './http/server.ts'
import { AnnouncedRecords, type Read } from './ingest/announced.ts'
import { unlimited } from './ingest/budget.ts'
import type { Change } from './ingest/events.ts'
import { Names } from './ingest/names.ts'
import { postText } from './ingest/posts.ts'
import { createRepos } from './ingest/repos.ts'
import { Ingester } from './ingester.ts'
import { Busiest } from './live/busiest.ts'
import { Feed } from './live/feed.ts'
import { Handles } from './live/handles.ts'
import { Hidden } from './live/hidden.ts'
import { Hub } from './live/hub.ts'
import { Lookup } from './live/lookup.ts'
import { Polls } from './live/polls.ts'
import { Questions } from './live/questions.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { filePath, nameOf } from './store/database.ts'
import { hiddenAfter } from './store/hidden.ts'
import {
  busiestPolls,
  didOfHandle,
  findPoll,
  historyOf,
  pollsBy,
  newestPolls,
  countedRecords,
  subjectOf,
  voteRecordsOf,
  votesOf,
} from './store/queries.ts'
import type { Outcome } from './store/store.ts'
import { Writer } from './writer.ts'

/** Polls in each list of the home page. */
const LISTED = 10
/** For how long the lists are good enough, in ms. */
const LISTS_AGE = 2_000
/** For how long, in ms, a poll's history is not read again: it looks at all of its votes. How many are kept. */
const HISTORY_AGE = 10_000
const HISTORIES = 1_000
/** Pages of a list that are kept for so long. */
const LISTS_KEPT = 200
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
  const writer = await Writer.open(
    { url: config.databaseUrl, authToken: config.databaseAuthToken },
    config.role,
    (message) => log.warn(message),
  )
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
  const repos = createRepos({ ...config, signal })
  const report = (outcome: Outcome) => {
    if (outcome.outcome === 'unknown' && outcome.fencedOff) {
      log.info('nothing was stored, for another process ingests now')
      return
    }
    if (outcome.outcome === 'unknown') {
      metrics.doubts.inc()
      log.warn('nobody knows whether a write was committed', { reason: outcome.reason })
      return
    }
    metrics.setAside.inc(outcome.setAside.length)
    for (const { uri, reason } of outcome.setAside) log.warn('an event was set aside', { uri, reason })
  }
  const rivalry = Promise.withResolvers<never>()
  // Told to whoever waits for the server to end.
  rivalry.promise.catch(() => {})
  const ingester =
    config.role === 'serve'
      ? undefined
      : new Ingester({
          config,
          writer,
          repos,
          report,
          onRival: (holder) => {
            // On a server the other one is what this one stands by for.
            if (filePath(config.databaseUrl) === undefined) return
            const reason = `${nameOf(config.databaseUrl)} is ingested into by another process (${holder})`
            rivalry.reject(
              new Error(
                `DATABASE_URL: ${reason}: stop one of them; several need a libSQL server (docs/hosting.md)`,
              ),
            )
          },
          metrics,
          log,
          signal,
        })
  const track = (dids: string[]) => {
    if (dids.length > 0 && !ingester?.track(dids)) void writer.do({ toTrack: dids })
  }
  const announced = new AnnouncedRecords({
    repos,
    store: async (changes: Change[]): Promise<Read<undefined>> => {
      const outcome = await writer.storeChanges(changes)
      report(outcome)
      if (outcome.outcome === 'unknown') return storeFailure('the database does not answer: try again later')
      // A replica has it a moment later than the primary.
      return (await feed.reached(outcome.applied.version))
        ? { ok: true, value: undefined }
        : storeFailure('it is stored, but can’t be read here yet: try again later')
    },
    track,
    subjectOf: (vote) => subjectOf(reader, vote),
    votesOf: (poll, limit) => voteRecordsOf(reader, poll, limit),
  })
  const names = new Names(repos, (handle) => didOfHandle(reader, handle).catch(() => undefined))

  // live
  const hidden = new Hidden((after) => hiddenAfter(reader, after))
  // Load the hidden list before serving.
  await hidden.refresh()
  const polls = new Polls((uri) => findPoll(reader, uri))
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
    isIncomplete: (collection) => feed.isIncomplete(collection),
    staleSince: () => feed.staleSince,
  })
  const hub = new Hub((uri, budget) => lookup.find(uri, budget), log, signal)
  const busiest = new Busiest({
    scan: (...args) => writer.scanBusiest(...args),
    read: (limit, since, uris) => busiestPolls(reader, limit, since, uris),
  })
  const feed = new Feed({
    read: (after) => writer.news(after),
    onNews: (news) => {
      polls.apply(news)
      busiest.apply(news)
      hub.apply(news)
    },
    onReplaced: (version) => {
      polls.forget(version)
      busiest.forget()
      hub.recheckAll()
    },
    onState: (collections) =>
      hub.recheck((uri) => collections?.has(parseAtUri(uri)?.collection ?? '') ?? true),
    log,
  })
  writer.listen({
    committed: (applied) => {
      feed.hurry()
      if (!ingester?.committed(applied)) track([...applied.unknownAuthors])
    },
    beaten: (lease) => ingester?.beaten(lease),
  })
  feed.follow(signal)
  void writer.beat()
  void hidden.follow((concerns) => hub.recheck(concerns), log, signal)
  const handlesBudget = unlimited('handles')
  const questionsBudget = unlimited('questions')
  const handles = new Handles((did) => repos.handleOf({ did, budget: handlesBudget }))
  const shown = (list: PollView[]) => list.filter(({ uri }) => !hidden.hides(uri))
  const lists = briefly(LISTS_AGE, async () => {
    // Fetch extra rows, because hidden polls are filtered out.
    const spare = Math.min(hidden.size, 100)
    const [newestPage, most] = await Promise.all([
      newestPolls(reader, LISTED + spare, undefined),
      busiest.list(LISTED + spare, (Date.now() - BUSY_FOR) * 1000),
    ])
    const named = (all: PollView[]) =>
      Promise.all(
        shown(all)
          .slice(0, LISTED)
          .map(async (poll) => handles.named(await lookup.told(poll, questionsBudget))),
      )
    const [first, second] = await Promise.all([named(newestPage.items), named(most)])
    return { newest: first, busiest: second }
  })

  const readiness = (): Readiness => {
    const stale = feed.staleSince
    const database =
      writer.failure ??
      (stale === undefined ? 'ok' : `what was committed after ${new Date(stale).toISOString()} can’t be read`)
    const tap = ingester?.state ?? 'ok'
    return { ready: tap === 'ok' && database === 'ok', role: config.role, database, tap }
  }
  metrics.gauges({
    watchers: () => hub.watchers,
    buffered: () => hub.buffered,
    queued: () => ingester?.queued ?? 0,
    ready: () => readiness().ready,
    jetstream: () => ingester?.jetstreamConnected ?? false,
    hints: () => ingester?.hints ?? 0,
    hidden: () => hidden.size,
  })

  const newest = brieflyOf(LISTS_AGE, LISTS_KEPT, (key) => {
    const [limit, cursor] = key.split(' ') as [string, string]
    return newestPolls(reader, Number(limit), cursor === '' ? undefined : cursor)
  })

  const pollsOf = async (did: string) => {
    const all = shown(await pollsBy(reader, did, LISTED))
    return Promise.all(all.map(async (poll) => handles.named(await lookup.told(poll, questionsBudget))))
  }
  const history = brieflyOf(HISTORY_AGE, HISTORIES, (uri) => historyOf(reader, uri))

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
        const { items, cursor: next } = await newest(`${limit} ${cursor ?? ''}`)
        const told = shown(items).map((poll) => lookup.told(poll, budget))
        return { items: shown(await Promise.all(told)), cursor: next }
      },
      busiestPolls: async (limit) => shown((await lists()).busiest).slice(0, limit),
      votesOf: (...args) => votesOf(reader, ...args),
      history,
      pollsOf,
      pollNow: (uri) => findPoll(reader, uri),
      countedRecords: (...args) => countedRecords(reader, ...args),
      serves: config.role !== 'ingest',
      readiness,
      onAnswer: (status, seconds) =>
        metrics.answers.observe({ status: `${Math.floor(status / 100)}xx` }, seconds),
      log,
      signal,
    },
    config.port,
    config.host,
  )
  log.info('listening', {
    port: http.port,
    role: config.role,
    publicUrl: config.publicUrl,
    taps: config.tapUrls,
  })

  const stop = async (): Promise<'stopped'> => {
    writer.stopSoon()
    const closed = http.close()
    await ingester?.ended()
    await closed
    await writer.close()
    return 'stopped'
  }
  const done = new Promise<void>((resolve, reject) => {
    void writer.died.then(reject)
    rivalry.promise.catch(reject)
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

const storeFailure = (message: string) => ({ ok: false, error: 'StoreFailure', message }) as const
