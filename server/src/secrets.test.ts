/** What is secret is in no line that the server or a command writes, whatever goes wrong. */
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { runCommand } from '../test/command.ts'
import { newFile } from '../test/database.ts'
import { LibsqlServer } from '../test/libsql-server.ts'

const SECRETS = { DATABASE_AUTH_TOKEN: 'database-secret', TAP_ADMIN_PASSWORD: 'tap-secret' }
const main = join(import.meta.dirname, 'main.ts')

/** Runs the server until it has said something that matches, or has ended. @returns all that it said */
async function outputOf(env: Record<string, string>, until: RegExp): Promise<string> {
  const server = spawn('node', [main], {
    env: { ...process.env, PORT: '0', HOST: '127.0.0.1', LOG_LEVEL: 'debug', ...SECRETS, ...env },
  })
  let output = ''
  const enough = new Promise<void>((resolve) => {
    for (const stream of [server.stdout, server.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString()
        if (until.test(output)) resolve()
      })
    server.once('exit', () => resolve())
  })
  await enough
  if (server.exitCode === null) {
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
  return output
}

test(
  'a tap that refuses its password, a database that is away, a token that is wrong',
  { timeout: 40_000 },
  async () => {
    // It says back what it was sent, as some do.
    const tap = createServer((request, response) => {
      response.writeHead(401).end(`no: ${request.headers.authorization}`)
    })
    await new Promise<void>((resolve) => {
      tap.listen(0, '127.0.0.1', resolve)
    })
    const tapUrl = `http://127.0.0.1:${(tap.address() as AddressInfo).port}`
    const database = await LibsqlServer.start()
    const outputs = [
      await outputOf({ DATABASE_URL: newFile(), TAP_URL: tapUrl }, /"level":"warn".*tap/),
      await outputOf({ DATABASE_URL: database.url, TAP_URL: '' }, /DATABASE_URL/),
      await outputOf({ DATABASE_URL: 'http://127.0.0.1:9', TAP_URL: '' }, /DATABASE_URL/),
      await outputOf({ DATABASE_URL: 'libsql://x.example?authToken=url-secret' }, /DATABASE_URL/),
      await outputOf({ DATABASE_URL: 'nonsense?authToken=url-secret' }, /DATABASE_URL/),
      await outputOf({ DATABASE_URL: newFile(), TAP_URL: 'http://admin:url-secret@127.0.0.1:9' }, /TAP_URL/),
    ]
    expect(outputs[0]).toContain(tapUrl)
    for (const output of outputs) {
      expect(output).toMatch(/DATABASE_URL|TAP_URL|tap/)
      expect(output).not.toMatch(/(database|tap|url)-secret/)
      // Base64 of "admin:tap-secret".
      expect(output).not.toContain(Buffer.from('admin:tap-secret').toString('base64'))
    }
    tap.close()
    await database.close()
  },
)

/** What an operator may have written, and what is wrong with each: all of it has `url-secret` in it. */
const WRONG_URLS = [
  'libsql://database.example?authToken=url-secret',
  'libsql://database.example?authtoken=url-secret',
  'libsql://database.example?jwt=url-secret',
  'libsql://database.example#url-secret',
  'http://user:url-secret@127.0.0.1:9',
  'http://url-secret@127.0.0.1:9',
  'postgres://user:url-secret@127.0.0.1:9/pollz',
  'file:data/pollz.db?authToken=url-secret',
  'nonsense?authToken=url-secret',
]

/** Answers anything with an error that says back what it was sent, once it is told to; passes all on until then. */
async function listenTelltale(target: string) {
  const telltale = { url: '', tells: false, close: () => server.close() }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { authorization = '' } = request.headers
    if (telltale.tells) {
      const message = `who is ${authorization}?`
      // As text, as the JSON that the client reads, and as what becomes of a statement.
      // Not in turns: those who ask may do so in turns as well.
      const kind = randomInt(3)
      if (kind === 0) response.writeHead(500, { 'content-type': 'text/plain' }).end(message)
      const json = { 'content-type': 'application/json' }
      if (kind === 1) response.writeHead(401, json).end(JSON.stringify({ message, code: 'AUTH' }))
      const { requests = [] } =
        kind === 2 ? (JSON.parse(Buffer.concat(chunks).toString()) as { requests?: [] }) : {}
      const results = requests.map(() => ({ type: 'error', error: { message, code: 'AUTH' } }))
      if (kind === 2)
        response.writeHead(200, json).end(JSON.stringify({ baton: null, base_url: null, results }))
      return
    }
    const answer = await fetch(`${target}${request.url}`, {
      method: request.method!,
      headers: { authorization, 'content-type': request.headers['content-type'] ?? '' },
      ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
    })
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
    response.end(Buffer.from(await answer.arrayBuffer()))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  telltale.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return telltale
}

test('a database that tells its token later: neither the log nor an answer says it', async () => {
  const database = await LibsqlServer.start()
  const telltale = await listenTelltale(database.url)
  const server = spawn('node', [main], {
    env: {
      ...process.env,
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'debug',
      TAP_URL: '',
      DATABASE_URL: telltale.url,
      DATABASE_AUTH_TOKEN: database.authToken,
    },
  })
  let log = ''
  server.stderr.on('data', (data: Buffer) => (log += data.toString()))
  const base = await vi.waitUntil(() => {
    const port = /"listening","port":(\d+)/.exec(log)?.[1]
    return port && `http://127.0.0.1:${port}`
  })
  telltale.tells = true
  const answers: string[] = []
  const get = async (path: string) => {
    const answer = await (await fetch(`${base}${path}`)).text()
    answers.push(answer)
    return answer
  }
  // Both of the errors that its ways come to are seen in what the server says of it.
  const ready = new Set<string>()
  await vi.waitUntil(
    async () => {
      const { database: said } = JSON.parse(await get('/ready')) as { database: string }
      ready.add(said)
      await get('/api/polls')
      await get('/')
      return ready.size > 2
    },
    { interval: 200 },
  )
  server.kill('SIGTERM')
  await once(server, 'exit')
  expect(log).toContain('who is')
  expect([...ready].join()).toContain('who is')
  for (const text of [log, ...answers]) expect(text).not.toContain(database.authToken)
  telltale.close()
  await database.close()
})

describe('nor in what a command says', () => {
  const nowhere = 'http://127.0.0.1:9'
  const commands: [string, string[]][] = [
    ['doctor', []],
    ['recount', []],
    ['hide', []],
    ['hide', ['--show', 'did:plc:alice']],
    ['backup', [`${newFile().slice('file:'.length)}.backup`]],
  ]
  const env = { ...SECRETS, TAP_URL: nowhere, PUBLIC_URL: nowhere, PLC_URL: nowhere }

  /** Runs each command on a database. @returns what does not fail in words, or tells a secret */
  async function faults(url: string, token: string | undefined): Promise<unknown[]> {
    const all: [string, string[]][] = [...commands, ['move', [url, newFile()]], ['move', [newFile(), url]]]
    const found: unknown[] = []
    for (const [command, args] of all) {
      const { code, text } = await runCommand(command, args, {
        ...env,
        DATABASE_URL: url,
        DATABASE_AUTH_TOKEN: token ?? env.DATABASE_AUTH_TOKEN,
        FROM_AUTH_TOKEN: token ?? 'from-secret',
        TO_AUTH_TOKEN: token ?? 'to-secret',
      })
      const failsInWords = (code === 1 || code === 2) && /DATABASE_URL|FROM|TO/.test(text)
      if (!failsInWords || /-secret|\n\s+at /.test(text)) found.push({ command, args, code, text })
    }
    return found
  }

  test.each(WRONG_URLS)('where the address is %s', async (url) => {
    expect(await faults(url, undefined)).toEqual([])
  })

  test('where the token is wrong, can’t be sent, or the server is away or tells it', async () => {
    const database = await LibsqlServer.start()
    const telltale = await listenTelltale(database.url)
    telltale.tells = true
    for (const [url, token] of [
      [database.url, 'wrong-secret'],
      [database.url, 'two-\n-secret'],
      [database.url, 'shortened-…-secret'],
      [nowhere, 'other-secret'],
      // Each command meets another of its ways.
      [telltale.url, 'told-secret'],
      [telltale.url, 'told-secret'],
    ] as const)
      expect(await faults(url, token)).toEqual([])
    telltale.close()
    await database.close()
  })
})
