/** Sister sites of bsky.app, for which stand-ins answer: https://blacksky.community, and https://own.example as an own address. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { axeFinds, buildExtension, openBrowser, openBsky, ownPage, pictureFailure } from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { standInForBsky } from './standin/bsky-standin.ts'
import { showsCounts, stopWorker, voteFirst, widget } from './widget.ts'

const artifacts = join(import.meta.dirname, 'artifacts')
const feed = readFileSync(join(import.meta.dirname, '../extension/page/fixtures/feed.html'), 'utf8')

/** Nobody is there: widgets stand in the page all the same. */
const nowhere = 'http://127.0.0.1:9'

const SISTER = 'https://blacksky.community'
const OWN = 'https://own.example'

const workerOf = async (context: BrowserContext) =>
  context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'))

/** Opens chrome://extensions, which may do what somebody does there. */
async function openExtensions(context: BrowserContext): Promise<Page> {
  const extensions = await context.newPage()
  await extensions.goto('chrome://extensions')
  return extensions
}

/** Gives or takes access to a site in the browser's settings. */
async function inSettings(
  extensions: Page,
  what: 'addHostPermission' | 'removeHostPermission',
  site: string,
): Promise<void> {
  const id = new URL((await workerOf(extensions.context())).url()).host
  await extensions.evaluate(`chrome.developerPrivate.${what}('${id}', '${site}/*')`)
}

describe('stand-ins for sister sites', () => {
  let context: BrowserContext
  /** A tab of the stand-in for blacksky.community. */
  let page: Page
  let extensions: Page
  /** What every site answers. */
  let body = feed

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true })
    await buildExtension({ serverUrl: nowhere, plcUrl: nowhere, pdsUrl: nowhere })
    context = await openBrowser([])
    for (const site of ['https://bsky.app', SISTER, OWN])
      await context.route(`${site}/**`, (route) =>
        route.fulfill({ contentType: 'text/html; charset=utf-8', body }),
      )
    extensions = await openExtensions(context)
    // An unpacked extension starts again only then.
    await extensions.evaluate('chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true })')
    // Nobody can answer the browser's question here: it does not ask again for what it was once told.
    for (const site of [SISTER, OWN]) await inSettings(extensions, 'addHostPermission', site)
    page = context.pages()[0]!
    await page.bringToFront()
    await page.goto(`${SISTER}/`)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(() => context?.close())

  const widgets = (of = page) => of.locator('[data-pollz]')
  /** What the extension has of the browser: access, and where its script runs besides in bsky.app. */
  const has = async () => {
    const inside = await ownPage(context, 'popup.html')
    const it = await inside.evaluate<{ origins: string[]; matches: string[] }>(`(async () => ({
      origins: (await chrome.permissions.getAll()).origins,
      matches: (await chrome.scripting.getRegisteredContentScripts()).flatMap(({ matches }) => matches),
    }))()`)
    await inside.close()
    return { origins: it.origins.toSorted(), matches: it.matches }
  }
  const always = ['http://127.0.0.1/*', 'https://bsky.app/*']

  /** As it is over the tab. */
  async function popupOver(below: Page): Promise<Page> {
    const popup = await ownPage(context, 'popup.html')
    await below.bringToFront()
    await popup.reload()
    await popup.getByRole('button', { name: 'New poll' }).waitFor()
    return popup
  }

  test('all are off by default, and nothing runs there', async () => {
    const options = await ownPage(context, 'options.html')
    const section = options.getByRole('region', { name: 'Sites like bsky.app' })
    const switches = section.getByRole('switch')
    expect(await switches.evaluateAll((all) => all.map((it) => (it as HTMLInputElement).checked))).toEqual([
      false,
      false,
      false,
      false,
    ])
    expect(await section.locator('label.switch').allInnerTexts()).toEqual([
      'blacksky.community',
      'witchsky.app',
      'catsky.social',
      'deer.social',
    ])
    expect(await has()).toEqual({ origins: always, matches: [] })
    const popup = await popupOver(page)
    expect(await popup.getByRole('switch').count()).toBe(0)
    expect(await widgets().count()).toBe(0)
    await popup.close()
    await options.close()
  })

  test('refused by the browser it stays off, and that is said', async () => {
    const options = await ownPage(context, 'options.html')
    await options.evaluate('chrome.permissions.request = async () => false')
    const sister = options.getByRole('switch', { name: 'witchsky.app' })
    await sister.click()
    await options
      .getByRole('alert')
      .getByText('witchsky.app: your browser needs your permission to show polls there')
      .waitFor()
    expect(await sister.isChecked()).toBe(false)
    expect(await axeFinds(options)).toEqual([])
    expect(await has()).toEqual({ origins: always, matches: [] })
    await options.close()
  })

  test('switched on, its origin alone is asked for, and polls are there at once, in the open tab too', async () => {
    const options = await ownPage(context, 'options.html')
    await page.evaluate(() => Object.assign(globalThis, { notReloaded: true }))
    await options.getByRole('switch', { name: 'blacksky.community' }).check()
    await options.getByRole('switch', { name: 'Show polls on bsky.app and blacksky.community' }).waitFor()
    await page.bringToFront()
    await until('all widgets', async () => (await widgets().count()) === 6)
    expect(await page.evaluate('notReloaded')).toBe(true)
    expect(await has()).toEqual({ origins: [...always, `${SISTER}/*`].toSorted(), matches: [`${SISTER}/*`] })

    const another = await context.newPage()
    await another.goto(`${SISTER}/search`)
    await widgets(another).first().waitFor()
    await another.close()
    expect(await axeFinds(options)).toEqual([])
    for (const colorScheme of ['light', 'dark'] as const) {
      await options.emulateMedia({ colorScheme })
      await options.screenshot({ path: join(artifacts, `sites-${colorScheme}.png`), fullPage: true })
    }
    // "Save" is for the rest.
    await options.getByRole('button', { name: 'Save' }).click()
    await options.getByText('Saved.', { exact: true }).waitFor()
    await options.reload()
    expect(await options.getByRole('switch', { name: 'blacksky.community', exact: true }).isChecked()).toBe(
      true,
    )
    await options.close()
  })

  test('the popup has its switch over it, names it, and leads back to it', async () => {
    let popup = await popupOver(page)
    await popup.getByRole('switch', { name: 'Show polls on this page' }).uncheck()
    await until('no polls', async () => (await widgets().count()) === 0)
    await popup.getByRole('switch', { name: 'Show polls on this page' }).check()
    await widgets().first().waitFor()
    await popup.close()

    /** The site that a new poll made there leads to. */
    const leadsTo = async (over: Page) => {
      popup = await popupOver(over)
      const [written] = await Promise.all([
        context.waitForEvent('page'),
        popup.getByRole('button', { name: 'New poll' }).click(),
      ])
      const said = await written.getByText('opens with the poll’s link').innerText()
      await written.close()
      if (!popup.isClosed()) await popup.close()
      return /Then (\S+) opens/.exec(said)?.[1]
    }
    const bsky = await context.newPage()
    await bsky.goto('https://bsky.app/')
    await widgets(bsky).first().waitFor()
    expect(await leadsTo(bsky)).toBe('bsky.app')
    expect(await leadsTo(page)).toBe('blacksky.community')
    // Over another page it is the one that was used last.
    await bsky.close()
    await page.reload()
    await widgets().first().waitFor()
    const elsewhere = await context.newPage()
    expect(await leadsTo(elsewhere)).toBe('blacksky.community')
    await elsewhere.close()
  })

  test('where its posts have changed, that is said of this site', async () => {
    body = feed.replaceAll(/data-testid="postText"|data-word-wrap="1"|tabindex="0"/g, '')
    await page.reload()
    await page.locator('a[href*="/poll/"]').first().waitFor()
    const popup = await popupOver(page)
    await popup
      .getByText('blacksky.community has changed: 6 polls on this page could not be shown.')
      .waitFor()
    expect(await popup.getByRole('alert').count()).toBe(1)
    await popup.close()
    body = feed
    await page.reload()
    await widgets().first().waitFor()
  })

  test('it goes on when the background has slept, and after an update', async () => {
    await stopWorker(context)
    await page.reload()
    await until('all widgets', async () => (await widgets().count()) === 6)
    await widgets().evaluateAll((all) => all.forEach((it) => Object.assign(it, { old: true })))
    const before = await workerOf(context)
    await Promise.all([
      context.waitForEvent('serviceworker'),
      // Its own answer is cut off.
      before.evaluate('chrome.runtime.reload()').catch(() => {}),
    ])
    await until(
      'widgets of the new one',
      async () =>
        (await widgets().evaluateAll((all) => all.every((it) => !('old' in it)))) &&
        (await widgets().count()) === 6,
    )
    await page.reload()
    await until('all widgets', async () => (await widgets().count()) === 6)
    expect((await has()).matches).toEqual([`${SISTER}/*`])
  })

  test('access that was taken away in the browser’s settings is said with a button; given back, open tabs have polls', async () => {
    await inSettings(extensions, 'removeHostPermission', SISTER)
    await page.reload()
    const options = await ownPage(context, 'options.html')
    const popup = await ownPage(context, 'popup.html')
    const said = 'Your browser doesn’t let pollz use blacksky.community any more.'
    for (const own of [options, popup]) {
      await own.getByRole('alert').getByText(said).waitFor()
      expect(await axeFinds(own)).toEqual([])
    }
    expect(await widgets().count()).toBe(0)
    // Nobody can answer the browser's own question here.
    await popup.evaluate(
      'chrome.permissions.request = async (what) => Object.assign(globalThis, { asked: what })',
    )
    await popup.getByRole('button', { name: 'Allow' }).click()
    expect(await popup.evaluate('asked')).toEqual({ origins: [`${SISTER}/*`] })
    await inSettings(extensions, 'addHostPermission', SISTER)
    for (const own of [options, popup]) await own.getByText(said).waitFor({ state: 'detached' })
    await widgets().first().waitFor()
    await popup.close()
    await options.close()
  })

  test('switched off, polls go from open tabs, the script and the access are given back', async () => {
    const options = await ownPage(context, 'options.html')
    await options.getByRole('switch', { name: 'blacksky.community', exact: true }).uncheck()
    await options.getByRole('switch', { name: 'Show polls on bsky.app', exact: true }).waitFor()
    await until('no polls', async () => (await widgets().count()) === 0)
    await until('no access', async () => (await has()).origins.length === always.length)
    expect(await has()).toEqual({ origins: always, matches: [] })
    // The cards are cards again.
    await page.locator('a[aria-label="Tea or coffee?"]').first().waitFor()
    // Off and on without a reload, as often as somebody likes.
    await options.bringToFront()
    await options.getByRole('switch', { name: 'blacksky.community', exact: true }).check()
    await until('all widgets', async () => (await widgets().count()) === 6)
    await options.getByRole('switch', { name: 'blacksky.community', exact: true }).uncheck()
    await until('no polls', async () => (await widgets().count()) === 0)
    await options.close()
  })

  test('an address of one’s own: a wrong one is named, a right one works', async () => {
    const options = await ownPage(context, 'options.html')
    const field = options.getByLabel('Add a site')
    const add = () => options.getByRole('button', { name: 'Add', exact: true }).click()
    await field.fill('http://own.example')
    await add()
    await options.getByText('Add a site: enter an address like https://example.com').waitFor()
    expect(await field.getAttribute('aria-invalid')).toBe('true')
    expect(await axeFinds(options)).toEqual([])
    await field.fill('own.example')
    await add()
    const own = options.getByRole('switch', { name: 'own.example', exact: true })
    await own.waitFor()
    await until('it is on', () => own.isChecked())
    expect(await field.inputValue()).toBe('')
    expect((await has()).matches).toEqual([`${OWN}/*`])
    const there = await context.newPage()
    await there.goto(`${OWN}/`)
    await widgets(there).first().waitFor()
    await options.bringToFront()
    await own.uncheck()
    await until('no polls', async () => (await widgets(there).count()) === 0)
    await options.reload()
    await options.getByRole('switch', { name: 'deer.social' }).waitFor()
    expect(await own.count()).toBe(0)
    await there.close()
    await options.close()
  })

  test('another port of an own address is another site, whose pages are left alone', async () => {
    const [own, other] = ['http://127.0.0.1:4001', 'http://127.0.0.1:4002']
    await context.route(`${own}/**`, (route) => route.fulfill({ contentType: 'text/html', body }))
    // As a companion server's pages have it.
    const theirs = '<title>Theirs</title><div data-pollz="theirs"></div>'
    await context.route(`${other}/**`, (route) =>
      route.fulfill({ contentType: 'text/html', body: theirs + feed }),
    )
    const there = await context.newPage()
    await there.goto(`${other}/`)
    const options = await ownPage(context, 'options.html')
    await options.getByLabel('Add a site').fill(own)
    await options.getByRole('button', { name: 'Add', exact: true }).click()
    const added = options.getByRole('switch', { name: '127.0.0.1:4001', exact: true })
    await until('it is on', () => added.isChecked())
    const polls = () => widgets(there).evaluateAll((all) => all.map((it) => it.getAttribute('data-pollz')))
    expect(await polls()).toEqual(['theirs'])
    await there.goto(`${own}/`)
    await until('all widgets', async () => (await widgets(there).count()) === 6)
    // In a page that loads the script runs, for which patterns take no port; it shows nothing.
    await there.goto(`${other}/`)
    await until('the script', () =>
      options.evaluate<boolean>(`(async () => {
        const [tab] = await chrome.tabs.query({ url: 'http://127.0.0.1/*' })
        return chrome.tabs.sendMessage(tab.id, { type: 'unplaced' }).then(() => true, () => false)
      })()`),
    )
    expect(await polls()).toEqual(['theirs'])
    await added.uncheck()
    await until('no script', async () => (await has()).matches.length === 0)
    await there.close()
    await options.close()
  })
})

describe.skipIf(!process.env['POLLZ_TAP'])('a stand-in for a sister site, with a network', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let context: BrowserContext
  let page: Page
  let poll: string

  beforeAll(async () => {
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    const [, bob] = started.accounts
    alice = started.accounts[0]
    await buildExtension(network)
    poll = await bob.makePoll('Tea or coffee?', ['Tea', 'Coffee'])
    await bob.post('Well?', poll, 'card')
    context = await openBrowser([])
    await standInForBsky(context, started.accounts, SISTER)
    const extensions = await openExtensions(context)
    await inSettings(extensions, 'addHostPermission', SISTER)
    await extensions.close()
    page = await openBsky(context, alice, `${SISTER}/`)
    const options = await ownPage(context, 'options.html')
    await options.getByRole('switch', { name: 'blacksky.community' }).check()
    await widget(page, poll).waitFor()
    await options.close()
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
  })

  test('people vote there as the account that it uses, and its links stay there', async () => {
    await page.bringToFront()
    await voteFirst(context, page, poll, 'Tea')
    await showsCounts(page, poll, [1, 0])
    expect(await alice.voteRecord(poll)).toMatchObject({ subject: poll, option: 0 })
    await widget(page, poll).getByRole('button', { name: 'Details' }).click()
    const profile = widget(page, poll).getByRole('link', { name: '@bob.test' })
    expect(await profile.first().getAttribute('href')).toBe(`${SISTER}/profile/bob.test`)
  })

  test('a new poll goes on in its composer', async () => {
    const popup = await ownPage(context, 'popup.html')
    const [made] = await Promise.all([
      context.waitForEvent('page'),
      popup.getByRole('button', { name: 'New poll' }).click(),
    ])
    await made.getByRole('textbox', { name: 'Question' }).fill('Here?')
    await made.getByRole('textbox', { name: 'Option 1' }).fill('Yes')
    await made.getByRole('textbox', { name: 'Option 2' }).fill('No')
    await made.getByRole('button', { name: 'Publish poll' }).click()
    await made.getByRole('dialog', { name: 'Composer' }).waitFor()
    expect(new URL(made.url()).origin).toBe(SISTER)
    expect(await made.locator('.ProseMirror').textContent()).toMatch(/\/poll\/.*options=2$/)
    await made.close()
  })
})
