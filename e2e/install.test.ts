/** A plain Linux machine without one: what docs/hosting.md has npm do there, in a copy of the checkout; then the unit's command. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyCheckout, root } from './checkout.ts'
import { freePort } from './network.ts'
import { answers, until } from './processes.ts'

const PREFIX = '/opt/pollz'

/** The commands of a section, one each. */
function commandsOf(section: string): string[] {
  const [, text] = readFileSync(join(root, 'docs/hosting.md'), 'utf8').split(`\n## ${section}\n`)
  const blocks = text!.split('\n## ')[0]!.matchAll(/^```sh\n(.*?)^```/gms)
  return [...blocks].flatMap(([, block]) =>
    block!
      .replaceAll('\\\n', ' ')
      .split(/\n|&&/)
      .map((command) => command.trim()),
  )
}

describe('a plain Linux machine', () => {
  const base = mkdtempSync(join(tmpdir(), 'pollz-install-'))
  const folder = join(base, 'pollz')
  let server: ChildProcess | undefined

  // The machine's own programs, none of this checkout's.
  const path = process.env['PATH']!.split(delimiter).filter((it) => !it.includes('node_modules'))
  const env = { ...process.env, PATH: path.join(delimiter) }

  beforeAll(async () => {
    copyCheckout('.', folder)
    const commands = commandsOf('3. A plain Linux machine').filter((it) => it.startsWith('sudo npm '))
    if (!commands.some((it) => it.startsWith('sudo npm ci ')))
      throw new Error('docs/hosting.md has no npm ci')
    for (const command of commands) {
      const [, file = '', ...args] = command.split(/\s+/)
      await promisify(execFile)(file, args, { cwd: folder, env, maxBuffer: 64 * 1024 * 1024 })
    }
  }, 300_000)

  afterAll(() => void server?.kill('SIGKILL'))

  test('has no tool that only tests, checks or browses', () => {
    const isThere = (name: string) => existsSync(join(folder, 'node_modules', name))
    expect(isThere('hono')).toBe(true)
    const tools = [
      'vitest',
      'playwright-core',
      'puppeteer-core',
      'wxt',
      'oxlint',
      'tsc',
      'typescript',
      '@atproto/dev-env',
    ]
    expect(tools.filter(isThere)).toEqual([])
  })

  test('serves pages by what systemd starts', async () => {
    const unit = readFileSync(join(root, 'deploy/systemd/pollz.service'), 'utf8')
    const command = /^ExecStart=(.*)$/m.exec(unit)![1]!.replaceAll(PREFIX, folder)
    const [file = '', ...args] = command.split(' ')
    const port = await freePort(0)
    server = spawn(file, args, {
      cwd: folder,
      env: {
        ...env,
        PORT: String(port),
        HOST: '127.0.0.1',
        DATABASE_URL: `file:${join(base, 'pollz.db')}`,
        TAP_URL: '',
        PLC_URL: 'http://127.0.0.1:9',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const url = `http://127.0.0.1:${port}`
    await until('the server', () => answers(`${url}/health`))
    const page = await (await fetch(url, { headers: { accept: 'text/html' } })).text()
    const script = /src="(\/assets\/[^"]+)"/.exec(page)![1]!
    expect((await fetch(`${url}${script}`)).status).toBe(200)
    const ended = new Promise((resolve) => server!.once('exit', resolve))
    server.kill('SIGTERM')
    expect(await ended).toBe(0)
  })
})
