/** The commands beside the server, as an operator calls them, on the database that a server is running on. */
import { existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { runCommand } from '../../test/command.ts'
import { emptyDatabase, loadRelease, newFile } from '../../test/database.ts'
import { LibsqlServer } from '../../test/libsql-server.ts'
import { T0, identityMessage, pollEvent, pollUri, voteEvent, type RecordEvent } from '../../test/records.ts'
import { readConfig } from '../config.ts'
import { readEvent, readRecord, type Change } from '../ingest/events.ts'
import { createLog } from '../log.ts'
import { startServer } from '../server.ts'
import { openDatabase } from '../store/database.ts'
import { hiddenAfter } from '../store/hidden.ts'
import { newestPolls } from '../store/queries.ts'
import { recount } from '../store/recount.ts'
import { Writer } from '../writer.ts'

const alice = 'did:plc:alice'
const bob = 'did:plc:bob'
const tea = pollUri(alice, '3kaaaaaaaaaa2')
const coffee = pollUri(bob, '3kbbbbbbbbbb2')

let database: Awaited<ReturnType<typeof emptyDatabase>>

const change = (event: RecordEvent): Change => readRecord(event, event.record ?? null, false).change

async function fill(): Promise<void> {
  const store = await Writer.open(database)
  await store.storeChanges([
    change(pollEvent(tea, ['yes', 'no'], T0)),
    change(pollEvent(coffee, ['black', 'white'], T0)),
    ...Array.from({ length: 1_200 }, (_, i) =>
      change(voteEvent(`did:plc:voter${i}`, i % 3 === 0 ? coffee : tea, i % 2, T0 + i)),
    ),
    change(voteEvent(bob, tea, null, T0 + 1)),
    readEvent(identityMessage(bob, 'active', 'bob.example')).change!,
  ])
  await store.close()
}

beforeEach(async () => {
  database = await emptyDatabase()
  await fill()
})
afterEach(() => database.close())

const run = (command: string, args: string[], env: Record<string, string | undefined> = {}) =>
  runCommand(command, args, {
    DATABASE_URL: database.url,
    DATABASE_AUTH_TOKEN: database.authToken,
    PUBLIC_URL: 'http://127.0.0.1:3000',
    ...env,
  })

describe('recount', () => {
  test('finds nothing, and a tally that somebody has changed', async () => {
    expect(await run('recount', [])).toMatchObject({
      code: 0,
      text: expect.stringMatching(/^1200 votes .* 0 differences/),
    })
    const client = await openDatabase(database)
    await client.execute('UPDATE tallies SET n = n + 1 WHERE option = 1')
    client.close()
    expect(await run('recount', [])).toMatchObject({
      code: 1,
      text: expect.stringContaining('the tally says'),
    })
  })
})

describe('backup and move', () => {
  const file = () => join(mkdtempSync(join(tmpdir(), 'pollz-backup-')), 'backup.db')

  test('a backup has everything, is counted again, and overwrites nothing', async () => {
    const to = file()
    expect(await run('backup', [to])).toMatchObject({
      code: 0,
      text: expect.stringMatching(/"votes":1201,.*"counted":1200.* 0 differences/),
    })
    // One file, without what SQLite keeps beside one that is open.
    expect(readdirSync(dirname(to))).toEqual(['backup.db'])
    expect(await run('recount', [], { DATABASE_URL: `file:${to}`, DATABASE_AUTH_TOKEN: '' })).toMatchObject({
      code: 0,
    })
    expect(await run('backup', [to])).toMatchObject({
      code: 2,
      text: expect.stringContaining('is there already'),
    })
    expect((await run('backup', [])).code).toBe(2)
  })

  test('to a libSQL server and back: the same counts everywhere', async () => {
    const server = await LibsqlServer.start()
    const tokens = { FROM_AUTH_TOKEN: database.authToken, TO_AUTH_TOKEN: server.authToken }
    const there = await run('move', [database.url, server.url], tokens)
    expect(there).toMatchObject({ code: 0, text: expect.stringContaining('"counted":1200') })
    const back = newFile()
    expect(await run('move', [server.url, back], { FROM_AUTH_TOKEN: server.authToken })).toMatchObject({
      code: 0,
      text: there.text,
    })
    // Never into one that has something, and never with a word of the token.
    const again = await run('move', [server.url, back], { FROM_AUTH_TOKEN: server.authToken })
    expect(again).toMatchObject({ code: 2, text: expect.stringContaining('not empty') })
    const denied = await run('move', [server.url, newFile()], { FROM_AUTH_TOKEN: 'wrong-token' })
    expect(denied.code).toBe(2)
    expect(denied.text).not.toContain('wrong-token')
    await server.close()
  })
})

describe('hide and show', () => {
  let stop: AbortController
  let base: string
  let done: Promise<void>

  beforeEach(async () => {
    stop = new AbortController()
    const config = readConfig({
      PORT: '0',
      HOST: '127.0.0.1',
      DATABASE_URL: database.url,
      DATABASE_AUTH_TOKEN: database.authToken,
      TAP_URL: '',
      PLC_URL: 'http://127.0.0.1:9',
      LOG_LEVEL: 'error',
      RECONCILE_PAUSE: '0',
    })
    const server = await startServer(config, createLog('error'), stop.signal)
    base = `http://127.0.0.1:${server.port}`
    done = server.done
  })
  afterEach(async () => {
    stop.abort()
    await done
  })

  const get = async (path: string) => {
    const response = await fetch(`${base}${path}`, { headers: { accept: 'application/json' } })
    return { status: response.status, body: (await response.json()) as unknown }
  }
  const status = async (path: string) =>
    (await fetch(`${base}${path}`, { headers: { accept: 'text/html' } })).status
  const listed = async (query = '') =>
    ((await get(`/api/polls${query}`)).body as { uri: string }[]).map(({ uri }) => uri).toSorted()
  const pathOf = (uri: string) => `/api/polls/${encodeURIComponent(uri)}`
  const becomes = (path: string, expected: number) =>
    vi.waitUntil(async () => (await get(path)).status === expected, { timeout: 10_000, interval: 50 })

  test('a hidden poll is hidden everywhere, live, and changes no count', async () => {
    const socket = new WebSocket(`${base.replace('http', 'ws')}/live`)
    const heard: { type: string; uri?: string; error?: string }[] = []
    socket.on('message', (data) => heard.push(JSON.parse(String(data)) as { type: string }))
    await new Promise((resolve) => socket.once('open', resolve))
    socket.send(JSON.stringify({ type: 'watch', uris: [tea] }))
    await vi.waitUntil(() => heard.some(({ type }) => type === 'snapshot'))

    const link = `http://127.0.0.1:3000/poll/${alice}/3kaaaaaaaaaa2`
    expect(await run('hide', [link, 'against', 'the', 'rules'])).toMatchObject({
      code: 0,
      text: expect.stringContaining(`${tea} is hidden`),
    })
    await becomes(pathOf(tea), 410)
    expect((await get(pathOf(tea))).body).toMatchObject({ error: 'Hidden' })
    await vi.waitUntil(() => heard.some(({ uri, error }) => uri === tea && error === 'Hidden'))
    expect(await listed()).toEqual([coffee])
    expect((await get(`/api/tallies?uri=${encodeURIComponent(tea)}`)).body).toMatchObject([
      { error: 'Hidden' },
    ])
    for (const path of [
      `/poll/${alice}/3kaaaaaaaaaa2`,
      `/poll/${alice}/3kaaaaaaaaaa2/card.png`,
      `/embed/${alice}/3kaaaaaaaaaa2`,
      `${pathOf(tea)}/votes`,
    ])
      expect([path, await status(path)]).toEqual([path, 410])
    expect(await run('hide', [])).toMatchObject({
      code: 0,
      text: expect.stringContaining('against the rules'),
    })
    expect((await run('recount', [])).code).toBe(0)

    await run('hide', ['--show', tea])
    await becomes(pathOf(tea), 200)
    expect((await get(pathOf(tea))).body).toMatchObject({ total: 800 })
    await vi.waitUntil(() => heard.at(-1)?.type === 'snapshot')
    expect(await run('hide', [])).toMatchObject({ text: expect.stringContaining('0 hidden') })
    socket.close()
  })

  test('a hidden account: its polls and its name are, its vote still counts', async () => {
    const voter = 'did:plc:voter1'
    await run('hide', [voter])
    await run('hide', ['bob.example'])
    await becomes(pathOf(coffee), 410)
    const names = ((await get(`${pathOf(tea)}/votes?limit=100`)).body as { voter: string }[]).map(
      (it) => it.voter,
    )
    expect(names).not.toContain(voter)
    expect(names).toContain('did:plc:voter2')
    expect((await get(pathOf(tea))).body).toMatchObject({ total: 800 })
    // Their own client finds it all the same, or it would write a second one.
    expect((await get(`${pathOf(tea)}/votes?voter=${voter}`)).body).toMatchObject([{ voter }])
  })

  test('where they change nothing they say so, and add nothing', async () => {
    const steps: [string[], string][] = [
      [['--show', tea], `${tea} was not hidden`],
      [[tea, 'spam'], `${tea} is hidden`],
      [[tea], `${tea} was hidden already`],
      [[tea, 'spam'], `${tea} was hidden already`],
      [[tea, 'against', 'the', 'rules'], `${tea} was hidden already, now for another reason`],
      [['--show', tea], `${tea} is shown again`],
      [['--show', tea], `${tea} was not hidden`],
      [['--show', `at://${bob}/tech.waow.poll/none`], `at://${bob}/tech.waow.poll/none was not hidden`],
    ]
    for (const [args, text] of steps)
      expect([args, await run('hide', args)]).toEqual([args, { code: 0, text: `${text}\n` }])
    const client = await openDatabase(database)
    expect((await hiddenAfter(client, 0)).map(({ reason, hidden }) => [reason, hidden])).toEqual([
      ['spam', true],
      ['against the rules', true],
      ['', false],
    ])
    client.close()
  })

  test('what is no poll and no account is refused in words', async () => {
    for (const wrong of ['nonsense', 'at://did:plc:a/app.bsky.feed.post/1', 'nobody.example'])
      expect((await run('hide', [wrong])).code).toBe(2)
    expect((await run('hide', ['nonsense'])).text).toContain('expected the link or at-uri of a poll')
  })
})

describe('a database of the release before', () => {
  let old: Awaited<ReturnType<typeof emptyDatabase>>

  beforeEach(async () => {
    old = await emptyDatabase()
    await loadRelease('release-0.2.0.sql', old)
  })
  afterEach(() => old.close())

  const runOnOld = (command: string, args: string[]) =>
    run(command, args, { DATABASE_URL: old.url, DATABASE_AUTH_TOKEN: old.authToken })
  const schema = async (of: { url: string; authToken: string | undefined }) => {
    const client = await openDatabase(of)
    const { rows } = await client.execute('SELECT name, sql FROM sqlite_schema ORDER BY name')
    client.close()
    return rows.map((row) => `${row['name']} ${row['sql']}`)
  }

  test('stays one, whatever command looks at it, and so does its backup', async () => {
    const before = await schema(old)
    const to = join(mkdtempSync(join(tmpdir(), 'pollz-backup-')), 'backup.db')
    expect(await runOnOld('backup', [to])).toMatchObject({ code: 0 })
    expect(await runOnOld('recount', [])).toMatchObject({ code: 0 })
    expect(await runOnOld('hide', ['did:plc:alice', 'spam'])).toMatchObject({ code: 0 })
    expect(await runOnOld('hide', [])).toMatchObject({ text: expect.stringContaining('did:plc:alice') })
    const doctor = await runOnOld('doctor', [])
    expect(doctor.text).toMatch(/DATABASE_URL: .*schema 2, which this release of the server brings to 5/)
    expect(await schema(old)).toEqual(before)
    const backup = { url: `file:${to}`, authToken: undefined }
    expect((await schema(backup)).filter((it) => /^(votes|polls|tallies) /.test(it))).toEqual(
      before.filter((it) => /^(votes|polls|tallies) /.test(it)),
    )
    // And the new release takes the backup over, with every list readable.
    const writer = await Writer.open(backup)
    expect((await newestPolls(writer.reader, 100, undefined)).items.length).toBeGreaterThan(3)
    expect(await recount(writer.reader)).toEqual([])
    await writer.close()
  })
})

test('a command makes no database where there is none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pollz-none-'))
  const url = `file:${join(folder, 'none/p.db')}`
  for (const command of ['recount', 'hide', 'backup'])
    expect(await run(command, ['x'], { DATABASE_URL: url })).toMatchObject({
      code: 2,
      text: expect.stringContaining('DATABASE_URL: there is no database at'),
    })
  expect(readdirSync(folder)).toEqual([])
})

test('a database that can’t be opened is called by what names it, once', async () => {
  const none = 'file:/proc/none/x.db'
  expect(await run('move', [none, newFile()])).toMatchObject({
    code: 2,
    text: expect.stringMatching(/^FROM: can't open file:/),
  })
  expect(await run('move', [database.url, none], { FROM_AUTH_TOKEN: database.authToken })).toMatchObject({
    code: 2,
    text: expect.stringMatching(/^TO: can't open file:/),
  })
  const { text } = await run('doctor', [], { DATABASE_URL: none, PLC_URL: 'http://127.0.0.1:9', TAP_URL: '' })
  expect(text).toMatch(/^✗ DATABASE_URL: can't open file:/m)
})

test('an address with a secret in it is refused, and not repeated', async () => {
  for (const address of ['libsql://x.example?authToken=secret', 'https://user:secret@x.example']) {
    const moved = await run('move', [address, newFile()])
    expect(moved).toMatchObject({ code: 2, text: expect.stringContaining('FROM: expected no password') })
    expect(moved.text).not.toContain('secret')
  }
})

test('a file that is no database is an error in words', async () => {
  const { code, text } = await run('recount', [], { DATABASE_URL: `file:${import.meta.filename}` })
  expect(code).toBe(2)
  expect(text).toMatch(/^DATABASE_URL: can't open .*commands\.test\.ts: [^\n]+\n$/)
  expect(existsSync(import.meta.filename)).toBe(true)
})
