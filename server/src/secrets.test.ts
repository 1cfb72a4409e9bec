/** What is secret is in no line that the server or a command writes, whatever goes wrong. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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

test('nor in what a command says', { timeout: 40_000 }, async () => {
  const doctor = join(import.meta.dirname, 'commands/doctor.ts')
  const output = await new Promise<string>((resolve) => {
    execFile(
      'node',
      [doctor],
      {
        env: {
          ...process.env,
          ...SECRETS,
          DATABASE_URL: 'http://127.0.0.1:9',
          TAP_URL: 'http://127.0.0.1:9',
          PUBLIC_URL: 'http://127.0.0.1:9',
          PLC_URL: 'http://127.0.0.1:9',
        },
      },
      (_, stdout, stderr) => resolve(stdout + stderr),
    )
  })
  expect(output).toContain('✗ DATABASE_URL')
  expect(output).not.toMatch(/-secret/)
})
