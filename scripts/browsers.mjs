/**
 * Finds a Chromium that loads extensions and a Firefox, or installs them. Plain JavaScript: it runs before anything is
 * installed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** Branded Chrome ignores --load-extension since this version. */
const LAST_CHROME_WITH_EXTENSIONS = 136

/** Debian's Chromium speaks English alone without this package. */
const LANGUAGES = 'chromium-l10n'

function version(file) {
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 20_000 })
  return status === 0 ? stdout.trim() : undefined
}

async function playwrightsOwn() {
  try {
    const { chromium } = await import('playwright-core')
    const path = chromium.executablePath()
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

async function find() {
  const named = process.env.CHROMIUM
  if (named) {
    if (version(named)) return named
    throw new Error(`CHROMIUM: ${named} does not run`)
  }
  for (const name of ['chromium', 'chromium-browser']) if (version(name)) return name
  const chrome = version('google-chrome')
  if (chrome && Number(/ (\d+)\./.exec(chrome)?.[1]) <= LAST_CHROME_WITH_EXTENSIONS) return 'google-chrome'
  return playwrightsOwn()
}

function run(command, args) {
  return spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: root }).status === 0
}

function installWithApt(...packages) {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const apt = (...args) => {
    const [command, ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args]
    return run(command, rest)
  }
  return apt('update', '-qq') && apt('install', '-y', '-qq', ...packages)
}

function installWithPlaywright() {
  return run(process.execPath, [join(root, 'node_modules/playwright-core/cli.js'), 'install', 'chromium'])
}

/** Debian's own Chromium comes with its libraries; elsewhere `chromium` may be a stub for a snap. */
function isDebian() {
  try {
    return /^ID="?debian"?$/m.test(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return false
  }
}

/**
 * @param {(message: string) => void} say
 * @returns {Promise<string>} a command or path
 */
export async function findChromium(say) {
  const found = await find()
  if (found) return found
  const ways = isDebian()
    ? [
        ['apt', () => installWithApt('chromium', LANGUAGES, 'fonts-noto-color-emoji', 'fonts-noto-cjk')],
        ["Playwright's download", installWithPlaywright],
      ]
    : [["Playwright's download", installWithPlaywright]]
  for (const [name, install] of ways) {
    say(`installing Chromium with ${name} (about a minute, once)`)
    if (install()) {
      const installed = await find()
      if (installed) return installed
    }
  }
  throw new Error('no Chromium was found and none could be installed: install chromium, or set CHROMIUM')
}

/**
 * @param {(message: string) => void} say
 * @returns {Promise<{ command: string } | { missing: string }>} a command, or why there is none
 */
export async function findFirefox(say) {
  const named = process.env.FIREFOX
  if (named && !version(named)) throw new Error(`FIREFOX: ${named} does not run`)
  const find = () => [named, 'firefox-esr', 'firefox'].find((name) => name && version(name))
  const found = find()
  if (found) return { command: found }
  if (isDebian()) {
    say('installing Firefox with apt (about a minute, once)')
    if (installWithApt('firefox-esr')) {
      const installed = find()
      if (installed) return { command: installed }
    }
  }
  return { missing: 'no Firefox was found: install firefox, or set FIREFOX' }
}

/**
 * Whether a Chromium speaks other languages, which Debian's does with a package of its own.
 *
 * @param {string} chromium
 * @param {(message: string) => void} say
 * @returns {string | undefined} why it does not
 */
export function missingLanguages(chromium, say) {
  if (chromium !== 'chromium' || !isDebian()) return undefined
  const there = () => existsSync('/usr/lib/chromium/locales/de.pak')
  if (there()) return undefined
  say(`installing ${LANGUAGES} with apt (once)`)
  return installWithApt(LANGUAGES) && there()
    ? undefined
    : `Chromium speaks English alone: install ${LANGUAGES}`
}
