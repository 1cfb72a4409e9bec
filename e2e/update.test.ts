/** Tabs of bsky.app that are open while the extension is updated, and what the browser lets it do. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { axeFinds, buildExtension, openBrowser, ownPage, pictureFailure } from './browser.ts'
import { until } from './processes.ts'

const feed = readFileSync(join(import.meta.dirname, '../extension/page/fixtures/feed.html'), 'utf8')

/** Nobody is there: widgets stand in the page all the same. */
const nowhere = 'http://127.0.0.1:9'

describe('the extension and the browser that has it', () => {
  let context: BrowserContext
  let page: Page
  /** chrome://extensions, which may do what somebody does there. */
  let extensions: Page

  beforeAll(async () => {
    await buildExtension({ serverUrl: nowhere, plcUrl: nowhere, pdsUrl: nowhere })
    context = await openBrowser([])
    await context.route('https://bsky.app/**', (route) =>
      route.fulfill({ contentType: 'text/html; charset=utf-8', body: feed }),
    )
    page = context.pages()[0]!
    extensions = await context.newPage()
    await extensions.goto('chrome://extensions')
    // An unpacked extension starts again only then.
    await extensions.evaluate('chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true })')
    await page.bringToFront()
    await page.goto('https://bsky.app/')
    await widgets().first().waitFor()
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(() => context?.close())

  const widgets = () => page.locator('[data-pollz]')
  const worker = async () => context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'))

  const id = async () => new URL((await worker()).url()).host

  /** Where it may run, as somebody chooses it in the browser's settings. */
  const allow = async (hostAccess: 'ON_CLICK' | 'ON_ALL_SITES') =>
    extensions.evaluate(
      `chrome.developerPrivate.updateExtensionConfiguration(${JSON.stringify({ extensionId: await id(), hostAccess })})`,
    )

  test('an update goes on in tabs that are open: widgets are replaced, and none is there twice', async () => {
    const before = await widgets().count()
    await widgets().evaluateAll((all) => all.forEach((it) => Object.assign(it, { old: true })))
    const old = () => widgets().evaluateAll((all) => all.filter((it) => 'old' in it).length)
    expect(await old()).toBe(before)
    const updated = await worker()
    await Promise.all([
      context.waitForEvent('serviceworker'),
      // Its own answer is cut off.
      updated.evaluate('chrome.runtime.reload()').catch(() => {}),
    ])
    await until(
      'widgets of the new one',
      async () => (await old()) === 0 && (await widgets().count()) === before,
    )
    // They are alive, and their cards hidden.
    await widgets().first().getByRole('button').first().waitFor()
    const cards = page.locator('[data-pollz] + a[aria-label]')
    expect(await cards.evaluateAll((all) => all.map((it) => getComputedStyle(it).display))).toEqual([
      'none',
      'none',
      'none',
    ])
  })

  test('a permission that was taken away is said in the popup; given back, open tabs have polls again', async () => {
    await allow('ON_CLICK')
    await page.reload()
    const popup = await ownPage(context, 'popup.html')
    const alert = popup.getByRole('alert')
    await alert.getByText('Your browser doesn’t let pollz use bsky.app, 127.0.0.1 any more.').waitFor()
    expect(await alert.getByRole('button', { name: 'Allow' }).isVisible()).toBe(true)
    expect(await axeFinds(popup)).toEqual([])
    expect(await widgets().count()).toBe(0)
    await allow('ON_ALL_SITES')
    await alert.waitFor({ state: 'detached' })
    await widgets().first().waitFor()
    // A tab whose script still runs goes on as it is: somebody may be writing there.
    await widgets().evaluateAll((all) => all.forEach((it) => Object.assign(it, { kept: true })))
    await allow('ON_CLICK')
    await alert.waitFor()
    const opened = await context.newPage()
    await opened.goto('https://bsky.app/')
    await allow('ON_ALL_SITES')
    await opened.locator('[data-pollz]').first().waitFor()
    await opened.close()
    expect(await widgets().evaluateAll((all) => all.every((it) => 'kept' in it))).toBe(true)
    await popup.close()
  })

  test('it can’t be let into private windows, which would get the accounts of the others', async () => {
    const { incognitoAccess } = (await extensions.evaluate(
      `chrome.developerPrivate.getExtensionInfo(${JSON.stringify(await id())})`,
    )) as { incognitoAccess: { isEnabled: boolean } }
    expect(incognitoAccess.isEnabled).toBe(false)
  })

  test('its button asks for exactly what is missing', async () => {
    await allow('ON_CLICK')
    const popup = await ownPage(context, 'popup.html')
    // Nobody can answer the browser's own question here.
    await popup.evaluate(() => {
      const { chrome } = globalThis as unknown as { chrome: { permissions: { request: unknown } } }
      chrome.permissions.request = async (what: object) => Object.assign(globalThis, { asked: what })
    })
    await popup.getByRole('button', { name: 'Allow' }).click()
    expect(await popup.evaluate('asked')).toEqual({ origins: ['https://bsky.app/*', 'http://127.0.0.1/*'] })
    await allow('ON_ALL_SITES')
    await popup.close()
  })
})
