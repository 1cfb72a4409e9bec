/**
 * What stands behind `npm run demo`, `npm test` and the rest: sets up what is missing, then runs the command on the
 * project's own Node. Plain JavaScript without packages, for any Node from 20 on.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { findTap } from '../tap/find.mjs'
import { findChromium, findFirefox, missingLanguages } from './browsers.mjs'

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules', '.bin')
const say = (message) => process.stderr.write(`▸ ${message}\n`)

function fail(message) {
  process.stderr.write(`✗ ${message}\n`)
  process.exit(1)
}

const changed = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0)

/** The project's own Node first: npm scripts and what they start find it as `node`. */
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }

function packages() {
  // npm writes this file at the end of each installation.
  const installed = changed(join(root, 'node_modules', '.package-lock.json'))
  if (installed >= changed(join(root, 'package-lock.json')) && existsSync(join(bin, 'node'))) return
  say(installed ? 'updating the npm packages' : 'installing the npm packages (about a minute, once)')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) fail('npm ci failed')
}

/** When a file, or something below a folder, was changed last. */
const newestIn = (path) => {
  const at = join(root, path)
  if (!statSync(at).isDirectory()) return changed(at)
  return Math.max(...readdirSync(at, { recursive: true }).map((name) => changed(join(at, name))))
}

function lexicons() {
  const made = changed(join(root, 'shared/src/lexicons/index.ts'))
  if (made > newestIn('shared/lexicons')) return
  say('generating types and validators from the lexicons')
  npm('run', '--silent', 'prepare')
}

/** The server's pages, and what they run in browsers. */
function site() {
  const made = changed(join(root, 'site/.output/server/server.js'))
  const sources = [
    'site/src',
    'check/src',
    'engine/src',
    'widget',
    'shared/src',
    'package-lock.json',
    'site/build.ts',
  ]
  if (made > Math.max(...sources.map(newestIn))) return
  say('building the server’s pages')
  npm('run', '--silent', 'build', '-w', 'site')
}

function npm(...args) {
  const { status } = spawnSync('npm', args, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) fail(`npm ${args.join(' ')} failed`)
}

function run(file, ...args) {
  const { status } = spawnSync(file, args, { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) fail(`${file} ${args.join(' ')} failed`)
}

/** Runs a program until it ends, handing on the signals, and ends as it ends. */
async function handOver(file, args = []) {
  const child = spawn(join(bin, 'node'), [join(root, file), ...args], {
    cwd: root,
    env,
    stdio: 'inherit',
  })
  // Ctrl-C reaches the child by itself; this process only has to outlive it.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code))
}

async function browserAndTap() {
  const tap = findTap(say)
  if ('command' in tap) env.POLLZ_TAP = JSON.stringify(tap.command)
  else env.POLLZ_TAP_MISSING = tap.missing
  env.CHROMIUM = await findChromium(say)
}

/** What only tests need: without it they skip something, and say so. */
async function moreForTests() {
  const firefox = await findFirefox(say)
  if ('command' in firefox) env.FIREFOX = firefox.command
  else env.POLLZ_FIREFOX_MISSING = firefox.missing
  const languages = missingLanguages(env.CHROMIUM, say)
  if (languages) env.POLLZ_LANGUAGES_MISSING = languages
}

const command = process.argv[2]
try {
  packages()
  lexicons()
  site()
  switch (command) {
    case 'setup':
      await browserAndTap()
      await moreForTests()
      break
    case 'demo':
      await browserAndTap()
      if (env.POLLZ_TAP_MISSING) fail(env.POLLZ_TAP_MISSING)
      await handOver('e2e/demo.ts')
      break
    case 'test':
      await browserAndTap()
      await moreForTests()
      await handOver('scripts/test.ts', process.argv.slice(3))
      break
    case 'gallery':
      env.CHROMIUM = await findChromium(say)
      run('vitest', 'run', '--project', 'e2e', 'e2e/gallery')
      say('look at e2e/artifacts/gallery/index.html')
      break
    case 'bench':
      await browserAndTap()
      if (env.POLLZ_TAP_MISSING) fail(env.POLLZ_TAP_MISSING)
      run('npm', 'run', '--silent', 'bench', '-w', 'server')
      run('node', 'e2e/bench.ts')
      run('node', 'e2e/bench-check.ts')
      break
    case 'soak':
      await handOver('server/bench/soak.ts', process.argv.slice(3))
      break
    case 'zip':
      run('npm', 'run', 'zip', '-w', 'extension')
      break
    case 'start':
      await handOver('server/src/main.ts')
      break
    case 'doctor':
    case 'recount':
    case 'backup':
    case 'move':
    case 'hide':
      await handOver(`server/src/commands/${command}.ts`, process.argv.slice(3))
      break
    case 'show':
      await handOver('server/src/commands/hide.ts', ['--show', ...process.argv.slice(3)])
      break
    case 'build':
      run('npm', 'run', 'build', '-w', 'extension')
      break
    default:
      fail(`unknown command ${command}: see the scripts in package.json`)
  }
} catch (error) {
  fail(error.message)
}
