/** Answers that others keep: what makes them another answer, and what must never be kept. */
import { tid } from '@pollz/shared/tid'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { emptyDatabase, isRemote } from '../test/database.ts'
import { identityMessage, iso, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { runCommand } from '../test/command.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { readConfig } from './config.ts'
import { createLog } from './log.ts'
import { startServer } from './server.ts'

/** An hour ago: what is older than a week is not among the busiest. */
const T0 = (Date.now() - 3_600_000) * 1000
const alice = 'did:plc:alice'
const tea = pollUri(alice, '3kaaaaaaaaaa2')
const apiPath = `/api/polls/${encodeURIComponent(tea)}`
const page = `/poll/${alice}/3kaaaaaaaaaa2`
const html = { accept: 'text/html' }
const json = { accept: 'application/json' }

let database: Awaited<ReturnType<typeof emptyDatabase>>
let tap: TapStandIn
let stop: AbortController
let base: string
let done: Promise<void>
let nextId = 1

beforeEach(async () => {
  database = await emptyDatabase()
  tap = await TapStandIn.listen()
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: database.url,
    DATABASE_AUTH_TOKEN: database.authToken,
    TAP_URL: tap.url,
    PLC_URL: 'http://127.0.0.1:9',
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  base = `http://127.0.0.1:${server.port}`
  done = server.done
  await vi.waitUntil(() => tap.connected)
  await deliver((id) => recordMessage(pollEvent(tea, ['yes', 'no'], T0), id), vote('did:plc:bob', 1))
  await vi.waitUntil(async () => (await total()) === 1)
  // Lists are a little older.
  await vi.waitUntil(async () => (await (await ask('/api/polls?sort=busiest', {})).text()).includes(tea))
})

afterEach(async () => {
  stop.abort()
  await done
  await tap.close()
  await database.close()
})

async function deliver(...messages: ((id: number) => string)[]): Promise<void> {
  const ids = messages.map((message) => {
    const id = nextId++
    tap.send(message(id), id)
    return id
  })
  await vi.waitUntil(() => ids.every((id) => tap.acked.has(id)))
}

const vote = (did: string, option: number) => (id: number) =>
  recordMessage(voteEvent(did, tea, option, T0 + 1), id)

const total = async () => ((await (await fetch(base + apiPath)).json()) as { total?: number }).total

const ask = (path: string, headers: Record<string, string>, method = 'GET') =>
  fetch(base + path, { headers, method })

const KEPT: [string, string, Record<string, string>][] = [
  ['a poll', apiPath, {}],
  ['tallies', `/api/tallies?uri=${encodeURIComponent(tea)}`, {}],
  ['the newest polls', '/api/polls', {}],
  ['the busiest polls', '/api/polls?sort=busiest', {}],
  ['a poll’s page', page, html],
  ['a poll’s page as JSON', page, json],
  ['a poll in a frame', `/embed/${alice}/3kaaaaaaaaaa2`, html],
  ['the home page', '/', html],
]

describe.each(KEPT)('%s', (_, path, headers) => {
  test('is the same for all until a vote, and costs nothing to who has it', async () => {
    const first = await ask(path, headers)
    const tag = first.headers.get('etag')!
    expect([first.status, first.headers.get('cache-control'), tag]).toEqual([
      200,
      'public, max-age=1',
      expect.stringMatching(/^W\/"[\w-]+"$/),
    ])
    const body = await first.text()
    expect(body.length).toBeGreaterThan(10)
    for (const known of [tag, tag.slice(2), `"other", ${tag}`, '*']) {
      const again = await ask(path, { ...headers, 'if-none-match': known })
      expect([known, again.status, again.headers.get('etag'), await again.text()]).toEqual([
        known,
        304,
        tag,
        '',
      ])
    }
    const head = await ask(path, headers, 'HEAD')
    expect([head.status, head.headers.get('etag')]).toEqual([200, tag])
    const other = await ask(path, { ...headers, 'if-none-match': '"other"' })
    expect([other.status, await other.text()]).toEqual([200, body])

    await deliver(vote('did:plc:carol', 0))
    await vi.waitFor(async () => {
      const changed = await ask(path, { ...headers, 'if-none-match': tag })
      expect(changed.status).toBe(200)
      expect(await changed.text()).not.toBe(body)
    })
  })
})

test('what is hidden, deleted or of somebody inactive is not the answer that somebody has', async () => {
  const tags = new Map<string, string>()
  for (const [, path, headers] of KEPT.slice(0, 7))
    tags.set(path, (await ask(path, headers)).headers.get('etag')!)
  const seen = async () =>
    Promise.all(
      KEPT.slice(0, 7).map(async ([, path, headers]) => {
        const response = await ask(path, { ...headers, 'if-none-match': tags.get(path)! })
        return [response.status, response.headers.get('cache-control')]
      }),
    )
  const gone = (status: number) => [
    [status, 'no-store'],
    // A list, and what it says of this one.
    [200, 'public, max-age=1'],
    [200, 'public, max-age=1'],
    [200, 'public, max-age=1'],
    [status, 'no-cache'],
    [status, 'no-store'],
    [status, 'no-cache'],
  ]
  const env = { DATABASE_URL: database.url, DATABASE_AUTH_TOKEN: database.authToken }
  await runCommand('hide', [tea, 'spam'], env)
  await vi.waitFor(async () => expect(await seen()).toEqual(gone(410)))
  await runCommand('hide', ['--show', tea], env)
  await vi.waitFor(async () => expect((await ask(apiPath, {})).status).toBe(200))
  await deliver((id) => identityMessage(alice, 'deactivated', '', id))
  await vi.waitFor(async () => expect(await seen()).toEqual(gone(410)))
  await deliver((id) => identityMessage(alice, 'active', '', id))
  await deliver((id) => recordMessage({ ...pollEvent(tea, null, T0 + 9), rev: tid(T0 + 9) }, id))
  await vi.waitFor(async () => expect(await seen()).toEqual(gone(404)))
})

/** A file can't be taken away. */
const onServer = isRemote ? describe : () => {}

onServer('on a libSQL server', () => {
  test('who has the answer has it confirmed without the database', async () => {
    const tags = await Promise.all(
      KEPT.map(async ([, path, headers]) => (await ask(path, headers)).headers.get('etag')!),
    )
    await database.server!.kill()
    // Lists are read anew every two seconds.
    for (const [i, [name, path, headers]] of KEPT.entries()) {
      if (path.startsWith('/api/polls?') || path === '/api/polls' || path === '/') continue
      const { status } = await ask(path, { ...headers, 'if-none-match': tags[i]! })
      expect([name, status]).toEqual([name, 304])
    }
    await database.server!.restart()
  })
})

test('a page says in each language the same, by another tag, compressed or not', async () => {
  const of = async (language: string, encoding: string) => {
    const response = await ask(page, { ...html, 'accept-language': language, 'accept-encoding': encoding })
    return {
      tag: response.headers.get('etag'),
      vary: response.headers.get('vary')?.toLowerCase(),
      encoding: response.headers.get('content-encoding'),
      body: await response.text(),
    }
  }
  const [english, compressed, german] = [
    await of('en', 'identity'),
    await of('en', 'gzip'),
    await of('de', 'gzip'),
  ]
  expect([english.encoding, compressed.encoding]).toEqual([null, 'gzip'])
  expect(compressed.body).toBe(english.body)
  expect([english.tag === compressed.tag, english.tag === german.tag]).toEqual([true, false])
  for (const name of ['accept', 'accept-language', 'accept-encoding']) expect(english.vary).toContain(name)
})

test('a poll’s page changes at the second of its end, and while it counts down', async () => {
  const end = Date.now() + 90_500
  const uri = pollUri(alice, '3kbbbbbbbbbb2')
  const event = pollEvent(uri, ['yes', 'no'], T0)
  await deliver((id) =>
    recordMessage({ ...event, record: { ...(event.record as object), endsAt: iso(end * 1000) } }, id),
  )
  const tag = async () => (await ask(`/poll/${alice}/3kbbbbbbbbbb2`, html)).headers.get('etag')
  await vi.waitUntil(tag)
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    const at: Record<number, string | null> = {}
    for (const left of [90_000, 80_000, 50_000, 40_000, 1, 0, -60_000]) {
      vi.setSystemTime(end - left)
      at[left] = await tag()
    }
    expect(at[80_000]).toBe(at[90_000])
    expect(new Set([at[80_000], at[50_000], at[40_000], at[1], at[0]]).size).toBe(5)
    expect(at[-60_000]).toBe(at[0])
  } finally {
    vi.useRealTimers()
  }
})

test('tallies of which one could not be had are kept by nobody, unless it is gone for all', async () => {
  const of = async (uri: string) => {
    const response = await ask(
      `/api/tallies?uri=${encodeURIComponent(tea)}&uri=${encodeURIComponent(uri)}`,
      {},
    )
    const [, { error }] = (await response.json()) as [unknown, { error: string }]
    return [error, response.headers.get('cache-control')]
  }
  // Nobody says where its PDS is.
  expect(await of(pollUri(`did:plc:${'x'.repeat(24)}`, '3kaaaaaaaaaa2'))).toEqual([
    'UpstreamFailure',
    'no-store',
  ])
  expect(await of('at://nonsense')).toEqual(['InvalidRequest', 'public, max-age=1'])
})

test.each([
  ['what was checked anew', `${apiPath}?verify=true`],
  ['an error', '/api/polls/nonsense'],
  ['a wrong request', '/api/tallies'],
])('%s is kept by nobody', async (_, path) => {
  const response = await ask(path, { 'if-none-match': '*' })
  expect([response.status === 304, response.headers.get('cache-control')]).toEqual([false, 'no-store'])
})
