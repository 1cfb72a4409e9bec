/** The Firefox build in a real Firefox, with its event page: a poll, signing in, a vote, a tally that moves, a new poll. */
import { join } from 'node:path'
import { home } from '@pollz/shared/families'
import { launch, type Browser, type Page } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildExtension, commandPath } from './browser.ts'
import { PASSWORD, startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { standInPage } from './standin/bsky-standin.ts'

const tap = process.env['POLLZ_TAP']
const firefox = process.env['FIREFOX']
const built = join(import.meta.dirname, '../extension/.output/firefox-mv3')

describe.skipIf(!tap || !firefox)('in Firefox', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let browser: Browser
  let page: Page
  let poll: string

  beforeAll(async () => {
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network, 'firefox')
    poll = await bob.makePoll('Tea or coffee?', ['Tea', 'Coffee'])
    await bob.post('Well?', poll, 'card')
    browser = await launch({
      browser: 'firefox',
      executablePath: await commandPath(firefox!),
      headless: true,
      enableExtensions: true,
    })
    page = await browser.newPage()
    await page.setRequestInterception(true)
    page.on('request', async (request) => {
      if (!request.url().startsWith('https://bsky.app/')) return request.continue()
      return request.respond(await standInPage([alice, bob], new URL(request.url())))
    })
    await page.goto('https://bsky.app/')
    const current = { did: alice.did, handle: alice.handle }
    await page.evaluate((session) => localStorage.setItem('BSKY_STORAGE', JSON.stringify({ session })), {
      accounts: [current],
      currentAccount: current,
    })
    await page.goto('https://bsky.app/')
    // Into a browser whose tab is open already.
    await browser.installExtension(built)
  })

  afterAll(async () => {
    await browser?.close()
    stop.abort()
    await network?.done
  })

  /** What the widget says, through its shadow root. */
  const shown = () =>
    page.evaluate(() => {
      const root = document.querySelector('[data-pollz]')?.shadowRoot
      return {
        text: root?.textContent ?? '',
        checked: [...(root?.querySelectorAll('[role=radio]') ?? [])].findIndex(
          (it) => it.getAttribute('aria-checked') === 'true',
        ),
      }
    })
  test('shows a poll, signs in, votes, and follows the tally', async () => {
    await until('the poll', async () => (await shown()).text.includes('0 votes'))
    const opening = new Promise<Page>((resolve) => {
      browser.once('targetcreated', (target) => void target.page().then((it) => resolve(it!)))
    })
    await page.locator('>>> [role=radio]::-p-text(Coffee)').click()
    await page.locator('>>> button::-p-text(Continue)').click()
    const authorize = await opening
    await authorize.locator('input[type=password]').fill(PASSWORD)
    await authorize.locator('button[type=submit]').click()
    await authorize.locator('button::-p-text(Authorize)').click()
    await until('the vote', async () => (await alice.voteRecord(poll)) !== undefined)
    await until('her tally', async () => {
      const { text, checked } = await shown()
      return text.includes('1 vote') && checked === 1
    })
    await bob.vote(poll, 0)
    await until('his vote too', async () => (await shown()).text.includes('2 votes'))
    expect(await alice.voteRecord(poll)).toMatchObject({ option: 1 })
  })

  test('makes a poll in the composer of what is written there: its card is all that is left', async () => {
    await page.locator('button::-p-text(New post)').click()
    await page.locator('.ProseMirror').fill('From Firefox?')
    await page.locator('>>> [aria-label="Add poll"]').click()
    const write = (label: string, text: string) => page.locator(`>>> [aria-label="${label}"]`).fill(text)
    await write('Option 1', 'Yes')
    await write('Option 2', 'No')
    await page.locator('>>> button::-p-text(Publish poll)').click()
    const written = () =>
      page.evaluate(() => {
        const post = document.querySelector('[data-testid=composePostView]')!
        return { text: post.querySelector('.ProseMirror')!.textContent, card: post.querySelector('a')?.href }
      })
    await until('the card alone', async () => {
      const { text, card } = await written()
      return text === '' && card?.startsWith(`${network.serverUrl}/poll/${alice.did}/`)
    })
    const { card } = await written()
    const uri = `at://${alice.did}/${home.poll}/${/([^/]+)\?options=2$/.exec(card!)![1]}`
    const answer = await fetch(`${network.serverUrl}/api/polls/${encodeURIComponent(uri)}`)
    expect(await answer.json()).toMatchObject({ text: 'From Firefox?' })
  })

  test('an update goes on in a tab that is open: its widget is replaced, and none is there twice', async () => {
    await page.evaluate(() => Object.assign(document.querySelector('[data-pollz]')!, { old: true }))
    await browser.installExtension(built)
    const there = () =>
      page.evaluate(() => [...document.querySelectorAll('[data-pollz]')].map((it) => 'old' in it))
    await until('a widget of the new one', async () => (await there()).join() === 'false')
    await until('the poll', async () => (await shown()).text.includes('Coffee'))
    expect(await there()).toEqual([false])
  })
})
