/** The end of a poll, by a server whose clock is ahead: it is told once, whatever ends in between, and the author posts it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page, Worker } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { axeFinds, buildExtension, built, openBrowser, openBsky, ownPage, pictureFailure } from './browser.ts'
import { startNetworkWith, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { showsCounts, signIn, stopWorker, widget } from './widget.ts'

const artifacts = join(import.meta.dirname, 'artifacts')
const HOUR = 3_600_000
/** By how many ms the server's clock is ahead. */
const AHEAD = 120_000
/** In so many ms from now, by the server's clock. */
const inTime = (ms: number) => new Date(Date.now() + AHEAD + ms).toISOString()

describe.skipIf(!process.env['POLLZ_TAP'])('the end of a poll', () => {
  const stop = new AbortController()
  const profile = mkdtempSync(join(tmpdir(), 'pollz-profile-'))
  let network: Network
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page
  /** Hers and his. */
  let hers: string
  let his: string

  const worker = async (): Promise<Worker> =>
    context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'))
  const evaluate = async <T>(script: string) => (await worker()).evaluate<T>(script)
  /** at-uris of polls with a notification. */
  const notified = () => evaluate<string[]>('chrome.notifications.getAll().then(Object.keys)')
  const told = (poll: string) => until('the notification', async () => (await notified()).includes(poll))
  const open = () => openBrowser([alice, bob], { profile })
  const link = (poll: string, name: string) => widget(page, poll).getByRole('link', { name })
  const button = (poll: string, name: string) => widget(page, poll).getByRole('button', { name })

  /** Opens the browser anew with the permission, once given by a manifest that requires it: browsers keep it then. */
  async function letNotify(): Promise<void> {
    await context.close()
    const file = join(built, 'manifest.json')
    const real = readFileSync(file, 'utf8')
    const manifest = JSON.parse(real) as { permissions: string[] }
    manifest.permissions.push('notifications')
    writeFileSync(file, JSON.stringify(manifest))
    context = await open()
    await until('the permission', () => evaluate('chrome.notifications !== undefined'))
    await context.close()
    writeFileSync(file, real)
    context = await open()
    page = await openBsky(context, undefined)
  }

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true })
    const clock = join(import.meta.dirname, 'standin/clock.mjs')
    const environment = { NODE_OPTIONS: `--import=${clock}`, CLOCK_AHEAD: String(AHEAD) }
    const started = await startNetworkWith({ signal: stop.signal, environment }, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network)
    hers = await alice.makePoll('Tea or coffee?', ['Coffee', 'Tea'], { endsAt: inTime(HOUR) })
    his = await bob.makePoll('Tabs or spaces?', ['Tabs', 'Spaces'], { endsAt: inTime(HOUR) })
    await alice.post('Well?', hers, 'card')
    await bob.post('And?', his, 'card')
    context = await open()
    page = await openBsky(context, undefined)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
    rmSync(profile, { recursive: true, force: true })
  })

  test('who wants to be told is asked for the permission, logged out too; what is refused is said', async () => {
    await widget(page, hers).getByText('59 min left').waitFor()
    const [asking] = await Promise.all([
      context.waitForEvent('page'),
      button(hers, 'Tell me when it ends').click(),
    ])
    await asking.getByText('Tea or coffee?').waitFor()
    await asking.screenshot({ path: join(artifacts, 'remind.png') })
    expect(await axeFinds(asking)).toEqual([])
    // Nobody can answer the browser's own question here.
    const answer = (yes: boolean) =>
      asking.evaluate(
        `chrome.permissions.request = async (what) => (Object.assign(globalThis, { asked: what }), ${yes})`,
      )
    await answer(false)
    await asking.getByRole('button', { name: 'Allow' }).click()
    await asking.getByRole('alert').getByText('Your browser doesn’t let pollz').waitFor()
    expect(await asking.evaluate('asked')).toEqual({ permissions: ['notifications'] })
    expect(await button(hers, 'Tell me when it ends').count()).toBe(1)
    await answer(true)
    await Promise.all([asking.waitForEvent('close'), asking.getByRole('button', { name: 'Allow' }).click()])
    await widget(page, hers).getByText('You’ll be told').waitFor()
    expect(await evaluate('chrome.alarms.getAll().then((all) => all.length)')).toBe(1)
  })

  test('once it is given, a click is enough; it can be undone there and in the popup', async () => {
    await letNotify()
    await widget(page, hers).getByText('You’ll be told').waitFor()
    const tabs = context.pages().length
    await button(his, 'Tell me when it ends').click()
    await widget(page, his).getByText('You’ll be told').waitFor()
    await button(his, 'Don’t tell me').click()
    await button(his, 'Tell me when it ends').click()
    await widget(page, his).getByText('You’ll be told').waitFor()
    expect(context.pages()).toHaveLength(tabs)
    const popup = await ownPage(context, 'popup.html')
    await popup.getByRole('heading', { name: 'You’ll be told when these end' }).waitFor()
    expect(await axeFinds(popup)).toEqual([])
    await popup.getByRole('button', { name: 'Don’t tell me: Tabs or spaces?' }).click()
    await popup.getByText('Tabs or spaces?').waitFor({ state: 'detached' })
    await popup.close()
    await button(his, 'Tell me when it ends').click()
    await widget(page, his).getByText('You’ll be told').waitFor()
  })

  test('the alarm follows an end that its author moves; it is told with the result, by the server’s clock', async () => {
    await alice.vote(hers, 1)
    await bob.vote(hers, 1)
    await stopWorker(context)
    await showsCounts(page, hers, [0, 2])
    await evaluate(`
      globalThis.shown = []
      const create = chrome.notifications.create
      chrome.notifications.create = (id, what) => (shown.push([id, what.title, what.message]), create(id, what))
    `)
    await alice.changePoll(hers, { endsAt: inTime(8_000) })
    await told(hers)
    await widget(page, hers).getByText('Final results').waitFor()
    expect(await evaluate('shown')).toEqual([[hers, 'Tea or coffee?', 'Tea 100%, Coffee 0%, 2 votes']])
    expect(await notified()).toEqual([hers])
  })

  test('a click on it opens the poll, and it is gone', async () => {
    const [opened] = await Promise.all([
      context.waitForEvent('page'),
      evaluate(`chrome.notifications.onClicked.dispatch('${hers}')`),
    ])
    await opened.waitForURL(alice.linkTo(hers))
    await until('no notification', async () => (await notified()).length === 0)
    expect(opened.url()).toBe(alice.linkTo(hers))
    await opened.close()
  })

  test('a poll that ends while the browser is closed is told when it is opened, and never again', async () => {
    const endsAt = inTime(20_000)
    await bob.changePoll(his, { endsAt })
    await until('its new end', async () => /sec/.test(await widget(page, his).locator('time').innerText()))
    await stopWorker(context)
    await context.close()
    await until('its end', () => Date.now() + AHEAD > Date.parse(endsAt) + 1_000)
    context = await open()
    await told(his)
    expect(await notified()).toEqual([his])
    await evaluate(`chrome.notifications.clear('${his}')`)
    await stopWorker(context)
    const popup = await ownPage(context, 'popup.html')
    // What it lists was told.
    const ended = popup.locator('section', { hasText: 'Ended in the last 7 days' }).getByRole('listitem')
    await until('both', async () => (await ended.count()) === 2)
    expect(await notified()).toEqual([])
    expect(await evaluate('chrome.alarms.getAll()')).toEqual([])
    await popup.close()
  })

  test('its author is offered to post the result, in the widget and in the popup', async () => {
    page = await openBsky(context, alice)
    await widget(page, hers).getByText('Final results').waitFor()
    expect(await link(his, 'Post the result').count()).toBe(0)
    const posting = async (click: () => Promise<void>) => {
      const [composer] = await Promise.all([context.waitForEvent('page'), click()])
      await composer.getByRole('dialog', { name: 'Composer' }).waitFor()
      const text = await composer.locator('.ProseMirror').innerText()
      expect(text.replaceAll(/\s+/g, ' ')).toContain('Tea or coffee? Tea 100% Coffee 0% 2 votes')
      expect(text).toContain(`${alice.linkTo(hers)}?options=2&v=`)
      await composer.close()
    }
    await posting(() => link(hers, 'Post the result').click())

    const popup = await ownPage(context, 'popup.html')
    await popup.setViewportSize({ width: 380, height: 600 })
    await popup.getByLabel('Handle').fill('@alice.test')
    await signIn(context, popup, () => popup.getByRole('button', { name: 'Sign in' }).click())
    await until('her poll', async () => {
      await popup.reload()
      await popup.getByRole('heading', { name: 'Ended in the last 7 days' }).waitFor()
      return (await popup.getByRole('button', { name: 'Post the result' }).count()) === 1
    })
    await popup.getByText('Tea 100% · 2 votes').waitFor()
    expect(await axeFinds(popup)).toEqual([])
    await popup.screenshot({ path: join(artifacts, 'popup-ended.png') })
    await posting(() => popup.getByRole('button', { name: 'Post the result' }).click())
  })
})
