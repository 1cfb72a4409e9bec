/** @jsxImportSource hono/jsx */
/** The pages, as the server answers them: readable as they are, taken over by their script where there is one. */
import { createHash } from 'node:crypto'
import de from '@pollz/widget/locales/de/messages.json'
import en from '@pollz/widget/locales/en/messages.json'
import es from '@pollz/widget/locales/es/messages.json'
import ja from '@pollz/widget/locales/ja/messages.json'
import pt from '@pollz/widget/locales/pt/messages.json'
import { pollLink, pollPath } from '@pollz/shared/links'
import { composeUrl, profileUrl } from '@pollz/shared/network'
import type { PollHistory, PollView } from '@pollz/shared/wire'
import type { Key, Texts } from '@pollz/widget/texts'
import { raw } from 'hono/html'
import type { Child } from 'hono/jsx'
import manifest from 'virtual:manifest'
import { CHROME_STORE, FIREFOX_STORE } from './links.ts'
import { css, drawnChart, drawnPoll } from './poll.tsx'
import { textsOf } from './texts.ts'
import type { Frame, PageState, ProblemName, Site } from './types.ts'

const locales: Record<string, Record<Key, { message: string }>> = { en, de, es, pt, ja }

/** How a poll's height in a frame follows from how many options it has, in px, as long as nothing takes two lines. */
const EMBED_BASE = 190
const EMBED_OPTION = 49
const EMBED_WIDTH = 550

/** The page's script says times in the reader's own zone. */
const textsFor = ({ language }: Frame) => textsOf(locales[language]!, language, 'UTC')
const linkOf = ({ hosts, publicUrl }: Frame, { uri }: PollView) => pollLink(uri, hosts, publicUrl)
const nameOf = ({ handle, repo }: PollView) => (handle === undefined ? repo : `@${handle}`)
const profileOf = ({ handle, repo }: PollView) => profileUrl(handle ?? repo)
/** A poll's own addresses here, whatever its family's links are. */
const pathOf = ({ hosts, publicUrl }: Frame, { uri }: PollView) => pollPath(uri, hosts, publicUrl)

type PageProps = {
  frame: Frame
  title: string
  description: string
  /** Entry of the script; undefined: the page has none. */
  script?: keyof typeof manifest
  polls?: PollView[]
  history?: PollHistory | undefined
  /** What only link cards and other programs read. */
  head?: Child
  bare?: boolean
  children: Child
}

function Page({
  frame,
  title,
  description,
  script,
  polls = [],
  history,
  head,
  bare = false,
  children,
}: PageProps) {
  const t = textsFor(frame).t
  const state: PageState = {
    ...frame,
    messages: locales[frame.language]!,
    polls: Object.fromEntries(polls.map((poll) => [poll.uri, poll])),
    ...(history ? { history } : {}),
  }
  return (
    <html lang={frame.language}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{title}</title>
        <meta name="description" content={description} />
        <meta property="og:type" content="website" />
        <meta property="og:site_name" content="pollz" />
        <meta property="og:title" content={title} />
        <meta property="og:description" content={description} />
        {head}
        <link rel="icon" type="image/svg+xml" href={manifest.icon} />
        <link rel="stylesheet" href={manifest.style} />
        {script && <script type="module" src={manifest[script]}></script>}
      </head>
      <body class={bare ? 'bare' : undefined}>
        {!bare && (
          <header>
            <a class="name" href="/">
              <img src={manifest.icon} alt="" width="28" height="28" />
              pollz
            </a>
            <div id="account" data-theme="auto"></div>
          </header>
        )}
        <main>{children}</main>
        {!bare && (
          <footer>
            <strong>{t('install')}</strong>
            <p>{t('installWhy')}</p>
            <p class="row">
              <a href={CHROME_STORE}>{t('forChrome')}</a>
              <a href={FIREFOX_STORE}>{t('forFirefox')}</a>
            </p>
          </footer>
        )}
        {script && (
          <script id="state" type="application/json">
            {raw(JSON.stringify(state).replaceAll('<', '\\u003c'))}
          </script>
        )}
      </body>
    </html>
  )
}

function Widget({ frame, poll, texts }: { frame: Frame; poll: PollView; texts: Texts }) {
  return (
    <div data-pollz={poll.uri} data-theme="auto">
      {raw(
        `<template shadowrootmode="open"><style>${css}</style>${drawnPoll(frame, poll, texts)}</template>`,
      )}
    </div>
  )
}

function Author({ poll, texts: { t, date }, link }: { poll: PollView; texts: Texts; link?: string }) {
  const [before, after] = t('madeBy', '\n').split('\n')
  const time = <time dateTime={poll.createdAt}>{date(poll.createdAt)}</time>
  return (
    <p class="author">
      {before}
      <a href={profileOf(poll)} rel="author">
        {nameOf(poll)}
      </a>
      {after} · {link === undefined ? time : <a href={link}>{time}</a>}
    </p>
  )
}

/** Once on a page, and not in each poll of it; its script takes it away after the first vote. */
function PublicVotes({ texts: { t } }: { texts: Texts }) {
  return (
    <p class="help" id="public-votes">
      {t('publicVotes')}
    </p>
  )
}

/** Of the page. The poll shows it too, out of sight of those who go from heading to heading. */
function Question({ poll }: { poll: PollView }) {
  return (
    <h1 class="unseen" dir="auto">
      {poll.text}
    </h1>
  )
}

/** Link cards keep it for long: of the end it says only what stays true. */
function summary({ options, total, voters, endsAt }: PollView, texts: Texts): string {
  const facts = [voters === undefined ? texts.votes(total) : texts.voters(voters)]
  if (endsAt !== undefined)
    facts.push(Date.parse(endsAt) > Date.now() ? texts.t('ends', texts.date(endsAt)) : texts.t('final'))
  return `${options.map(({ text }) => text).join(' · ')} (${facts.join(' · ')})`
}

const facts: Site['facts'] = (language, { total, voters, endsAt, handle }) => {
  const texts = textsOf(locales[language]!, language, 'UTC')
  return [
    voters === undefined ? texts.votes(total) : texts.voters(voters),
    ...(endsAt === undefined ? [] : [texts.t('ends', texts.date(endsAt))]),
    ...(handle === undefined ? [] : [`@${handle}`]),
  ].join(' · ')
}

const htmlOf = (page: Child) => `<!doctype html>${String(page)}`

const poll: Site['poll'] = (frame, poll, history) => {
  const texts = textsFor(frame)
  const { t } = texts
  const link = `${frame.publicUrl}/poll/${pathOf(frame, poll)}`
  const oembed = `${frame.publicUrl}/oembed?${new URLSearchParams({ url: link })}`
  const picture = `${link}/card.png?v=${poll.version}`
  const api = `/api/polls/${encodeURIComponent(poll.uri)}`
  const post = composeUrl(`${link}?options=${poll.options.length}`)
  const head = (
    <>
      <meta property="og:url" content={link} />
      <link rel="canonical" href={link} />
      <meta property="og:image" content={picture} />
      <meta property="og:image:type" content="image/png" />
      <meta property="og:image:width" content="1200" />
      <meta property="og:image:height" content="630" />
      <meta property="og:image:alt" content={`${poll.text} ${summary(poll, texts)}`} />
      <meta name="twitter:card" content="summary_large_image" />
      <link rel="alternate" type="application/json+oembed" href={oembed} title={poll.text} />
    </>
  )
  return htmlOf(
    <Page
      frame={frame}
      title={poll.text}
      description={summary(poll, texts)}
      script="page"
      polls={[poll]}
      history={history}
      head={head}
    >
      <Question poll={poll} />
      <Author poll={poll} texts={texts} />
      <Widget frame={frame} poll={poll} texts={texts} />
      <PublicVotes texts={texts} />
      <p class="row">
        <a href={post}>{t('postOnBluesky')}</a>
        <a href={`/by/${poll.handle ?? poll.repo}`}>{t('pollsBy', nameOf(poll))}</a>
        <a href="/">{t('allPolls')}</a>
      </p>
      {history && (
        <section class="chart">
          <h2>{t('history')}</h2>
          <div id="chart">{raw(drawnChart(history, poll, texts))}</div>
        </section>
      )}
      <details>
        <summary>{t('takeAlong')}</summary>
        <p class="row">
          <a href={`${api}/votes.csv`} download>
            {t('votesCsv')}
          </a>
          <a href={`${api}/votes.json`}>{t('votesJson')}</a>
          <a href={`${link}/card.png?theme=light&lang=${frame.language}`}>{t('pictureLight')}</a>
          <a href={`${link}/card.png?theme=dark&lang=${frame.language}`}>{t('pictureDark')}</a>
        </p>
        <label>
          {t('citation')}
          <textarea readonly rows={3} dir="ltr">
            {citation(frame, poll)}
          </textarea>
        </label>
      </details>
      <details>
        <summary>{t('embed')}</summary>
        <label>
          {t('embedHelp')}
          <textarea readonly rows={3} dir="ltr">
            {embedCode(frame, poll).html}
          </textarea>
        </label>
      </details>
    </Page>,
  )
}

/** Who asked what, where, and what was answered: as of the version of this page. */
function citation(frame: Frame, poll: PollView): string {
  const { votes, voters, date, number } = textsFor(frame)
  const counts = poll.options.map(({ text, count }) => `${text}: ${number(count)}`).join(', ')
  const total = poll.voters === undefined ? votes(poll.total) : voters(poll.voters)
  const name = nameOf(poll)
  return `${name}: “${poll.text}” (${date(poll.createdAt)}). ${counts} (${total}). ${poll.uri}, ${frame.publicUrl}/poll/${pathOf(frame, poll)}, ${date(Date.now())}.`
}

const embed: Site['embed'] = (frame, poll) => {
  const texts = textsFor(frame)
  return htmlOf(
    <Page
      frame={frame}
      title={poll.text}
      description={summary(poll, texts)}
      script="embed"
      polls={[poll]}
      bare
      head={<link rel="canonical" href={linkOf(frame, poll)} />}
    >
      <Question poll={poll} />
      <Widget frame={frame} poll={poll} texts={texts} />
      <p class="row">
        <a href={`${frame.publicUrl}/poll/${pathOf(frame, poll)}`} target="_blank" rel="noopener">
          {texts.t('voteThere')}
        </a>
      </p>
    </Page>,
  )
}

const embedCode: Site['embedCode'] = (frame, poll, maxWidth = Infinity, maxHeight = Infinity) => {
  const src = `${frame.publicUrl}/embed/${pathOf(frame, poll)}`
  const width = Math.min(EMBED_WIDTH, maxWidth)
  const height = Math.min(EMBED_BASE + EMBED_OPTION * poll.options.length, maxHeight)
  const html = String(
    <iframe
      src={src}
      title={poll.text}
      width={width}
      height={height}
      style="max-width: 100%; border: 0"
      loading="lazy"
    ></iframe>,
  )
  return { html, width, height }
}

const home: Site['home'] = (frame, { newest, busiest }) => {
  const texts = textsFor(frame)
  const { t } = texts
  const list = (name: 'newest' | 'busiest', title: string, polls: PollView[], help?: string) => (
    <section>
      <h2>{title}</h2>
      {help && <p class="help">{help}</p>}
      <p class="help none" hidden={polls.length > 0}>
        {t('noPolls')}
      </p>
      <ol data-list={name}>
        {polls.map((poll) => (
          <li>
            <Author poll={poll} texts={texts} link={linkOf(frame, poll)} />
            <Widget frame={frame} poll={poll} texts={texts} />
          </li>
        ))}
      </ol>
    </section>
  )
  return htmlOf(
    <Page
      frame={frame}
      title="pollz"
      description={t('siteWhat')}
      script="page"
      polls={[...newest, ...busiest]}
    >
      <h1 class="unseen">pollz</h1>
      <p>{t('siteWhat')}</p>
      <PublicVotes texts={texts} />
      <div class="lists">
        {list('busiest', t('busiestPolls'), busiest, t('busiestHelp'))}
        {list('newest', t('newestPolls'), newest)}
      </div>
    </Page>,
  )
}

const author: Site['author'] = (frame, { did, polls, days }) => {
  const texts = textsFor(frame)
  const { t, number } = texts
  const name = polls[0]?.handle === undefined ? did : `@${polls[0].handle}`
  const most = Math.max(1, ...days.map(([, n]) => n))
  return htmlOf(
    <Page frame={frame} title={t('pollsBy', name)} description={t('siteWhat')} script="page" polls={polls}>
      <h1>{t('pollsBy', name)}</h1>
      {days.length > 0 && (
        <section>
          <h2>{t('votesADay')}</h2>
          <table class="days">
            <tbody>
              {days.map(([day, n]) => (
                <tr>
                  <th scope="row">
                    <time dateTime={day} data-day>
                      {day}
                    </time>
                  </th>
                  <td>{number(n)}</td>
                  <td class="share" aria-hidden="true">
                    <span style={`width: ${(n / most) * 100}%`}></span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      <p class="help none" hidden={polls.length > 0}>
        {t('noPolls')}
      </p>
      <PublicVotes texts={texts} />
      <ol id="by" data-did={did}>
        {polls.map((poll) => (
          <li data-made={poll.uri}>
            <Author poll={poll} texts={texts} link={`${frame.publicUrl}/poll/${pathOf(frame, poll)}`} />
            <Widget frame={frame} poll={poll} texts={texts} />
          </li>
        ))}
      </ol>
    </Page>,
  )
}

type ApiOperation = {
  summary: string
  parameters: { name: string; in: string; description?: string }[]
}

/** In English, as what it describes. */
const api: Site['api'] = (frame, { info, paths, components }) => {
  const { t } = textsFor(frame)
  return htmlOf(
    <Page frame={frame} title="pollz API" description={info.description}>
      <h1>API</h1>
      <p>{info.description}</p>
      <p class="row">
        <a href="/openapi.json">openapi.json ({info.version})</a>
        <a href="/">{t('allPolls')}</a>
      </p>
      {Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods as Record<string, ApiOperation>).map(([method, { summary, parameters }]) => (
          <section lang="en">
            <h2>
              <code>
                {method.toUpperCase()} {path}
              </code>
            </h2>
            <p>{summary}</p>
            <ul>
              {parameters.map(({ name, description = '', in: where }) => (
                <li>
                  <code>{name}</code> ({where}) {description}
                </li>
              ))}
            </ul>
          </section>
        )),
      )}
      {Object.entries(components.schemas).map(([name, schema]) => (
        <details lang="en">
          <summary>{name}</summary>
          {/* A region that can be scrolled can be reached. */}
          <pre tabindex={0} aria-label={name}>
            {JSON.stringify(schema, null, 2)}
          </pre>
        </details>
      ))}
    </Page>,
  )
}

const problem: Site['problem'] = (frame, name: ProblemName, named) => {
  const { t } = textsFor(frame)
  const [title, text] = [t(`${name}Title`), t(`${name}Text`, named)]
  return htmlOf(
    <Page frame={frame} title={title} description={text}>
      <h1>{title}</h1>
      <p dir="auto">{text}</p>
      <p class="row">
        <a href="/">{t('allPolls')}</a>
      </p>
    </Page>,
  )
}

const callback: Site['callback'] = (frame) => {
  const { t } = textsFor(frame)
  return htmlOf(
    <Page frame={frame} title={t('callbackTitle')} description={t('callbackText')} script="callback" bare>
      <h1>{t('callbackTitle')}</h1>
      <p>{t('callbackText')}</p>
    </Page>,
  )
}

export const site: Site = {
  languages: Object.keys(locales),
  styleSource: `'sha256-${createHash('sha256').update(css).digest('base64')}'`,
  poll,
  facts,
  embed,
  embedCode,
  home,
  author,
  api,
  problem,
  callback,
}
