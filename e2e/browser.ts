/** A real Chromium with the built extension, on the stand-in for bsky.app. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SITE } from '@pollz/shared/network'
import axe from 'axe-core'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import type { Account, Network } from './network.ts'
import { until } from './processes.ts'
import { standInForBsky } from './standin/bsky-standin.ts'

const extension = join(import.meta.dirname, '../extension')
/** What `buildExtension` makes for Chromium. */
export const built = join(extension, '.output/chrome-mv3')

/** Where its builds say that faults are to be reported. */
export const ISSUES_URL = 'https://issues.example/pollz'

/** Builds the extension for a local network: its server, its PLC directory, its PDS for handles. */
export async function buildExtension(
  { serverUrl, plcUrl, pdsUrl }: Pick<Network, 'serverUrl' | 'plcUrl' | 'pdsUrl'>,
  browser: 'chrome' | 'firefox' = 'chrome',
  second = '',
): Promise<void> {
  await promisify(execFile)('npm', ['run', `build:${browser}`, '--silent'], {
    cwd: extension,
    env: {
      ...process.env,
      WXT_SERVER_URL: serverUrl,
      WXT_PLC_URL: plcUrl,
      WXT_HANDLE_RESOLVER_URL: pdsUrl,
      WXT_ISSUES_URL: ISSUES_URL,
      WXT_SECOND_URL: second,
    },
  })
}

export type BrowserOptions = {
  /** Without a window: the extension works all the same. */
  headless?: boolean
  /** Of the browser itself, as BCP 47. */
  language?: string
  /** Keeps pages that are left, as people's browsers do; Playwright's don't, and its `goBack` waits for a load. */
  backForwardCache?: boolean
  /** A folder for what the browser keeps; undefined: a new one. */
  profile?: string
}

const cache = (kept: boolean) => (kept ? { ignoreDefaultArgs: ['--disable-back-forward-cache'] } : {})

export async function openBrowser(
  accounts: Account[],
  { headless = true, language = 'en-US', backForwardCache = false, profile = '' }: BrowserOptions = {},
): Promise<BrowserContext> {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: await commandPath(process.env['CHROMIUM'] ?? 'chromium'),
    headless: false,
    ...cache(backForwardCache),
    // Playwright's own headless mode has no extensions: Chromium's new one has.
    args: [
      ...(headless ? ['--headless=new'] : []),
      `--lang=${language}`,
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--disable-extensions-except=${built}`,
      `--load-extension=${built}`,
    ],
    // Linux takes the language from here.
    env: { ...process.env, LANGUAGE: language },
    // Whoever starts it ends it, in order, with everything else.
    handleSIGINT: false,
    handleSIGTERM: false,
    viewport: { width: 800, height: 900 },
    deviceScaleFactor: headless ? 2 : undefined,
  })
  await standInForBsky(context, accounts)
  return context
}

/** Without the extension. */
export async function openPlainBrowser({ backForwardCache = false } = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: await commandPath(process.env['CHROMIUM'] ?? 'chromium'),
    ...cache(backForwardCache),
    args: ['--no-sandbox', '--disable-gpu'],
  })
}

export async function commandPath(command: string): Promise<string> {
  if (command.includes('/')) return command
  const { stdout } = await promisify(execFile)('which', [command])
  return stdout.trim()
}

/** Opens a page of the extension's own in a tab, as `popup.html`. */
export async function ownPage(context: BrowserContext, name: string): Promise<Page> {
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'))
  const page = await context.newPage()
  await page.goto(new URL(`/${name}`, worker.url()).href)
  return page
}

/**
 * Opens the stand-in with an account logged in, or none.
 *
 * @param address a path on bsky.app, or a URL of a site that it stands in for too
 */
export async function openBsky(
  context: BrowserContext,
  account: Account | undefined,
  address = '/',
): Promise<Page> {
  const { origin, href } = new URL(address, SITE)
  const page = context.pages().find((it) => it.url() === 'about:blank') ?? (await context.newPage())
  await page.goto(`${origin}/`)
  if (account) {
    const current = { did: account.did, handle: account.handle }
    const session = { session: { accounts: [current], currentAccount: current } }
    await page.evaluate((text) => localStorage.setItem('BSKY_STORAGE', text), JSON.stringify(session))
  }
  await page.goto(href)
  return page
}

/** Leaves a page, does something meanwhile, and comes back to the page as it was, which the browser has kept. */
export async function leaveAndComeBack(page: Page, meanwhile: () => Promise<unknown>): Promise<void> {
  const note = () => addEventListener('pageshow', ({ persisted }) => Object.assign(globalThis, { persisted }))
  await page.evaluate(note)
  const { href } = new URL('/nowhere', page.url())
  await page.goto(href)
  await meanwhile()
  await page.evaluate(() => history.back())
  await until('the page from the cache', () =>
    page.evaluate(() => (globalThis as typeof globalThis & { persisted?: boolean }).persisted === true),
  )
}

/** What axe finds in a page, also in one whose policy allows no script but its own. */
export async function axeFinds(page: Page): Promise<string[]> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Runtime.evaluate', { expression: axe.source })
  const { result } = await cdp.send('Runtime.evaluate', {
    expression:
      'axe.run().then(({ violations }) => JSON.stringify(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`)))',
    awaitPromise: true,
  })
  await cdp.detach()
  return JSON.parse(result.value as string) as string[]
}

/** What the pages looked like when a test failed: `e2e/artifacts/failed-….png`. For `afterEach`. */
export async function pictureFailure(
  { name, result }: { name: string; result?: { state: string } },
  ...contexts: BrowserContext[]
): Promise<void> {
  if (result?.state !== 'fail') return
  const pages = contexts.flatMap((context) => context.pages())
  for (const [i, page] of pages.entries()) {
    const file = `failed-${name.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 60)}-${i}.png`
    // A page that is closing has none.
    await page.screenshot({ path: join(import.meta.dirname, 'artifacts', file) }).catch(() => {})
  }
}
