/** The doctor beside what is no tap, or named wrongly; e2e/doctor.test.ts has it beside real taps. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { familyOfPoll, home } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { WebSocketServer, type WebSocket } from 'ws'
import { emptyDatabase, isRemote, newFile } from '../../test/database.ts'
import { T0, iso, pollRecordIn, recordMessage } from '../../test/records.ts'
import { TapStandIn } from '../../test/tap-standin.ts'
import { readConfig } from '../config.ts'
import { readEvent } from '../ingest/events.ts'
import { apply } from '../store/counting/apply.ts'
import { openDatabase } from '../store/database.ts'
import { beat } from '../store/lease.ts'
import { migrate } from '../store/migrations.ts'
import { examine } from './examine.ts'
import { examineVoters } from './voters.ts'

const nobody = 'http://127.0.0.1:9'

let tap: TapStandIn

beforeEach(async () => (tap = await TapStandIn.listen()))
afterEach(() => tap.close())

/** What it says of taps, each with its state. */
async function saidOfTaps(tapUrl: string): Promise<string[]> {
  const config = readConfig({ DATABASE_URL: newFile(), PUBLIC_URL: nobody, PLC_URL: nobody, TAP_URL: tapUrl })
  const said: string[] = []
  for await (const { part, state, words } of examine(config))
    if (part.startsWith('TAP_URL')) said.push(`${state} ${part}: ${words}`)
  return said
}

test.each([
  ['does not know what a tap is asked', 404, '{"error":"NotFound"}'],
  ['answers something else', 200, '{"status":"ok"}'],
  ['answers no JSON', 200, '<html>'],
])('a server that has a /health and %s is no tap', async (_, status, body) => {
  const other = createServer((request, response) => {
    if (request.url === '/health') response.end('{"status":"ok"}')
    else response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => {
    other.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
  expect(await saidOfTaps(url)).toEqual([
    expect.stringMatching(`^bad TAP_URL ${url}: is no tap, by what it answers .*: is the address right\\?$`),
  ])
  other.close()
})

test('a tap that is named twice', async () => {
  const { url } = tap
  expect(await saidOfTaps(url)).toEqual([`good TAP_URL ${url}: answers`, expect.stringMatching(/^unknown/)])
  expect(await saidOfTaps(`${url},${url}/`)).toEqual([
    `bad TAP_URL: names ${url} twice: each tap has one consumer`,
    `good TAP_URL ${url}: answers`,
    expect.stringMatching(/^unknown/),
  ])
})

test('C11 a voter with several choices is one vote, and a poll that was only named is none', async () => {
  const url = newFile()
  const client = await openDatabase({ url, authToken: undefined })
  await migrate(client)
  const family = familyOfPoll.get(home.poll)!
  const at = { did: 'did:plc:alice', collection: home.poll, rkey: '3kaaaaaaaaaa2' }
  const uri = `at://${at.did}/${at.collection}/${at.rkey}`
  const record = pollRecordIn(family, { options: ['a', 'b', 'c'], time: T0, multiple: true })
  const vote = (key: string, subject: string, choices: number[]) => {
    const written = family.writeVote({ poll: { uri: subject }, choices, createdAt: iso(T0 + 1) })[0]!
    const voted = { did: 'did:plc:bob', collection: home.vote, rkey: key, rev: tid(T0 + 1) }
    return { ...voted, action: 'create' as const, live: true, record: { ...written.record } }
  }
  const events = [
    { ...at, rev: tid(T0), action: 'create' as const, live: true, record },
    vote('x', uri, [0, 1, 2]),
    vote('y', `${uri}x`, [0]),
  ]
  await apply(
    client,
    events.map((event) => readEvent(recordMessage(event)).change!),
    [],
  )
  client.close()
  const config = readConfig({ DATABASE_URL: url, PUBLIC_URL: nobody, PLC_URL: nobody, TAP_URL: '' })
  const said: string[] = []
  for await (const { part, words } of examine(config)) if (part === 'DATABASE_URL') said.push(words)
  expect(said).toEqual([expect.stringContaining('1 polls, 2 votes')])
})

/** What it says of Jetstreams and relays, each with its state. */
async function saidOfVoters(env: Record<string, string>): Promise<string[]> {
  const said: string[] = []
  for await (const { part, state, words } of examineVoters(readConfig(env), 200))
    said.push(`${state} ${part}: ${words}`)
  return said
}

test.each([
  ['a web server is no relay', '<h1>hello</h1>', 'bad'],
  ['a relay on http and a private address is one', '{"repos":[{"did":"did:plc:bob"}]}', 'good'],
])('%s', async (_, body, state) => {
  const server = createServer((_request, response) => response.end(body))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect((await saidOfVoters({ RELAY_URL: url, JETSTREAM_URL: '' }))[1]).toMatch(`${state} RELAY_URL: `)
  server.close()
  server.closeAllConnections()
})

test.each<[string, (socket: WebSocket) => void, string]>([
  [
    'closes',
    (socket) => socket.close(1008),
    'bad JETSTREAM_URL: none can be listened to .* closes with 1008',
  ],
  ['sends nothing', () => {}, 'bad JETSTREAM_URL: none can be listened to .* sends nothing'],
  [
    'sends something else',
    (socket) => socket.send('{"hello":1}'),
    'bad JETSTREAM_URL: none .* sends nothing',
  ],
  [
    'tells of accounts',
    (socket) => socket.send('{"did":"did:plc:bob","time_us":7,"kind":"account"}'),
    'good JETSTREAM_URL: 1 of 1 can be listened to$',
  ],
])('a WebSocket that %s', async (_, onConnection, expected) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', onConnection)
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect((await saidOfVoters({ JETSTREAM_URL: url, RELAY_URL: '' }))[0]).toMatch(new RegExp(expected))
  server.close()
})

test('ROLE on a file, and whom one that only serves does not need', async () => {
  const said = async (role: string) => {
    const env = { ROLE: role, DATABASE_URL: newFile(), PUBLIC_URL: nobody, PLC_URL: nobody, TAP_URL: nobody }
    const all: string[] = []
    for await (const { part, state } of examine(readConfig(env))) all.push(`${state} ${part}`)
    return all
  }
  expect(await said('ingest')).toContain('bad the processes')
  expect((await said('serve')).filter((it) => /TAP|JETSTREAM|RELAY|processes/.test(it))).toEqual([])
})

/** A file has one process, and nobody to agree with. */
const onServer = isRemote ? describe : () => {}

onServer('on a libSQL server', () => {
  test('it knows the processes', async () => {
    const database = await emptyDatabase()
    const client = await openDatabase(database)
    await migrate(client)
    const said = async () => {
      const env = {
        DATABASE_URL: database.url,
        DATABASE_AUTH_TOKEN: database.authToken,
        PUBLIC_URL: nobody,
        PLC_URL: nobody,
        ROLE: 'serve',
      }
      for await (const { part, state, words } of examine(readConfig(env)))
        if (part === 'the processes') return `${state}: ${words}`
      return ''
    }
    expect(await said()).toBe('bad: none was there within the last ten seconds')
    await beat(client, { id: 'a 1 x', role: 'serve', beat: 1 })
    expect(await said()).toBe(
      'bad: 0 may ingest, 1 serves, and none ingests: votes wait in tap. Start one with ROLE=ingest, or all',
    )
    await beat(client, { id: 'b 1 x', role: 'ingest', beat: 1 })
    expect(await said()).toMatch(/^good: 1 may ingest, 1 serves; b 1 x ingests, and nobody would take over/)
    await beat(client, { id: 'c 1 x', role: 'ingest', beat: 1 })
    await client.execute(`UPDATE processes SET schema = 1 WHERE id = 'a 1 x'`)
    expect(await said()).toBe('good: 2 may ingest, 1 serves; b 1 x ingests')
    client.close()
    await database.close()
  })
})
