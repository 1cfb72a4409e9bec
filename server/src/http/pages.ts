/** What people see of the server: polls, frames with polls for other sites, lists of polls, and why there is none. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { serveStatic } from '@hono/node-server/serve-static'
import { formatAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll, home } from '@pollz/shared/families'
import { isLoopback, parsePollLink } from '@pollz/shared/links'
import { profileUrl } from '@pollz/shared/network'
import type { PollHistory, PollView } from '@pollz/shared/wire'
import { site } from '@pollz/site/built'
import type { Frame, ProblemName } from '@pollz/site/types'
import { Hono, type Context } from 'hono'
import { accepts } from 'hono/accepts'
import { cors } from 'hono/cors'
import type { Budget } from '../ingest/budget.ts'
import { isDid } from '../ingest/events.ts'
import type { Names } from '../ingest/names.ts'
import type { Found, Lookup } from '../live/lookup.ts'
import { PATIENCE } from '../live/questions.ts'
import { Pages, shared, timeOf, unlessKnown } from './answers.ts'
import { failure, jsonOf, notFound, statusOf } from './api.ts'
import { THEMES, type Cards } from './cards.ts'
import type { Limits } from './limits.ts'
import { openApi } from './openapi.ts'

export type PageSources = {
  lookup: Lookup
  limits: Limits
  frame: Omit<Frame, 'language'>
  lists: () => Promise<{ newest: PollView[]; busiest: PollView[] }>
  names: Names
  /** An account's polls, the newest first. */
  pollsOf: (did: string) => Promise<PollView[]>
  /** undefined: nothing counts */
  history: (poll: string) => Promise<PollHistory | undefined>
  /** with its author's handle, as far as that is known */
  named: (poll: PollView) => Promise<PollView>
}

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string
}

const assets = join(import.meta.dirname, '../../../site/.output/assets')

/** Polls of our own family have a short address; every family's name their collection. */
const ADDRESSES = [
  ':repo/:rkey',
  `:repo/:collection{(?:${[...familyOfPoll.keys()].map((nsid) => nsid.replaceAll('.', '\\.')).join('|')})}/:rkey`,
]

/** oEmbed `cache_age`, in seconds. */
const EMBED_AGE = 3600
/** Link cards are made once and shown for long. */
const CARD_AGE = 60

const wantsJson = (c: Context) => c.req.header('Accept')?.includes('application/json') ?? false
/** A browser, or whoever reads pages: programs are answered in JSON. */
export const wantsHtml = (c: Context) => c.req.header('Accept')?.includes('text/html') ?? false

function languageOf(c: Context): string {
  return accepts(c, {
    header: 'Accept-Language',
    supports: [...site.languages],
    default: 'en',
    match: (wanted, { supports, default: fallback }) =>
      wanted
        .toSorted((a, b) => b.q - a.q)
        .map(({ type }) => type.split('-')[0]!.toLowerCase())
        .find((language) => supports.includes(language)) ?? fallback,
  })
}

/** Answers with a page of the site. */
export function createAnswer(frame: PageSources['frame']) {
  const { protocol, host, hostname } = new URL(frame.publicUrl)
  const live = `${protocol === 'https:' ? 'wss' : 'ws'}://${host}`
  // A page talks to the PDSes of whoever signs in, which can be anywhere.
  const pds = isLoopback(hostname) ? 'https: http:' : 'https:'
  const policy = (framable: boolean) =>
    [
      "default-src 'none'",
      "script-src 'self'",
      `style-src 'self' ${site.styleSource}`,
      // The bars' widths.
      "style-src-attr 'unsafe-inline'",
      // Faces, which the page draws itself.
      "img-src 'self' data:",
      `connect-src 'self' ${live} ${pds}`,
      "base-uri 'none'",
      "form-action 'none'",
      `frame-ancestors ${framable ? '*' : "'none'"}`,
    ].join('; ')
  const [framed, alone] = [policy(true), policy(false)]

  const pages = new Pages()
  /** @param key says what the page is made from, beside its language; undefined: it is made for this request alone */
  return (
    c: Context,
    make: (frame: Frame) => string,
    { status = 200, framable = false, key }: { status?: number; framable?: boolean; key?: string } = {},
  ) => {
    c.header('Content-Security-Policy', framable ? framed : alone)
    c.header('Referrer-Policy', 'no-referrer')
    c.header('Vary', 'Accept, Accept-Language', { append: true })
    const language = languageOf(c)
    if (key !== undefined) return pages.answer(c, `${language} ${key}`, () => make({ ...frame, language }))
    c.header('Cache-Control', 'no-cache')
    return c.html(make({ ...frame, language }), status as 200)
  }
}

/** Days of votes that are shown. */
const DAYS = 30

/** How many votes came on each day (UTC) of those on which some did: as exact as the steps of a history are. */
function votesByDay(history: PollHistory | undefined): Map<string, number> {
  const days = new Map<string, number>()
  const { from = 0, step = 1, counts = [] } = history ?? {}
  let before = 0
  for (const [i, row] of counts.entries()) {
    const total = row.reduce((sum, n) => sum + n, 0)
    const day = new Date(from + (i + 1) * step - 1).toISOString().slice(0, 10)
    if (total > before) days.set(day, (days.get(day) ?? 0) + total - before)
    before = total
  }
  return days
}

function problemOf({ error, deleted }: Found & { ok: false }, repo: string): ProblemName {
  switch (error) {
    case 'PollNotFound':
      return deleted ? 'deleted' : 'poll'
    case 'RepoNotFound':
      return isDid(repo) ? 'repo' : 'handle'
    case 'RepoInactive':
      return 'inactive'
    case 'Hidden':
      return 'hidden'
    case 'RateLimited':
      return 'limited'
    case 'UpstreamFailure':
    case 'InvalidProof':
    case 'Busy':
      return 'upstream'
    case 'InvalidRequest':
      return 'invalid'
    case 'StoreFailure':
    case 'InternalServerError':
      return 'failed'
    default:
      return error satisfies never
  }
}

export function createPages(
  { lookup, limits, frame, lists, names, pollsOf, history, named }: PageSources,
  answer: ReturnType<typeof createAnswer>,
  cards: Cards,
): Hono {
  const pages = new Hono()
  const { host } = new URL(frame.publicUrl)
  const ofServer = { [host]: frame.hosts[host] ?? home.poll }

  const findNamed = async (uri: string, budget: Budget): Promise<Found> => {
    const found = await lookup.find(uri, budget, PATIENCE)
    return found.ok ? { ...found, poll: await named(found.poll) } : found
  }
  const find = (c: Context) => {
    const {
      repo,
      collection = home.poll,
      rkey,
    } = c.req.param() as {
      repo: string
      collection?: string
      rkey: string
    }
    return findNamed(formatAtUri({ repo, collection, rkey }), limits.budget(c))
  }

  pages.use('/assets/*', async (c, next) => {
    await next()
    // Their names change with what is in them.
    if (c.res.ok) c.header('Cache-Control', 'public, max-age=31536000, immutable')
  })
  pages.use(
    '/assets/*',
    serveStatic({
      root: assets,
      precompressed: true,
      rewriteRequestPath: (path) => path.replace(/^\/assets/, ''),
    }),
  )

  pages.get('/', async (c) => {
    const all = await lists()
    const times = Object.values(all).flatMap((list) => list.map(({ endsAt }) => timeOf(endsAt, Date.now())))
    return answer(c, (it) => site.home(it, all), { key: JSON.stringify([all, times]) })
  })

  const described = openApi(frame.publicUrl, version)
  pages.get('/openapi.json', cors(), (c) => shared(c, JSON.stringify(described)))
  pages.get('/api', (c) =>
    wantsHtml(c)
      ? answer(c, (it) => site.api(it, described), { key: 'api' })
      : shared(c, JSON.stringify(described)),
  )

  /** A poll, or why there is none. */
  const pollPage = (kind: 'poll' | 'embed') => async (c: Context) => {
    const found = await find(c)
    if (wantsJson(c)) {
      c.header('Vary', 'Accept')
      return found.ok ? shared(c, jsonOf(found.poll)) : notFound(c, found)
    }
    const framable = kind === 'embed'
    if (found.ok) {
      const { poll } = found
      // What is drawn of it may be some seconds old, and its script brings it up to date.
      const past = kind === 'poll' && poll.total > 0 ? await history(poll.uri) : undefined
      const key = `${kind} ${timeOf(poll.endsAt, Date.now())} ${jsonOf(poll)} ${JSON.stringify(past)}`
      return answer(c, (it) => (kind === 'poll' ? site.poll(it, poll, past) : site.embed(it, poll)), {
        framable,
        key,
      })
    }
    const { repo } = c.req.param() as { repo: string }
    const name = problemOf(found, repo)
    return answer(c, (it) => site.problem(it, name, repo), { status: statusOf(c, found), framable })
  }
  const picture = async (c: Context) => {
    const found = await find(c)
    if (!found.ok) return notFound(c, found)
    const { theme = 'light', lang } = c.req.query()
    const known = THEMES.find((it) => it === theme)
    if (known === undefined)
      return failure(c, 400, 'InvalidRequest', `theme: expected ${THEMES.join(' or ')}, got "${theme}"`)
    if (lang !== undefined && !site.languages.includes(lang))
      return failure(c, 400, 'InvalidRequest', `lang: expected ${site.languages.join(', ')}, got "${lang}"`)
    // Whoever makes link cards asks for no language, and gets the same for all.
    const language = lang ?? 'en'
    const style = {
      theme: known,
      language,
      ...(language === 'en' ? {} : { facts: site.facts(language, found.poll) }),
    }
    const card = await cards.of(found.poll, limits.budget(c), style)
    if (!card) return failure(c, 503, 'Busy', 'too many pictures are being drawn: try again later')
    return unlessKnown(c, card.tag, CARD_AGE) ?? c.body(card.png, 200, { 'content-type': 'image/png' })
  }
  for (const path of ADDRESSES) {
    pages.get(`/poll/${path}`, pollPage('poll'))
    pages.get(`/embed/${path}`, pollPage('embed'))
    pages.get(`/poll/${path}/card.png`, picture)
  }

  pages.get('/by/:repo', async (c) => {
    const repo = c.req.param('repo')
    const uri = formatAtUri({ repo, collection: home.poll, rkey: 'any' })
    const found = await names.canonical(uri, familyOfPoll, limits.budget(c))
    if (!found.ok) {
      const { error } = found
      const name = problemOf({ ok: false, uri: undefined, error, message: '' }, repo)
      return answer(c, (it) => site.problem(it, name, repo), { status: statusOf(c, found) })
    }
    const all = await pollsOf(found.repo)
    const days = new Map<string, number>()
    for (const poll of all) {
      const past = poll.total > 0 ? await history(poll.uri) : undefined
      for (const [day, votes] of votesByDay(past)) days.set(day, (days.get(day) ?? 0) + votes)
    }
    const about = { did: found.repo, polls: all, days: [...days].toSorted().slice(-DAYS) }
    const times = all.map(({ endsAt }) => timeOf(endsAt, Date.now()))
    return answer(c, (it) => site.author(it, about), { key: `by ${JSON.stringify([about, times])}` })
  })

  // https://oembed.com
  pages.get('/oembed', cors(), async (c) => {
    const { url, format, maxwidth, maxheight } = c.req.query()
    if (format !== undefined && format !== 'json')
      return failure(c, 501, 'InvalidRequest', `format: expected json, got "${format}"`)
    const uri = parsePollLink(url ?? '', ofServer)
    if (uri === undefined)
      return failure(c, 404, 'PollNotFound', `url: expected ${frame.publicUrl}/poll/REPO/RKEY`)
    for (const [name, value] of Object.entries({ maxwidth, maxheight }))
      if (value !== undefined && !/^[1-9]\d{0,4}$/.test(value))
        return failure(c, 400, 'InvalidRequest', `${name}: expected pixels, got "${value}"`)
    const found = await findNamed(uri, limits.budget(c))
    if (!found.ok) return notFound(c, found)
    const { poll } = found
    const code = site.embedCode(
      { ...frame, language: languageOf(c) },
      poll,
      Number(maxwidth ?? Infinity),
      Number(maxheight ?? Infinity),
    )
    return c.json({
      version: '1.0',
      type: 'rich',
      title: poll.text,
      author_name: poll.handle ?? poll.repo,
      author_url: profileUrl(poll.handle ?? poll.repo),
      provider_name: 'pollz',
      provider_url: frame.publicUrl,
      cache_age: EMBED_AGE,
      ...code,
    })
  })
  return pages
}
