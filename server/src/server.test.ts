/** The server whole: a stand-in for tap on one side, real libSQL inside, HTTP and WebSocket clients on the other. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { families, familyOfPoll, type Family } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import type { PollView, ServerMessage } from '@pollz/shared/wire'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { emptyDatabase } from '../test/database.ts'
import { LibsqlServer } from '../test/libsql-server.ts'
import * as oldWire from '../test/old-wire.ts'
import { NetworkStandIn, entry, makeProof } from '../test/pds-standin.ts'
import {
  CID,
  T0,
  identityMessage,
  iso,
  pollEvent,
  pollRecordIn,
  pollUri,
  recordMessage,
  voteEvent,
} from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { connectWatcher } from '../test/watcher.ts'
import { readConfig } from './config.ts'
import { MAX_CONNECTIONS } from './http/limits.ts'
import { createLog } from './log.ts'
import { startServer } from './server.ts'
import { openDatabase } from './store/database.ts'

const alice = 'did:plc:alice'
const tea = pollUri(alice, '3kaaaaaaaaaa2')
const path = `/api/polls/${encodeURIComponent(tea)}`

let tap: TapStandIn
let stop: AbortController
let base: string
let done: Promise<void>
let database: Awaited<ReturnType<typeof emptyDatabase>>

async function start(more: Record<string, string> = {}) {
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: database.url,
    DATABASE_AUTH_TOKEN: database.authToken,
    TAP_URL: tap.url,
    // Nobody listens there: a PDS can't be found.
    PLC_URL: 'http://127.0.0.1:9',
    LOG_LEVEL: 'error',
    ...more,
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  base = `http://127.0.0.1:${server.port}`
  done = server.done
  await vi.waitUntil(() => tap.connected, 5000)
}

async function restart(more: Record<string, string>): Promise<void> {
  stop.abort()
  await done
  await start(more)
}

beforeEach(async () => {
  database = await emptyDatabase()
  tap = await TapStandIn.listen()
  await start()
})

afterEach(async () => {
  stop.abort()
  await done
  await tap.close()
  await database.close()
})

let nextId = 1

/** Sends messages and waits for their acks. */
async function deliver(...messages: ((id: number) => string)[]): Promise<void> {
  const ids = messages.map((message) => {
    const id = nextId++
    tap.send(message(id), id)
    return id
  })
  await vi.waitUntil(() => ids.every((id) => tap.acked.has(id)), 5000)
}

const poll =
  (uri = tea, options = ['yes', 'no'], time = T0) =>
  (id: number) =>
    recordMessage(pollEvent(uri, options, time), id)
const vote =
  (did: string, option: number | null, time: number, uri = tea) =>
  (id: number) =>
    recordMessage(voteEvent(did, uri, option, time), id)

async function get(url: string): Promise<{ status: number; body: unknown; headers: Headers }> {
  const response = await fetch(`${base}${url}`)
  return { status: response.status, body: await response.json(), headers: response.headers }
}

const live = () => connectWatcher(base)

describe('from tap to the API', () => {
  test('a poll and its votes, in pollz’s shapes', async () => {
    await deliver((id) => identityMessage(alice, 'active', 'alice.test', id), poll())
    await deliver(vote('did:plc:bob', 1, T0 + 1), vote('did:plc:carol', 1, T0 + 2))
    expect((await get('/api/polls')).body).toMatchObject([
      {
        uri: tea,
        repo: alice,
        rkey: '3kaaaaaaaaaa2',
        text: 'A question',
        options: ['yes', 'no'],
        voteCount: 2,
      },
    ])
    expect((await get(path)).body).toMatchObject({
      uri: tea,
      repo: alice,
      options: [
        { text: 'yes', count: 0 },
        { text: 'no', count: 2 },
      ],
      total: 2,
      handle: 'alice.test',
      edited: false,
    })
    expect((await get(`${path}/votes`)).body).toMatchObject([
      { voter: 'did:plc:bob', option: 1, uri: expect.stringContaining('at://did:plc:bob/tech.waow.vote/') },
      { voter: 'did:plc:carol', option: 1 },
    ])
    expect((await get(`/api/tallies?uri=${encodeURIComponent(tea)}&uri=nonsense`)).body).toMatchObject([
      { uri: tea, total: 2 },
      { uri: 'nonsense', error: 'InvalidRequest' },
    ])
  })

  test('a deleted poll is 404, one of an account that is not active 410, until it is', async () => {
    await deliver(poll(), vote('did:plc:bob', 1, T0 + 1))
    await deliver((id) => identityMessage(alice, 'deactivated', '', id))
    expect(await get(path)).toMatchObject({ status: 410, body: { error: 'RepoInactive' } })
    await deliver((id) => identityMessage(alice, 'active', '', id))
    expect(await get(path)).toMatchObject({ status: 200, body: { total: 1 } })
    await deliver((id) => recordMessage(pollEvent(tea, null, T0 + 2), id))
    expect(await get(path)).toMatchObject({ status: 404, body: { error: 'PollNotFound' } })
  })

  test('lists go on where their Link says', async () => {
    await deliver(
      ...Array.from({ length: 3 }, (_, i) => poll(pollUri(alice, `poll${i}`), ['a', 'b'], T0 + i)),
    )
    const first = await get('/api/polls?limit=2')
    const next = /<(.*)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1]
    const second = await get(next!)
    expect([first.body, second.body].flat()).toHaveLength(3)
    expect(second.headers.get('link')).toBeNull()
  })

  test('CORS is open, also for a front end that sends credentials', async () => {
    const response = await fetch(`${base}/api/polls`, { headers: { origin: 'https://pollz.waow.tech' } })
    expect(response.headers.get('access-control-allow-origin')).toBe('https://pollz.waow.tech')
    expect(response.headers.get('access-control-allow-credentials')).toBe('true')
  })
})

describe('bad input', () => {
  test.each([
    ['/api/polls?limit=0', 400, 'limit'],
    ['/api/polls?limit=many', 400, 'limit'],
    ['/api/polls?cursor=x', 400, 'cursor'],
    ['/api/polls?sort=loudest', 400, 'sort'],
    ['/api/polls/nonsense', 400, 'uri'],
    [`/api/polls/${encodeURIComponent('at://did:plc:a/app.bsky.feed.post/1')}`, 400, 'uri'],
    [`${path}/votes?voter=bob`, 400, 'voter'],
    [`${path}/votes?cursor=x`, 400, 'cursor'],
    ['/api/tallies', 400, 'uri'],
    ['/api/nothing', 404, '/api/nothing'],
    [path, 502, 'did:plc:alice'],
  ])('%s is %i and names what is wrong', async (url, status, named) => {
    const answer = await get(url)
    expect(answer.status).toBe(status)
    expect(answer.body).toEqual({ error: expect.any(String), message: expect.stringContaining(named) })
  })

  test.each(['{', '[]', '{"uri":1}', '{"uri":"at://did:plc:a/tech.waow.poll/1"}'])(
    'POST /api/votes refuses %s',
    async (body) => {
      const response = await fetch(`${base}/api/votes`, { method: 'POST', body })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ message: expect.stringContaining('uri') })
    },
  )

  test('a body that is too large is refused', async () => {
    const response = await fetch(`${base}/api/polls`, { method: 'POST', body: 'x'.repeat(5000) })
    expect(response.status).toBe(413)
  })

  test('an event that does not fit is acked, and the next one is processed', async () => {
    await deliver(
      (id) => `{"id":${id},"type":"record","record":{"did":`,
      (id) => `{"id":${id},"type":"surprise"}`,
      (id) => recordMessage({ ...voteEvent('did:plc:bob', tea, 1, T0), record: { $type: 'x' } }, id),
      poll(),
      vote('did:plc:bob', 1, T0 + 1),
    )
    tap.send('what nobody could ack')
    await deliver(vote('did:plc:carol', 0, T0 + 1))
    expect((await get(path)).body).toMatchObject({ total: 2 })
  })

  test.each([
    'GET // HTTP/1.1\r\nHost: x\r\nConnection: close',
    'GET /%ff HTTP/1.1\r\nHost: x\r\nConnection: close',
    'GET /api/polls/%ff HTTP/1.1\r\nHost: x\r\nConnection: close',
    'GET /poll/%ff/%00 HTTP/1.1\r\nHost: \r\nConnection: close',
    'GET http://[ HTTP/1.1\r\nHost: x\r\nConnection: close',
    'GET // HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket',
    'GET http://[ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket',
    'GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket',
    'nonsense',
  ])('a request that is none is answered, and the server goes on: %j', async (head) => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1')
    const chunks: string[] = []
    socket.on('data', (chunk) => chunks.push(chunk.toString()))
    socket.write(`${head}\r\n\r\n`)
    await new Promise((resolve) => socket.once('close', resolve))
    expect(chunks.join('')).toMatch(/^HTTP\/1\.1 4/)
    expect((await get('/health')).status).toBe(200)
  })

  test('a client that nests its message thousands of times is told so, and nobody else notices', async () => {
    const { socket, messages } = await live()
    socket.send(`{"type":"watch","uris":${'['.repeat(20_000)}${']'.repeat(20_000)}}`)
    await vi.waitUntil(() => messages.length === 1)
    expect(messages).toMatchObject([{ type: 'error', error: 'InvalidRequest' }])
    socket.close()
  })

  test('a client that talks nonsense is told so and keeps its connection', async () => {
    const { socket, messages } = await live()
    await deliver(poll())
    socket.send('nonsense')
    socket.send(JSON.stringify({ type: 'watch', uris: ['nonsense', tea] }))
    await vi.waitUntil(() => messages.length === 3)
    expect(messages).toMatchObject([
      { type: 'error', error: 'InvalidRequest' },
      { type: 'error', uri: 'nonsense' },
      { type: 'snapshot', uri: tea },
    ])
    socket.close()
  })
})

describe('/live', () => {
  test('a snapshot, then the tally whenever it changes, then what becomes of the poll', async () => {
    await deliver(poll())
    const { socket, messages } = await live()
    socket.send(JSON.stringify({ type: 'watch', uris: [tea] }))
    await vi.waitUntil(() => messages.length === 1)
    await deliver(vote('did:plc:bob', 1, T0 + 1))
    await vi.waitUntil(() => messages.at(-1)?.type === 'tally')
    expect(messages.at(-1)).toMatchObject({ uri: tea, counts: [0, 1], total: 1 })
    await deliver(poll(tea, ['yes', 'always'], T0 + 9))
    await vi.waitUntil(() => messages.at(-1)?.type === 'snapshot')
    expect(messages.at(-1)).toMatchObject({ poll: { edited: true } })
    await deliver((id) => recordMessage(pollEvent(tea, null, T0 + 10), id))
    await vi.waitUntil(() => messages.at(-1)?.type === 'error')
    expect(messages.at(-1)).toMatchObject({ uri: tea, error: 'PollNotFound' })
    socket.close()
  })

  test('a thousand votes are a few messages, the last of them right', async () => {
    await deliver(poll())
    const { socket, messages } = await live()
    socket.send(JSON.stringify({ type: 'watch', uris: [tea] }))
    await vi.waitUntil(() => messages.length === 1)
    await deliver(...Array.from({ length: 1000 }, (_, i) => vote(`did:plc:voter${i}`, i % 2, T0 + i)))
    await vi.waitUntil(() => {
      const last = messages.at(-1)
      return last?.type === 'tally' && last.total === 1000
    })
    expect(messages.length).toBeLessThan(50)
    socket.close()
  })

  test('who stops watching hears nothing more', async () => {
    await deliver(poll())
    const { socket, messages } = await live()
    const other = await live()
    for (const it of [socket, other.socket]) it.send(JSON.stringify({ type: 'watch', uris: [tea] }))
    await vi.waitUntil(() => messages.length === 1 && other.messages.length === 1)
    socket.send(JSON.stringify({ type: 'unwatch', uris: [tea] }))
    socket.send(JSON.stringify({ type: 'watch', uris: ['nonsense'] }))
    await vi.waitUntil(() => messages.length === 2)
    await deliver(vote('did:plc:bob', 1, T0 + 1))
    await vi.waitUntil(() => other.messages.length === 2)
    expect(messages).toHaveLength(2)
    for (const it of [socket, other.socket]) it.close()
  })
})

describe('what one address may have', () => {
  const unknown = (i: number) =>
    `/api/polls/${encodeURIComponent(pollUri(`did:plc:nobody${i}`, '3kaaaaaaaaaa2'))}`
  const statusOf = async (path: string, headers: Record<string, string> = {}) =>
    (await fetch(`${base}${path}`, { headers })).status

  test('so many reads from other servers a minute; what is known here costs nothing', async () => {
    await restart({ READS_PER_MINUTE: '3' })
    await deliver(poll())
    for (let i = 0; i < 3; i++) expect(await statusOf(unknown(i))).toBe(502)
    const refused = await fetch(`${base}${unknown(3)}`)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60'])
    expect(await refused.json()).toMatchObject({ error: 'RateLimited' })
    // Known to have failed a moment ago, so not asked again.
    expect(await statusOf(unknown(0))).toBe(502)
    expect(await statusOf(path)).toBe(200)

    const post = async (url: string, uri: string) =>
      (
        await fetch(`${base}${url}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ uri }),
        })
      ).status
    expect(await post('/api/votes', 'at://did:plc:nobody/tech.waow.vote/1')).toBe(429)
    expect(await post('/api/polls', tea)).toBe(429)
    expect(await statusOf(`${path}?verify=true`)).toBe(429)
    expect(await statusOf('/poll/nobody.example/1', { accept: 'text/html' })).toBe(429)
    expect(await statusOf('/embed/nobody.example/1', { accept: 'text/html' })).toBe(429)
    const url = `${base.replace('http', 'https')}/poll/nobody.example/1`
    expect(await statusOf(`/oembed?${new URLSearchParams({ url })}`)).toBe(404)
    const { socket, messages } = await live()
    socket.send(JSON.stringify({ type: 'watch', uris: [pollUri('did:plc:nobody9', '3kaaaaaaaaaa2'), tea] }))
    await vi.waitUntil(() => messages.length === 2)
    expect(messages.find(({ type }) => type === 'error')).toMatchObject({ error: 'RateLimited' })
    expect(messages.find(({ type }) => type === 'snapshot')).toMatchObject({ uri: tea })
    socket.close()
  })

  test('behind a proxy it is the client’s own address that counts, and nobody can claim another', async () => {
    await restart({ READS_PER_MINUTE: '1', CLIENT_ADDRESS_HEADER: 'X-Forwarded-For' })
    expect(await statusOf(unknown(0), { 'x-forwarded-for': '192.0.2.1' })).toBe(502)
    expect(await statusOf(unknown(1), { 'x-forwarded-for': '192.0.2.1' })).toBe(429)
    expect(await statusOf(unknown(1), { 'x-forwarded-for': '198.51.100.9, 192.0.2.1' })).toBe(429)
    expect(await statusOf(unknown(1), { 'x-forwarded-for': '192.0.2.2' })).toBe(502)
  })

  test('without a proxy nobody’s word for it is taken', async () => {
    await restart({ READS_PER_MINUTE: '1' })
    expect(await statusOf(unknown(0), { 'x-forwarded-for': '192.0.2.1' })).toBe(502)
    expect(await statusOf(unknown(1), { 'x-forwarded-for': '192.0.2.2' })).toBe(429)
  })

  test('so many connections, and so many messages on each', async () => {
    const sockets = await Promise.all(Array.from({ length: MAX_CONNECTIONS }, () => live()))
    const refused = new WebSocket(`${base.replace('http', 'ws')}/live`)
    const response = await new Promise<number | undefined>((resolve) => {
      refused.once('unexpected-response', (_, { statusCode }) => resolve(statusCode))
      refused.once('error', () => {})
    })
    expect(response).toBe(429)
    const closed = new Promise<number>((resolve) => sockets[0]!.socket.once('close', resolve))
    for (let i = 0; i < 1_100; i++) sockets[0]!.socket.send('{"type":"unwatch","uris":["at://x"]}')
    expect(await closed).toBe(1008)
    // Its place is free again.
    await vi.waitUntil(async () => {
      const next = await live().catch(() => undefined)
      next?.socket.close()
      return next !== undefined
    }, 5000)
    for (const { socket } of sockets) socket.close()
  })
})

describe('tap', () => {
  test.each([1000, 1001, 1011, 1012])('after a close with %i it is connected again', async (code) => {
    const { connections } = tap
    tap.disconnect(code)
    await vi.waitUntil(() => tap.connections > connections && tap.connected, 5000)
    await deliver(poll(), vote('did:plc:bob', 1, T0 + 1))
    expect((await get(path)).body).toMatchObject({ total: 1 })
  })

  test('authors of polls that votes name are tracked, and told again after a reconnect', async () => {
    await deliver(vote('did:plc:bob', 1, T0 + 1))
    await vi.waitFor(() => expect([...tap.added]).toEqual([alice]))
    tap.added.clear()
    tap.disconnect(1000)
    await vi.waitFor(() => expect([...tap.added]).toEqual([alice]), 5000)
  })

  test('readiness says what is missing', async () => {
    expect((await get('/ready')).body).toMatchObject({ ready: true })
    const { url } = tap
    await tap.close()
    await vi.waitUntil(async () => (await get('/ready')).status === 503, 5000)
    expect((await get('/ready')).body).toMatchObject({ ready: false, tap: expect.stringContaining(url) })
    expect((await get('/health')).status).toBe(200)
    tap = await TapStandIn.listen(Number(new URL(url).port))
    await vi.waitUntil(async () => (await get('/ready')).status === 200, 15_000)
  })

  test('what was acked is there after a restart', async () => {
    await deliver(poll(), vote('did:plc:bob', 1, T0 + 1))
    stop.abort()
    await done
    await start()
    expect((await get(path)).body).toMatchObject({ total: 1 })
  })
})

test('the dashboard asks for nothing that is not measured', async () => {
  await get(path)
  const metrics = await (await fetch(`${base}/metrics`)).text()
  const measured = new Set([...metrics.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name!))
  const dashboard = readFileSync(join(import.meta.dirname, '../../deploy/grafana/pollz.json'), 'utf8')
  const asked = [...dashboard.matchAll(/\b(pollz|process|nodejs)_\w+/g)].map(([name]) => name)
  expect(asked.length).toBeGreaterThan(10)
  expect(asked.filter((name) => !measured.has(name.replace(/_(bucket|count|sum)$/, '')))).toEqual([])
})

test('it is ready only while the database can be written to, also when nobody votes', async () => {
  const server = await LibsqlServer.start()
  await restart({ DATABASE_URL: server.url, DATABASE_AUTH_TOKEN: server.authToken })
  const ready = () => get('/ready')
  await vi.waitUntil(async () => (await ready()).status === 200)
  await server.kill()
  await vi.waitUntil(async () => (await ready()).status === 503, { timeout: 15_000, interval: 100 })
  expect((await ready()).body).toMatchObject({
    ready: false,
    tap: 'ok',
    database: expect.stringMatching(/./),
  })
  expect((await get('/health')).status).toBe(200)
  await server.restart()
  await vi.waitUntil(async () => (await ready()).status === 200, { timeout: 15_000, interval: 100 })
  stop.abort()
  await done
  await server.close()
}, 40_000)

test('metrics count what was stored and what was set aside', async () => {
  await deliver(poll(), vote('did:plc:bob', 1, T0 + 1), (id) => `{"id":${id}}`)
  const metrics = await (await fetch(`${base}/metrics`)).text()
  expect(metrics).toMatch(/^pollz_events_total 3$/m)
  expect(metrics).toMatch(/^pollz_set_aside_total 1$/m)
  expect(metrics).toMatch(/^pollz_ready 1$/m)
})

describe('what the extension signs in with', () => {
  test('a loopback server has atproto’s loopback client', async () => {
    expect((await get('/oauth/client-metadata.json')).body).toMatchObject({
      client_id: expect.stringMatching(/^http:\/\/localhost\?/),
      redirect_uris: [expect.stringContaining('/oauth/callback')],
    })
  })

  test('the callback page runs nothing but its own script', async () => {
    const response = await fetch(`${base}/oauth/callback`)
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    const scripts = (await response.text()).match(/<script[^>]*>/g)
    expect(scripts).toEqual([
      expect.stringMatching(/^<script type="module" src="\/assets\/callback-[\w-]+\.js">$/),
      '<script id="state" type="application/json">',
    ])
  })
})

test('a poll’s page shows hostile text as text', async () => {
  const text = '</script><script>alert(1)</script>'
  const event = pollEvent(tea, ['<img src=x>', '"\''], T0)
  await deliver((id) => recordMessage({ ...event, record: { ...(event.record as object), text } }, id))
  const response = await fetch(`${base}/poll/${alice}/3kaaaaaaaaaa2`)
  const page = await response.text()
  expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
  expect(page).not.toContain('<script>alert')
  expect(page).not.toContain('<img src=x>')
  expect(page.match(/<script[^>]*>/g)).toHaveLength(2)
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
})

test('no answer sets a cookie, and each says what it is', async () => {
  await deliver(poll())
  const paths = [
    '/',
    path,
    `/poll/${alice}/3kaaaaaaaaaa2`,
    '/oauth/callback',
    '/nowhere',
    '/metrics',
    '/health',
  ]
  for (const of of paths) {
    const { headers } = await fetch(`${base}${of}`, { headers: { accept: 'text/html', cookie: 'a=b' } })
    expect([of, headers.get('set-cookie'), headers.get('x-content-type-options')]).toEqual([
      of,
      null,
      'nosniff',
    ])
    const isPage = headers.get('content-type')!.includes('html')
    expect([of, headers.get('referrer-policy')]).toEqual([of, isPage ? 'no-referrer' : null])
  }
})

describe('pages', () => {
  test('are in the reader’s language, as far as there is one', async () => {
    await deliver(poll(), vote('did:plc:bob', 1, T0 + 1))
    const titleIn = async (language: string) => {
      const headers = { accept: 'text/html', 'accept-language': language }
      const response = await fetch(`${base}/poll/${alice}/3kaaaaaaaaaa2`, { headers })
      expect(response.headers.get('vary')).toContain('Accept-Language')
      return /<meta property="og:description" content="([^"]*)"/.exec(await response.text())![1]
    }
    expect(await titleIn('de-DE,de;q=0.9,en;q=0.8')).toMatch(/\(1 Stimme\)$/)
    expect(await titleIn('fr,pt-BR;q=0.5')).toMatch(/\(1 voto\)$/)
    expect(await titleIn('fr')).toMatch(/\(1 vote\)$/)
    expect(await titleIn('*;q=x;;,')).toMatch(/\(1 vote\)$/)
  })

  test('a card says of the end what stays true, in a zone that it names', async () => {
    const home = families[0]!
    const describe = async (rkey: string, endsAt: number) => {
      const record = pollRecordIn(home, { options: ['yes', 'no'], time: T0, endsAt, multiple: true })
      const event = { rkey, rev: tid(T0), action: 'create' as const, live: true, did: alice }
      await deliver((id) => recordMessage({ ...event, collection: home.poll, record, cid: CID }, id))
      const page = await fetch(`${base}/poll/${alice}/${rkey}`, { headers: { accept: 'text/html' } })
      return /<meta name="description" content="([^"]*)"/.exec(await page.text())![1]
    }
    const later = Date.UTC(2099, 4, 3, 18) * 1_000
    expect(await describe(tid(T0), later)).toBe('yes · no (0 voters · Ends May 3, 2099, 6:00 PM UTC)')
    expect(await describe(tid(T0 + 1), T0 + 1)).toBe('yes · no (0 voters · Final results)')
  })

  test('a poll is open until its end by the server’s clock, and final from then on', async () => {
    const end = Date.now() + 3_600_000
    const endsAt = new Date(end).toISOString()
    await deliver(
      (id) => {
        const { record, ...event } = pollEvent(tea, ['yes', 'no'], T0)
        return recordMessage({ ...event, record: { ...(record as object), endsAt } }, id)
      },
      vote('did:plc:bob', 1, T0 + 1),
    )
    const shown = async () => {
      const { socket, messages } = await live()
      socket.send(JSON.stringify({ type: 'watch', uris: [tea] }))
      await vi.waitUntil(() => messages.length > 0)
      socket.close()
      const [snapshot] = messages as [ServerMessage & { type: 'snapshot' }]
      const page = await (await fetch(`${base}/poll/${alice}/3kaaaaaaaaaa2`)).text()
      const frame = await (await fetch(`${base}/embed/${alice}/3kaaaaaaaaaa2`)).text()
      const final = '<span>Final results</span>'
      const isOver = snapshot.now! >= Date.parse(snapshot.poll.endsAt!)
      return [isOver, page.includes(final), frame.includes(final)]
    }
    expect(await shown()).toEqual([false, false, false])
    vi.useFakeTimers({ toFake: ['Date'], now: end })
    try {
      expect(await shown()).toEqual([true, true, true])
      // What was cast before it and comes late counts, what was cast after it does not.
      await deliver(vote('did:plc:carol', 0, T0 + 2), vote('did:plc:dan', 0, end * 1000))
      await vi.waitFor(async () =>
        expect((await get(path)).body).toMatchObject({ options: [{ count: 1 }, { count: 1 }] }),
      )
    } finally {
      vi.useRealTimers()
    }
  })

  test('their files come compressed, and for ever', async () => {
    const page = await (await fetch(base, { headers: { accept: 'text/html' } })).text()
    const script = /src="(\/assets\/page-[^"]+)"/.exec(page)![1]!
    const response = await fetch(`${base}${script}`, { headers: { 'accept-encoding': 'br' } })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-encoding')).toBe('br')
    expect(response.headers.get('content-type')).toContain('javascript')
    expect(response.headers.get('cache-control')).toContain('immutable')
    expect((await fetch(`${base}/assets/../server/server.js`)).status).toBe(404)
    expect((await fetch(`${base}/assets/%2e%2e%2fserver%2fserver.js`)).status).toBe(404)
  })

  test('the busiest polls are those of the last days with the most votes that count', async () => {
    const now = Date.now() * 1000
    const [old, quiet, busy] = ['old', 'quiet', 'busy'].map((rkey) => pollUri(alice, rkey))
    await deliver(
      poll(old, ['a', 'b'], now - 8 * 86_400_000_000),
      poll(quiet, ['a', 'b'], now),
      poll(busy, ['a', 'b'], now),
      ...['bob', 'carol', 'dan'].map((name) => vote(`did:plc:${name}`, 1, now + 1, old)),
      ...['bob', 'carol'].map((name) => vote(`did:plc:${name}`, 1, now + 1, busy)),
      vote('did:plc:bob', 0, now + 1, quiet),
      // Of no option.
      ...['carol', 'dan', 'erin'].map((name) => vote(`did:plc:${name}`, 7, now + 1, quiet)),
    )
    const { body } = await get('/api/polls?sort=busiest')
    expect((body as { rkey: string; voteCount: number }[]).map((it) => [it.rkey, it.voteCount])).toEqual([
      ['busy', 2],
      ['quiet', 1],
    ])
  })

  test('an address that nothing has is a page for people and JSON for programs', async () => {
    const page = await fetch(`${base}/nowhere`, { headers: { accept: 'text/html' } })
    expect([page.status, page.headers.get('content-type')]).toEqual([404, expect.stringContaining('html')])
    expect((await get('/nowhere')).body).toMatchObject({ error: 'NotFound' })
  })
})

describe('every family', () => {
  const rkey = tid(T0)
  const recordsOf = (family: Family, did = alice) => {
    const uri = `at://${did}/${family.poll}/${rkey}`
    const base = { rkey, rev: tid(T0 + 1), action: 'create' as const, live: true }
    const record = pollRecordIn(family, {
      options: ['yes', 'no'],
      time: T0,
      multiple: true,
      post: `at://${did}/app.bsky.feed.post/${rkey}`,
    })
    const [{ collection, record: vote }] = family.writeVote({
      poll: { uri, cid: CID },
      choices: [1],
      createdAt: iso(T0 + 1),
    }) as [{ collection: string; record: object }]
    return {
      uri,
      poll: (id: number) => recordMessage({ ...base, did, collection: family.poll, record, cid: CID }, id),
      vote: (id: number) => recordMessage({ ...base, did: 'did:plc:bob', collection, record: vote }, id),
    }
  }

  test.each(families)('$poll: its polls have pages, frames, pictures and oEmbed', async (family) => {
    const { uri, poll: made, vote: cast } = recordsOf(family)
    await deliver(made, cast)
    const { body } = await get(`/api/polls/${encodeURIComponent(uri)}`)
    expect(body).toMatchObject({ uri, collection: family.poll, rkey, cid: CID, total: 1 })
    const address = `${alice}/${family.poll}/${rkey}`
    expect((await fetch(`${base}/poll/${address}`, { headers: { accept: 'application/json' } })).status).toBe(
      200,
    )
    const page = await (await fetch(`${base}/poll/${address}`, { headers: { accept: 'text/html' } })).text()
    // Each has one address: where there is a short one, that.
    const canonical = /<link rel="canonical" href="[^"]*\/poll\/([^"]*)"/.exec(page)?.[1]
    expect(canonical).toBe(family === families[0] ? `${alice}/${rkey}` : address)
    expect((await fetch(`${base}/embed/${address}`)).status).toBe(200)
    const picture = await fetch(`${base}/poll/${address}/card.png`)
    expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/png'])
    const publicUrl = /<meta property="og:url" content="([^"]*)\/poll\//.exec(page)![1]
    const oembed = await get(`/oembed?url=${encodeURIComponent(`${publicUrl}/poll/${address}`)}`)
    expect(oembed.body).toMatchObject({ html: expect.stringContaining(`/embed/${canonical}"`) })
  })

  test('what does not fit is told apart: a poll without some of it is one, what can’t be read is set aside, and the rest goes on', async () => {
    const write = (collection: string, record: object, did = alice) => ({
      uri: `at://${did}/${collection}/${rkey}`,
      message: (id: number) =>
        recordMessage(
          {
            did,
            collection,
            rkey,
            rev: tid(T0 + 1),
            action: 'create',
            live: true,
            record: { $type: collection, ...record },
          },
          id,
        ),
    })
    const poll = (nsid: string, more: object) =>
      write(nsid, {
        ...pollRecordIn(familyOfPoll.get(nsid)!, { options: ['yes', 'no'], time: T0 }),
        ...more,
      })
    const postOfAnother = { subject: { uri: `at://did:plc:bob/app.bsky.feed.post/${rkey}`, cid: CID } }
    const tokimeki = poll('tech.tokimeki.poll.poll', postOfAnother)
    const withoutPost = write(
      'tech.tokimeki.poll.poll',
      { options: ['a', 'b'], createdAt: iso(T0) },
      'did:plc:erin',
    )
    const leaflet = poll('pub.leaflet.poll.definition', { endDate: '9999-12-31T23:59:59Z' })
    const redDwarf = poll('app.reddwarf.embed.poll', { d: 'there is no c' })
    const voteFor = ({ uri }: { uri: string }) => ({ uri, cid: CID })
    const votes = [
      write(
        'tech.tokimeki.poll.vote',
        { poll: { uri: tokimeki.uri }, optionIndex: 0, createdAt: iso(T0) },
        'did:plc:bob',
      ),
      write(
        'tech.tokimeki.poll.vote',
        { poll: voteFor(tokimeki), optionIndex: 1, createdAt: iso(T0) },
        'did:plc:carol',
      ),
      write(
        'tech.tokimeki.poll.vote',
        { poll: voteFor(leaflet), optionIndex: 1, createdAt: iso(T0) },
        'did:plc:dan',
      ),
      write('pub.leaflet.poll.vote', { poll: voteFor(leaflet), option: ['yes'] }, 'did:plc:bob'),
      write('pub.leaflet.poll.vote', { poll: voteFor(leaflet), option: ['1'] }, 'did:plc:carol'),
      write('app.reddwarf.poll.vote.a', { subject: voteFor(redDwarf), createdAt: iso(T0) }, 'did:plc:bob'),
    ]
    await deliver(...[tokimeki, withoutPost, leaflet, redDwarf, ...votes].map(({ message }) => message))
    const told = async ({ uri }: { uri: string }) => (await get(`/api/polls/${encodeURIComponent(uri)}`)).body
    expect(await told(tokimeki)).toMatchObject({ text: '', total: 1, options: [{ count: 0 }, { count: 1 }] })
    expect(await told(tokimeki)).not.toHaveProperty('post')
    expect(await told(withoutPost)).toMatchObject({ text: '', total: 0 })
    expect(await told(leaflet)).toMatchObject({ total: 1, endsAt: expect.stringMatching(/^2255-/) })
    expect(await told(redDwarf)).toMatchObject({ error: 'PollNotFound' })
    const client = await openDatabase(database)
    const { rows } = await client.execute('SELECT uri, reason FROM set_aside ORDER BY uri')
    client.close()
    expect(rows.map(({ uri, reason }) => `${uri as string} ${reason as string}`)).toEqual([
      expect.stringMatching(/alice.*embed.poll.* d: there is no c$/),
      expect.stringMatching(/bob\/pub.leaflet.* option: the first is no index$/),
      expect.stringMatching(/bob\/tech.tokimeki.* .*cid/),
      expect.stringMatching(/dan\/tech.tokimeki.* subject: expected the at-uri of a tech.tokimeki.poll.poll/),
    ])
  })

  test('releases 0.2 to 0.4 of the extension read all that they are sent of them, and count as they did', async () => {
    const watcher = await live()
    for (const family of families) {
      const { uri, poll: made, vote: cast } = recordsOf(family)
      await deliver(made)
      watcher.socket.send(JSON.stringify({ type: 'watch', uris: [uri] }))
      await vi.waitUntil(() => watcher.messages.some((it) => it.type === 'snapshot' && it.uri === uri))
      await deliver(cast)
      await vi.waitUntil(() => watcher.messages.some((it) => it.type === 'tally' && it.uri === uri))
      const name = encodeURIComponent(uri)
      for (const { body } of [await get(`/api/polls/${name}`), await get(`/api/tallies?uri=${name}`)]) {
        const [it] = [body].flat()
        expect(oldWire.pollView.safeParse(it)).toMatchObject({ success: true })
        const { options, total } = it as PollView
        expect(options.reduce((sum, { count }) => sum + count, 0)).toBe(total)
      }
      const votes = (await get(`/api/polls/${name}/votes?voter=did:plc:bob`)).body as unknown[]
      expect(votes.map((it) => oldWire.voteView.safeParse(it).success)).toEqual([true])
    }
    // Several choices, an end, and a poll that goes.
    const uri = pollUri(alice, '3kbbbbbbbbbb2')
    const version = (rev: number, record: Record<string, unknown>) => (id: number) => {
      const { record: old, ...event } = pollEvent(uri, ['a', 'b', 'c'], rev)
      return recordMessage({ ...event, record: { ...(old as object), ...record } }, id)
    }
    await deliver(version(T0, { multiple: true, endsAt: iso(T0 + 60_000_000) }), (id) => {
      const { record, ...event } = voteEvent('did:plc:bob', uri, 2, T0 + 1)
      return recordMessage({ ...event, record: { ...(record as object), options: [2, 0] } }, id)
    })
    watcher.socket.send(JSON.stringify({ type: 'watch', uris: [uri] }))
    await vi.waitUntil(() => watcher.messages.some((it) => it.type === 'snapshot' && it.uri === uri))
    expect(watcher.messages.at(-1)).toMatchObject({ poll: { multiple: true, voters: 1, total: 2 } })
    const [own] = (await get(`/api/polls/${encodeURIComponent(uri)}/votes?voter=did:plc:bob`))
      .body as unknown[]
    expect(oldWire.voteView.safeParse(own)).toMatchObject({ value: { option: 0 } })
    await deliver((id) => recordMessage(pollEvent(uri, null, T0 + 9), id))
    await vi.waitUntil(() => watcher.messages.at(-1)?.type === 'error')
    expect(
      oldWire.apiError.safeParse((await get(`/api/polls/${encodeURIComponent(uri)}`)).body).success,
    ).toBe(true)
    for (const message of watcher.messages)
      expect(oldWire.serverMessage.safeParse(message)).toMatchObject({ success: true })
    watcher.socket.close()
  })

  test('an address that names no collection of polls is none', async () => {
    const response = await fetch(`${base}/poll/${alice}/app.bsky.feed.post/${rkey}`)
    expect(response.status).toBe(404)
  })

  test('a list says what its polls are', async () => {
    const redDwarf = familyOfPoll.get('app.reddwarf.embed.poll')!
    const { poll: made, vote: cast } = recordsOf(redDwarf)
    await deliver(made, cast)
    expect((await get('/api/polls')).body).toMatchObject([
      { collection: redDwarf.poll, multiple: true, voteCount: 1, voters: 1 },
    ])
  })

  test('a question that is a post’s text is read from there, by its author’s own server', async () => {
    const network = await NetworkStandIn.start()
    try {
      await restart({ PLC_URL: network.plcUrl })
      const did = `did:plc:${'a'.repeat(24)}`
      const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
      const proof = await makeProof({ did, key: network.key }, async (add) =>
        add({
          l: null,
          e: [
            entry(
              `app.bsky.feed.post/${rkey}`,
              await add({ $type: 'app.bsky.feed.post', text: 'Tea, or not?', createdAt: iso(T0) }),
            ),
          ],
        }),
      )
      let asked = 0
      const pds = await network.serve((request, response) => {
        if (request.url!.includes('app.bsky.feed.post')) asked++
        response.end(proof)
      })
      network.register(did, pds)
      const { uri, poll: made } = recordsOf(tokimeki, did)
      await deliver(made)
      const name = encodeURIComponent(uri)
      expect((await get(`/api/polls/${name}`)).body).toMatchObject({
        text: 'Tea, or not?',
        post: expect.any(String),
      })
      expect((await get('/api/polls')).body).toMatchObject([{ text: 'Tea, or not?' }])
      const page = await fetch(`${base}/poll/${did}/${tokimeki.poll}/${rkey}`, {
        headers: { accept: 'text/html' },
      })
      expect(await page.text()).toContain('Tea, or not?')
      const watcher = await live()
      watcher.socket.send(JSON.stringify({ type: 'watch', uris: [uri] }))
      await vi.waitUntil(() => watcher.messages.length > 0)
      expect(watcher.messages).toMatchObject([{ type: 'snapshot', poll: { text: 'Tea, or not?' } }])
      watcher.socket.close()
      expect(asked).toBe(1)
    } finally {
      network.close()
    }
  })

  test('a question that is long in coming holds up no list and no tally, and is told to who watches when it is there', async () => {
    const network = await NetworkStandIn.start()
    try {
      await restart({ PLC_URL: network.plcUrl })
      const did = `did:plc:${'a'.repeat(24)}`
      const proof = await makeProof({ did, key: network.key }, async (add) =>
        add({
          l: null,
          e: [entry(`app.bsky.feed.post/${rkey}`, await add({ text: 'Tea, or not?' }))],
        }),
      )
      const answers: (() => void)[] = []
      network.register(did, await network.serve((_, response) => answers.push(() => response.end(proof))))
      const { uri, poll: made, vote: cast } = recordsOf(familyOfPoll.get('tech.tokimeki.poll.poll')!, did)
      await deliver(made)
      const watcher = await live()
      watcher.socket.send(JSON.stringify({ type: 'watch', uris: [uri] }))
      await vi.waitUntil(() => watcher.messages.length === 1)
      await deliver(cast)
      await vi.waitUntil(() => watcher.messages.length === 2)
      expect((await get('/api/polls')).body).toMatchObject([{ text: '' }])
      expect(watcher.messages).toMatchObject([
        { type: 'snapshot', poll: { text: '' } },
        { type: 'tally', total: 1 },
      ])
      await vi.waitUntil(() => answers.length > 0)
      for (const answer of answers) answer()
      await vi.waitUntil(() => watcher.messages.length > 2)
      expect(watcher.messages[2]).toMatchObject({
        type: 'snapshot',
        poll: { text: 'Tea, or not?', total: 1 },
      })
      watcher.socket.close()
    } finally {
      network.close()
    }
  })
})
