/**
 * Finds tap, or installs it: `$TAP_BIN`, `tap` on the PATH, a build of the pinned version in `tap/bin/`, Docker.
 * Plain JavaScript without packages: it runs before anything is installed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The version that everything here was tried with. */
export const TAP_MODULE = 'github.com/bluesky-social/indigo/cmd/tap'
export const TAP_VERSION = 'v0.0.0-20260605210604-af2fec94f34c'
export const TAP_IMAGE = `pollz-tap:${TAP_VERSION}`

/** What Docker hands on of the environment (settings.ts). */
const TAP_SETTINGS = [
  'TAP_RELAY_URL',
  'TAP_PLC_URL',
  'TAP_BIND',
  'TAP_DATABASE_URL',
  'TAP_SIGNAL_COLLECTION',
  'TAP_COLLECTION_FILTERS',
  'TAP_RETRY_TIMEOUT',
  'TAP_DISABLE_ACKS',
]

const folder = join(import.meta.dirname, 'bin')
const built = join(folder, process.platform === 'win32' ? 'tap.exe' : 'tap')

/** Other programs are called tap too: this one knows its own settings. */
function isTap(file) {
  const { status, stdout } = spawnSync(file, ['run', '--help'], { encoding: 'utf8', timeout: 10_000 })
  return status === 0 && stdout.includes('TAP_SIGNAL_COLLECTION')
}

const works = (file, args) => spawnSync(file, args, { stdio: 'ignore', timeout: 20_000 }).status === 0

/**
 * @param {(message: string) => void} say is told each step that takes time
 * @returns {{ command: string[] } | { missing: string }} the command that `run` is added to, or why there is none
 */
export function findTap(say) {
  const named = process.env.TAP_BIN
  if (named) {
    return isTap(named)
      ? { command: [named] }
      : { missing: `TAP_BIN: ${named} is not Bluesky's tap (it has no "run --help" that names its settings)` }
  }
  if (existsSync(built)) return { command: [built] }
  if (isTap('tap')) return { command: ['tap'] }

  const reasons = []
  if (works('go', ['version'])) {
    say(`building tap ${TAP_VERSION} with Go into tap/bin (about two minutes, once)`)
    mkdirSync(folder, { recursive: true })
    const { status } = spawnSync('go', ['install', `${TAP_MODULE}@${TAP_VERSION}`], {
      // Its SQLite is C: without a compiler Go would build, in silence, a tap that can't start.
      env: { ...process.env, GOBIN: folder, CGO_ENABLED: '1' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    if (status === 0 && existsSync(built)) return { command: [built] }
    reasons.push('go install failed')
  } else {
    reasons.push('Go is not installed')
  }
  if (works('docker', ['info'])) {
    if (works('docker', ['image', 'inspect', TAP_IMAGE]) || buildImage(say)) return { command: inDocker() }
    reasons.push('docker build failed')
  } else {
    reasons.push('no Docker daemon answers')
  }
  return {
    missing: `tap was not found and can't be installed (${reasons.join(', ')}): install Go 1.26 and a C compiler, or Docker, or set TAP_BIN`,
  }
}

function buildImage(say) {
  say(`building tap ${TAP_VERSION} with Docker (some minutes, once)`)
  const { status } = spawnSync(
    'docker',
    ['build', '-t', TAP_IMAGE, '--build-arg', `TAP_VERSION=${TAP_VERSION}`, import.meta.dirname],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  return status === 0
}

function inDocker() {
  const host = ['--network', 'host', '-v', `${tmpdir()}:${tmpdir()}`]
  const settings = TAP_SETTINGS.flatMap((name) => ['-e', name])
  return ['docker', 'run', '--rm', '-i', ...host, ...settings, TAP_IMAGE, '/tap']
}
