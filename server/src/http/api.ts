/** The read API, a superset of pollz's, and the two announcements (design section 5). */
import { MAX_URIS, type ApiError, type PollView } from '@pollz/shared/wire'
import { Hono, type Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { LRUCache } from 'lru-cache'
import { familyOfPoll, familyOfVote } from '@pollz/shared/families'
import type { AnnouncedRecords, Read } from '../ingest/announced.ts'
import type { Budget } from '../ingest/budget.ts'
import { isDid } from '../ingest/events.ts'
import type { Named, Names } from '../ingest/names.ts'
import type { Found, Lookup, LookupError } from '../live/lookup.ts'
import { PATIENCE } from '../live/questions.ts'
import { shared, tagOf } from './answers.ts'
import type { Limits } from './limits.ts'
import type { Page } from '../store/queries.ts'
import type { ListedPoll, PollHistory, VoteView } from '@pollz/shared/wire'

export type ApiSources = {
  lookup: Lookup
  names: Names
  announced: AnnouncedRecords
  limits: Limits
  /** Whether the operator does not show an account. */
  hidesAccount: (did: string) => boolean
  /** `budget`: for what their questions are read from */
  newestPolls: (limit: number, cursor: string | undefined, budget: Budget) => Promise<Page<PollView>>
  busiestPolls: (limit: number) => Promise<PollView[]>
  /** Undefined: nothing counts. */
  history: (poll: string) => Promise<PollHistory | undefined>
  votesOf: (
    poll: string,
    limit: number,
    cursor: string | undefined,
    voter: string | undefined,
  ) => Promise<Page<VoteView>>
}

const NO_HISTORY: PollHistory = { from: 0, step: 1, counts: [] }

export function failure(
  c: Context,
  status: 400 | 404 | 410 | 413 | 429 | 500 | 501 | 502 | 503,
  error: string,
  message: string,
) {
  c.header('Cache-Control', 'no-store')
  return c.json({ error, message } satisfies ApiError, status)
}

const STATUS = {
  InvalidRequest: 400,
  PollNotFound: 404,
  RepoNotFound: 404,
  RepoInactive: 410,
  Hidden: 410,
  RateLimited: 429,
  UpstreamFailure: 502,
  InvalidProof: 502,
  Busy: 503,
  StoreFailure: 503,
  InternalServerError: 500,
} as const satisfies Record<LookupError, number>

/** What concerns the poll and not whoever asked, nor this moment: others may be told the same. */
const FOR_ALL: ReadonlySet<LookupError> = new Set<LookupError>([
  'InvalidRequest',
  'PollNotFound',
  'RepoNotFound',
  'RepoInactive',
  'Hidden',
])

type Refused = (Found | Named | Read<unknown>) & { ok: false }

/** Of a poll that is not there, or a record that could not be read; says when to ask again, where that helps. */
export function statusOf(c: Context, { error }: Refused) {
  if (error === 'RateLimited') c.header('Retry-After', '60')
  return STATUS[error]
}

export function notFound(c: Context, refused: Refused) {
  return failure(c, statusOf(c, refused), refused.error, refused.message)
}

const texts = new WeakMap<PollView, string>()

/** A poll is asked for far more often than it changes, and a change is another object. */
export function jsonOf(poll: PollView): string {
  let text = texts.get(poll)
  if (text === undefined) texts.set(poll, (text = JSON.stringify(poll)))
  return text
}

/** An answer and what it was made from: true as long as these polls are what is kept of them. */
type Tallies = { uris: string[]; polls: PollView[]; json: string; tag: string }

/** Bytes of answers that are kept: of one screen thousands ask between two votes. */
const MAX_ANSWERED = 8 * 1024 * 1024

const isComplete = (polls: (PollView | undefined)[]): polls is PollView[] => !polls.includes(undefined)

/** @returns the limit, or a message that says what is wrong with it */
function limitOf(c: Context, fallback: number): number | string {
  const text = c.req.query('limit')
  if (text === undefined) return fallback
  const limit = Number(text)
  return Number.isInteger(limit) && limit >= 1 && limit <= 100
    ? limit
    : `limit: expected 1 to 100, got "${text}"`
}

function linkNext(c: Context, cursor: string | undefined): void {
  if (cursor === undefined) return
  const next = new URLSearchParams(new URL(c.req.url).search)
  next.set('cursor', cursor)
  c.header('Link', `<${c.req.path}?${next}>; rel="next"`)
}

export function createApi({
  lookup,
  names,
  announced,
  limits,
  hidesAccount,
  newestPolls,
  busiestPolls,
  history,
  votesOf,
}: ApiSources): Hono {
  const api = new Hono()
  const answered = new LRUCache<string, Tallies>({
    maxSize: MAX_ANSWERED,
    sizeCalculation: ({ uris, json }, url) => 1000 + 2 * (url.length + json.length) + 100 * uris.length,
  })

  // pollz's front end sends credentials, which forbids the answer "*". There are no cookies here to protect.
  const crossOrigin = cors({
    origin: (origin) => origin || '*',
    credentials: true,
    allowMethods: ['GET', 'POST'],
    exposeHeaders: ['Link'],
    maxAge: 86_400,
  })
  api.use(async (c, next) => {
    if (c.req.method !== 'GET') return crossOrigin(c, next)
    // The same: most requests are reads, and it would make each answer twice.
    const origin = c.req.header('Origin')
    c.header('Access-Control-Allow-Origin', origin ?? '*')
    c.header('Access-Control-Allow-Credentials', 'true')
    c.header('Access-Control-Expose-Headers', 'Link')
    if (origin !== undefined) c.header('Vary', 'Origin', { append: true })
    await next()
  })
  api.post(
    '*',
    bodyLimit({
      maxSize: 4096,
      onError: (c) => failure(c, 413, 'InvalidRequest', 'body: expected at most 4096 bytes'),
    }),
  )

  api.get('/polls', async (c) => {
    const limit = limitOf(c, 50)
    if (typeof limit === 'string') return failure(c, 400, 'InvalidRequest', limit)
    const { cursor, sort = 'newest' } = c.req.query()
    if (sort !== 'newest' && sort !== 'busiest')
      return failure(c, 400, 'InvalidRequest', `sort: expected newest or busiest, got "${sort}"`)
    if (cursor !== undefined && !/^-?\d{1,16}\.\d{1,16}$/.test(cursor))
      return failure(c, 400, 'InvalidRequest', `cursor: not one of this list: "${cursor}"`)
    const page =
      sort === 'busiest'
        ? { items: await busiestPolls(limit), cursor: undefined }
        : await newestPolls(limit, cursor, limits.budget(c))
    linkNext(c, page.cursor)
    return shared(
      c,
      JSON.stringify(
        page.items.map((poll): Partial<ListedPoll> => ({
          uri: poll.uri,
          repo: poll.repo,
          collection: poll.collection,
          rkey: poll.rkey,
          text: poll.text,
          options: poll.options.map((option) => option.text),
          createdAt: poll.createdAt,
          endsAt: poll.endsAt,
          multiple: poll.multiple,
          post: poll.post,
          voteCount: poll.total,
          voters: poll.voters,
          incomplete: poll.incomplete,
          handle: poll.handle,
        })),
      ),
    )
  })

  api.get('/polls/:uri', async (c) => {
    const uri = c.req.param('uri')
    const budget = limits.budget(c)
    if (c.req.query('verify') === 'true') {
      const named = await names.canonical(uri, familyOfPoll, budget)
      if (!named.ok) return notFound(c, named)
      const verified = await announced.verify(named.uri, budget)
      if (!verified.ok) return notFound(c, verified)
      const found = await lookup.find(named.uri, budget, PATIENCE)
      c.header('Cache-Control', 'no-store')
      return found.ok ? c.json({ ...found.poll, verified: verified.value }) : notFound(c, found)
    }
    const found = await lookup.find(uri, budget, PATIENCE)
    return found.ok ? shared(c, jsonOf(found.poll)) : notFound(c, found)
  })

  api.get('/polls/:uri/votes', async (c) => {
    const limit = limitOf(c, 100)
    if (typeof limit === 'string') return failure(c, 400, 'InvalidRequest', limit)
    const { cursor, voter } = c.req.query()
    if (cursor !== undefined && !/^\d{1,16}$/.test(cursor))
      return failure(c, 400, 'InvalidRequest', `cursor: not one of this list: "${cursor}"`)
    if (voter !== undefined && !isDid(voter))
      return failure(c, 400, 'InvalidRequest', `voter: expected a DID, got "${voter}"`)
    const found = await lookup.find(c.req.param('uri'), limits.budget(c))
    if (!found.ok) return notFound(c, found)
    const page = await votesOf(found.uri, limit, cursor, voter)
    linkNext(c, page.cursor)
    // Somebody's own vote is no news to them, and their client has to find it.
    return c.json(voter === undefined ? page.items.filter((vote) => !hidesAccount(vote.voter)) : page.items)
  })

  api.get('/polls/:uri/history', async (c) => {
    const found = await lookup.find(c.req.param('uri'), limits.budget(c))
    return found.ok ? shared(c, JSON.stringify((await history(found.uri)) ?? NO_HISTORY)) : notFound(c, found)
  })

  api.get('/tallies', async (c) => {
    const before = answered.get(c.req.url)
    if (before?.polls.every((poll, i) => lookup.kept(before.uris[i]!) === poll))
      return shared(c, before.json, before.tag)
    const uris = c.req.queries('uri') ?? []
    if (uris.length < 1 || uris.length > MAX_URIS)
      return failure(c, 400, 'InvalidRequest', `uri: expected 1 to ${MAX_URIS} of them, got ${uris.length}`)
    const polls = uris.map((uri) => lookup.kept(uri))
    // Most are; a promise for each of those would cost more than the rest of the answer.
    if (isComplete(polls)) {
      const json = `[${polls.map(jsonOf).join(',')}]`
      const tag = tagOf(json)
      answered.set(c.req.url, { uris, polls, json, tag })
      return shared(c, json, tag)
    }
    let isForAll = true
    const budget = limits.budget(c)
    const find = async (uri: string) => {
      const found = await lookup.find(uri, budget)
      if (!found.ok) isForAll &&= FOR_ALL.has(found.error)
      return found.ok
        ? jsonOf(found.poll)
        : JSON.stringify({ uri, error: found.error, message: found.message })
    }
    const json = await Promise.all(
      polls.map((poll, i) => (poll === undefined ? find(uris[i]!) : jsonOf(poll))),
    )
    const body = `[${json.join(',')}]`
    if (isForAll) return shared(c, body)
    c.header('Cache-Control', 'no-store')
    return c.body(body, 200, { 'content-type': 'application/json' })
  })

  /** "This record exists now, go and read it." The answer is the poll that it is, or is for. */
  const announce = (
    families: ReadonlyMap<string, unknown>,
    pollOf: (uri: string, budget: Budget) => Promise<Read<string | undefined>>,
  ) => {
    return async (c: Context) => {
      const body: unknown = await c.req.json().catch(() => undefined)
      const uri = typeof body === 'object' && body !== null && 'uri' in body ? body.uri : undefined
      if (typeof uri !== 'string')
        return failure(c, 400, 'InvalidRequest', 'uri: expected the at-uri of a record')
      const budget = limits.budget(c)
      const named = await names.canonical(uri, families, budget)
      if (!named.ok) return notFound(c, named)
      const poll = await pollOf(named.uri, budget)
      if (!poll.ok) return notFound(c, poll)
      if (poll.value === undefined) return failure(c, 404, 'PollNotFound', `${uri} names no poll`)
      const found = await lookup.find(poll.value, budget)
      return found.ok ? c.json(found.poll) : notFound(c, found)
    }
  }
  api.post(
    '/votes',
    announce(familyOfVote, async (uri, budget) => {
      const read = await announced.read(uri, budget)
      return read.ok ? { ok: true, value: read.value.subject } : read
    }),
  )
  api.post(
    '/polls',
    announce(familyOfPoll, async (uri, budget) => {
      const read = await announced.read(uri, budget)
      return read.ok ? { ok: true, value: uri } : read
    }),
  )

  return api
}
