import { spawn } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { leftBehind } from './temporary.ts'

test('tests have a temporary directory of their run’s own', () => {
  expect(basename(tmpdir())).toMatch(/^pollz-run-\w{6}$/)
  expect(existsSync(tmpdir())).toBe(true)
})

test('a run within a run uses the same one', () => {
  expect(basename(dirname(tmpdir()))).not.toMatch(/^pollz-run-/)
})

/** Runs Vitest with the setup in a temporary directory that is empty. @returns the directory, and its exit code */
function run(body: string) {
  const base = mkdtempSync(join(tmpdir(), 'pollz-setup-'))
  const real = join(base, 'tmp')
  const project = join(base, 'project')
  mkdirSync(real)
  mkdirSync(project)
  const setup = JSON.stringify(join(import.meta.dirname, 'temporary.ts'))
  writeFileSync(join(project, 'vitest.config.mjs'), `export default { test: { globalSetup: ${setup} } }`)
  writeFileSync(
    join(project, 'a.test.mjs'),
    `import { mkdtempSync, writeFileSync } from 'node:fs'
    import { tmpdir } from 'node:os'
    import { join } from 'node:path'
    test('a', async () => {
      writeFileSync(join(mkdtempSync(join(tmpdir(), 'pollz-test-')), 'file'), 'text')
      writeFileSync(${JSON.stringify(join(base, 'started'))}, '')
      ${body}
    }, 0)`,
  )
  const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--globals', '--root', project], {
    env: { ...process.env, TMPDIR: real, VITEST: undefined },
    stdio: 'ignore',
  })
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  return { child, ended, real, hasStarted: () => existsSync(join(base, 'started')) }
}

test.each([
  ['pass', '', 0],
  ['fail', 'expect(1).toBe(2)', 1],
])('nothing is left when tests %s', { timeout: 60_000 }, async (_, body, code) => {
  const { ended, real, hasStarted } = run(body)
  expect(await ended).toBe(code)
  expect(hasStarted()).toBe(true)
  expect(readdirSync(real)).toEqual([])
})

test.each(['SIGINT', 'SIGTERM'] as const)('nor after %s', { timeout: 60_000 }, async (signal) => {
  const { child, ended, real, hasStarted } = run('await new Promise(() => {})')
  await vi.waitUntil(hasStarted, { timeout: 50_000 })
  expect(readdirSync(real)).not.toEqual([])
  child.kill(signal)
  expect(await ended).not.toBe(0)
  expect(readdirSync(real)).toEqual([])
})

// As Chromium: in a process group of its own, with folders that it makes whenever it writes; its helpers have no environment.
test.skipIf(!existsSync('/proc')).each([
  ['has the directory as TMPDIR', 'process.env', ''],
  ['has it in an argument', '{}', `'--user-data-dir=' + tmpdir() + '/profile'`],
])(
  'what outlives Ctrl-C and %s is ended, and makes nothing again',
  { timeout: 60_000 },
  async (_, env, argument) => {
    const again = `setInterval(() => require('fs').mkdirSync(process.argv[1] + '/again', { recursive: true }), 1)`
    const pidFile = join(mkdtempSync(join(tmpdir(), 'pollz-outlives-')), 'pid')
    const { child, ended, real } = run(`
      const { spawn } = await import('node:child_process')
      const args = ['-e', ${JSON.stringify(again)}, '--', tmpdir(), ${argument}]
      const { pid } = spawn(process.execPath, args, { detached: true, stdio: 'ignore', env: ${env} })
      writeFileSync(${JSON.stringify(pidFile)}, String(pid))
      await new Promise(() => {})`)
    const pid = await vi.waitUntil(() => existsSync(pidFile) && Number(readFileSync(pidFile, 'utf8')))
    await vi.waitUntil(() => readdirSync(real).some((it) => existsSync(join(real, it, 'again'))))
    child.kill('SIGINT')
    await ended
    // Gone, or not yet collected by its parent.
    await vi.waitUntil(() => {
      try {
        return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
      } catch {
        return true
      }
    })
    expect(readdirSync(real)).toEqual([])
  },
)

test('what is left is named, what others put there at the same time is not', () => {
  const others = ['pollz-run-other1', 'pollz-test-abcdef', 'pollz-abcdef', 'go-build123', 'systemd-private']
  const folder = join(tmpdir(), 'pollz-run-abcdef')
  expect(leftBehind(others, folder)).toEqual([])
  expect(leftBehind([...others, 'pollz-run-abcdef'], folder)).toEqual(['pollz-run-abcdef'])
})

test('no source names a temporary directory: all ask the system, which says the run’s own', () => {
  const root = join(import.meta.dirname, '..')
  const sources = globSync(
    '{shared,check,widget,client,engine,extension,site,server,tap,deploy,e2e,scripts}/**/*.{ts,tsx,mjs}',
    {
      cwd: root,
      exclude: ['**/node_modules/**', '**/.output/**', '**/.wxt/**'],
    },
  )
  expect(sources).toContain('scripts/temporary.test.ts')
  const named = /['"`]\/(?:var\/)?tmp\b/
  expect(sources.filter((file) => named.test(readFileSync(join(root, file), 'utf8')))).toEqual([])
})
