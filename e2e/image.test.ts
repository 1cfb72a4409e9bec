/**
 * The Dockerfile without Docker: its steps, each stage in an empty folder of its own, as a plain user; then its command
 * and its health check, with nothing to be written but its data. What it takes from Debian is left out.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import {
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyCheckout, root } from './checkout.ts'
import { freePort } from './network.ts'
import { answers, until } from './processes.ts'

/** Whoever is root here becomes nobody. */
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0
const asPlainUser = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []

type Stage = { folder: string; env: Record<string, string>; command: string[]; healthCheck: string[] }

describe('the image', () => {
  const base = mkdtempSync(join(tmpdir(), 'pollz-image-'))
  const data = join(base, 'data')
  const home = join(base, 'home')
  const bin = join(base, 'bin')
  /** Node is the image's, which everybody may run: who becomes nobody may not enter every checkout. */
  const environment = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env['PATH']}`,
    HOME: home,
    TMPDIR: home,
    npm_config_cache: join(home, '.npm'),
  }
  let image: Stage
  let server: ChildProcess | undefined

  const mine = (path: string) => {
    if (!isRoot) return
    chownSync(path, NOBODY, NOBODY)
    if (statSync(path).isDirectory()) for (const name of readdirSync(path)) mine(join(path, name))
  }

  async function run({ folder, env }: Stage, command: string): Promise<void> {
    const [file = 'sh', ...args] = [...asPlainUser, 'sh', '-c', command]
    await promisify(execFile)(file, args, {
      cwd: folder,
      env: { ...environment, ...env },
      maxBuffer: 64 * 1024 * 1024,
    })
  }

  /** As much of a Dockerfile as ours has. */
  async function build(): Promise<Stage> {
    const text = readFileSync(join(root, 'Dockerfile'), 'utf8')
    const lines = text
      .replaceAll(/^#.*\n/gm, '')
      .replaceAll('\\\n', ' ')
      .split('\n')
      .filter((line) => line.trim() !== '')
    const stages = new Map<string, Stage>()
    let stage: Stage | undefined
    for (const line of lines) {
      const [instruction, ...words] = line.trim().split(/\s+/) as [string, ...string[]]
      const rest = line.trim().slice(instruction.length).trim()
      if (instruction === 'FROM') {
        const [from, , name = 'last'] = words as [string, ...string[]]
        const folder = join(base, name)
        mkdirSync(folder)
        const before = stages.get(from)
        if (before) cpSync(before.folder, folder, { recursive: true, verbatimSymlinks: true })
        mine(folder)
        stage = { folder, env: { ...before?.env }, command: [], healthCheck: [] }
        stages.set(name, stage)
        continue
      }
      if (!stage) throw new Error(`${instruction} before FROM`)
      const here = stage
      switch (instruction) {
        case 'COPY': {
          const other = /^--from=(\w+)$/.exec(words[0]!)?.[1]
          const paths = other === undefined ? words : words.slice(1)
          const source = other === undefined ? root : stages.get(other)!.folder
          const to = paths.at(-1)!
          for (const path of paths.slice(0, -1)) {
            const from = join(source, other === undefined ? path : path.replace(/^\/app/, ''))
            const intoFolder = to.endsWith('/') || to === '.'
            const target =
              intoFolder && !statSync(from).isDirectory()
                ? join(here.folder, to, basename(path))
                : join(here.folder, to)
            mkdirSync(dirname(target), { recursive: true })
            if (other === undefined) copyCheckout(path, target)
            else cpSync(from, target, { recursive: true, verbatimSymlinks: true })
            mine(target)
            mine(dirname(target))
          }
          break
        }
        case 'RUN':
          if (rest.includes('apt-get')) break
          if (rest.startsWith('mkdir /data')) mkdirSync(data)
          else await run(here, rest)
          break
        case 'ENV':
          for (const word of words) {
            const [name, value] = word.split(/=(.*)/) as [string, string]
            here.env[name] = value.replace('/data/', `${data}/`)
          }
          break
        case 'CMD':
          here.command = JSON.parse(rest) as string[]
          break
        case 'HEALTHCHECK':
          here.healthCheck = JSON.parse(rest.slice(rest.indexOf('['))) as string[]
          break
        case 'WORKDIR':
        case 'USER':
        case 'VOLUME':
        case 'EXPOSE':
          break
        default:
          throw new Error(`the Dockerfile has ${instruction}, which this test does not know`)
      }
    }
    return stage!
  }

  beforeAll(async () => {
    // Its files are for everybody to read.
    await promisify(execFile)('chmod', ['755', base])
    mkdirSync(home)
    mine(home)
    mkdirSync(bin)
    copyFileSync(process.execPath, join(bin, 'node'))
    image = await build()
    mine(data)
  }, 300_000)

  afterAll(async () => {
    server?.kill('SIGKILL')
    // Else only root could remove it.
    await promisify(execFile)('chmod', ['-R', 'u+w', base])
  })

  test('runs, reads and draws as a user who may write nothing but its data', async () => {
    await promisify(execFile)('chmod', ['-R', 'a-w', image.folder])
    const port = await freePort(0)
    const env = {
      ...environment,
      ...image.env,
      PORT: String(port),
      HOST: '127.0.0.1',
      TAP_URL: '',
      PLC_URL: 'http://127.0.0.1:9',
    }
    const [file = 'node', ...args] = [...asPlainUser, ...image.command]
    server = spawn(file, args, { cwd: image.folder, env, stdio: ['ignore', 'ignore', 'inherit'] })
    /** @returns its exit code; Docker knows 0 and 1 */
    const healthCheck = () => {
      const [file = 'node', ...args] = [...asPlainUser, ...image.healthCheck]
      return promisify(execFile)(file, args, { cwd: image.folder, env }).then(
        () => 0,
        ({ code }: { code: unknown }) => code,
      )
    }
    const url = `http://127.0.0.1:${port}`
    await until('the server', () => answers(`${url}/health`))
    expect(await healthCheck()).toBe(0)
    const page = await (await fetch(url, { headers: { accept: 'text/html' } })).text()
    const script = /src="(\/assets\/[^"]+)"/.exec(page)![1]!
    expect((await fetch(`${url}${script}`)).status).toBe(200)
    expect(existsSync(join(data, 'pollz.db'))).toBe(true)
    const ended = new Promise((resolve) => server!.once('exit', resolve))
    server.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(await healthCheck()).toBe(1)
  })

  test('is small: it has nothing of what only builds, tests or browses', () => {
    const packages = readdirSync(join(image.folder, 'node_modules'))
    for (const name of ['vite', 'vitest', 'wxt', 'playwright-core', 'tsc', 'typescript', 'node', 'rolldown'])
      expect(packages).not.toContain(name)
    expect(existsSync(join(image.folder, 'e2e', 'network.ts'))).toBe(false)
  })
})
