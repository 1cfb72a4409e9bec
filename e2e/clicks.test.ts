/** A click is a promise: in a browser with the extension, what is clicked is asked for once, in place, and not lost. */
import type { BrowserContext, Locator, Page, Request } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  buildExtension,
  leaveAndComeBack,
  openBrowser,
  openBsky,
  ownPage,
  pictureFailure,
} from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { option, showsCounts, signIn, stopWorker, widget } from './widget.ts'

const tap = process.env['POLLZ_TAP']

describe.skipIf(!tap)('a click', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page
  let poll: string
  let other: string
  /** Votes on their way to the PDS. */
  const writes: Request[] = []

  beforeAll(async () => {
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network)
    poll = await bob.makePoll('Tea or coffee?', ['Tea', 'Coffee'])
    other = await bob.makePoll('Cats or dogs?', ['Cats', 'Dogs'])
    await bob.post('Well?', poll, 'card')
    await bob.post('Once more:', poll, 'text')
    await bob.post('And?', other, 'card')
    context = await openBrowser([alice, bob], { backForwardCache: true })
    context.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/xrpc/com.atproto.repo.putRecord'))
        writes.push(request)
    })
    page = await openBsky(context, alice)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
  })

  /** Both widgets of the poll, the later post's first. */
  const widgets = () => widget(page, poll)
  const alerts = () => page.getByRole('alert').filter({ visible: true })

  /** Notes whether results are ever shown from now on, however short. */
  const watchResults = () =>
    widgets().evaluateAll((hosts) => {
      const noted = Object.assign(globalThis, { shown: false })
      for (const { shadowRoot } of hosts)
        new MutationObserver(() => {
          if (shadowRoot!.querySelector('.count')) noted.shown = true
        }).observe(shadowRoot!, { childList: true, subtree: true })
    })
  const resultsWereShown = () =>
    page.evaluate(() => (globalThis as typeof globalThis & { shown?: boolean }).shown)

  /** A script does with a button, and with its form and fields, all that it can. */
  async function scriptTries(button: Locator): Promise<void> {
    await button.evaluate((element) => {
      const form = element.closest('form')
      element.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, composed: true }))
      ;(element as HTMLElement).click()
      for (const target of [element, ...(form?.querySelectorAll('input') ?? [])])
        for (const type of ['keydown', 'keypress', 'keyup'])
          target.dispatchEvent(
            new KeyboardEvent(type, {
              key: 'Enter',
              code: 'Enter',
              keyCode: 13,
              charCode: 13,
              bubbles: true,
              cancelable: true,
              composed: true,
            }),
          )
      form?.requestSubmit()
      if (element instanceof HTMLButtonElement && element.type === 'submit') form?.requestSubmit(element)
      // What it had begun would be drawn by then: every button that begins something goes, or has another name.
      return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    })
    expect(await button.isVisible()).toBe(true)
  }

  const logOut = () => page.getByRole('button', { name: 'logged out' }).click()
  const logIn = ({ handle }: Account) => page.getByRole('button', { name: `@${handle}` }).click()

  test('of a script does nothing', async () => {
    await widgets().first().getByRole('radio').first().waitFor()
    const click = () =>
      widgets()
        .first()
        .getByRole('radio', { name: 'Tea' })
        .evaluate((radio) => (radio as HTMLElement).click())
    const isAsked = () => widgets().locator('.notice').count()
    await click()
    expect(await isAsked()).toBe(0)
    await logOut()
    await widgets().first().getByRole('radio').first().waitFor()
    await click()
    // What a person clicks afterwards is answered after it.
    await widget(page, other).getByRole('radio', { name: 'Dogs' }).click()
    await widget(page, other).getByLabel('Vote as').waitFor()
    expect(await isAsked()).toBe(0)
    await widget(page, other).getByRole('button', { name: 'Cancel' }).click()
    await logIn(alice)
  })

  test('that is thought better of leaves the results closed', async () => {
    const clicked = widgets().first()
    await clicked.getByRole('radio').first().waitFor()
    await watchResults()
    await clicked.getByRole('radio', { name: 'Tea' }).click()
    await clicked.getByText('To vote, allow pollz at your account’s server.').waitFor()
    expect(await alerts().count()).toBe(1)
    await scriptTries(clicked.getByRole('button', { name: 'Continue' }))
    await clicked.getByRole('button', { name: 'Cancel' }).click()
    await clicked.getByRole('alert').waitFor({ state: 'detached' })
    await clicked.getByRole('button', { name: 'Show results' }).waitFor()
    expect(await resultsWereShown()).toBe(false)
  })

  test('logged out asks for a handle where it was made, and nowhere else; nothing is shown before a vote', async () => {
    await logOut()
    const [first, second] = [widgets().first(), widgets().last()]
    for (const it of [first, second]) await it.getByRole('radio').first().waitFor()
    await watchResults()
    await second.getByRole('radio', { name: 'Tea' }).click()
    await second.getByLabel('Vote as').waitFor()
    expect(await first.getByLabel('Vote as').count()).toBe(0)
    await first.getByRole('radio', { name: 'Coffee' }).click()
    await first.getByLabel('Vote as').waitFor()
    expect(await second.getByLabel('Vote as').count()).toBe(0)
    await first.getByLabel('Vote as').fill('alice.test')
    await scriptTries(first.getByRole('button', { name: 'Sign in' }))
    await first.getByRole('button', { name: 'Cancel' }).click()
    await first.getByLabel('Vote as').waitFor({ state: 'detached' })
    expect(await resultsWereShown()).toBe(false)
    await logIn(alice)
  })

  test('of somebody who has signed in through the popup votes at once', async () => {
    const popup = await ownPage(context, 'popup.html')
    await popup.getByLabel('Handle').fill('alice.test')
    await signIn(context, popup, () => popup.getByRole('button', { name: 'Sign in' }).click())
    await until('her account', async () => {
      await popup.reload()
      await popup.getByRole('heading', { name: 'Accounts' }).waitFor()
      return (await popup.getByRole('button', { name: '@alice.test', exact: true }).count()) === 1
    })
    await popup.close()
    await page.bringToFront()
    const clicked = widgets().first()
    // That votes are public is still to be said.
    await clicked.getByText('Votes are public').waitFor()
    await clicked.getByRole('radio', { name: 'Tea' }).click()
    await until('the vote', async () => (await alice.voteRecord(poll)) !== undefined)
    expect(await alice.voteRecord(poll)).toMatchObject({ option: 0 })
    await clicked.getByText('Votes are public').waitFor({ state: 'detached' })
    await scriptTries(clicked.getByRole('button', { name: 'Remove vote' }))
  })

  test('of another account shows nothing before it has signed in, and “Cancel” closes the tab for that', async () => {
    await logIn(bob)
    const clicked = widgets().first()
    await clicked.getByRole('button', { name: 'Show results' }).waitFor()
    await watchResults()
    const [tab] = await Promise.all([
      context.waitForEvent('page'),
      clicked.getByRole('radio', { name: 'Coffee' }).click(),
    ])
    await tab.waitForLoadState()
    await page.bringToFront()
    await Promise.all([tab.waitForEvent('close'), clicked.getByRole('button', { name: 'Cancel' }).click()])
    expect(await resultsWereShown()).toBe(false)
    expect(await bob.voteRecord(poll)).toBeUndefined()
    await logIn(alice)
  })

  test('logged out asks as whom, and votes as them only when they say so', async () => {
    await logOut()
    const clicked = widget(page, other)
    await clicked.getByRole('radio', { name: 'Dogs' }).click()
    await clicked.getByText('Vote as @alice.test?').waitFor()
    expect(await clicked.locator('.count').count()).toBe(0)
    expect(await alice.voteRecord(other)).toBeUndefined()
    await clicked.getByRole('button', { name: 'Cancel' }).click()
    await clicked.getByRole('alert').waitFor({ state: 'detached' })
    await clicked.getByRole('radio', { name: 'Cats' }).click()
    await scriptTries(clicked.getByRole('button', { name: 'Vote', exact: true }))
    await clicked.getByRole('button', { name: 'Vote', exact: true }).click()
    await until('the vote', async () => (await alice.voteRecord(other)) !== undefined)
    expect(await alice.voteRecord(other)).toMatchObject({ option: 0 })
    const theirs = writes.filter((it) => it.postData()!.includes(other))
    expect(theirs).toHaveLength(1)
    await logIn(alice)
  })

  test('in a page that came back from the back-forward cache votes, and what others do is shown', async () => {
    await page.goto('https://bsky.app/profile/bob.test')
    await showsCounts(page, other, [1, 0])
    await leaveAndComeBack(page, () => bob.vote(other, 1))
    await showsCounts(page, other, [1, 1])
    await option(page, other, 'Dogs').click()
    await showsCounts(page, other, [0, 2])
    await page.getByRole('radio', { name: 'Dogs', checked: true }).waitFor()
    await until(
      'an answer',
      async () => (await widget(page, other).locator('[aria-busy=true]').count()) === 0,
    )
    expect(await alice.voteRecord(other)).toMatchObject({ option: 1 })
  })

  test('to publish is heard once by a background that has ended meanwhile: one page to sign in opens', async () => {
    // Where no poll is in view, nothing wakes the background before the click.
    await page.goto('https://bsky.app/profile/nobody')
    await page.getByRole('button', { name: '@bob.test' }).click()
    await page.getByRole('button', { name: 'New post' }).click()
    await page.getByRole('button', { name: 'Add poll' }).click()
    await page.getByRole('textbox', { name: 'Question' }).fill('Published once?')
    await page.getByRole('textbox', { name: 'Option 1', exact: true }).fill('Yes')
    await page.getByRole('textbox', { name: 'Option 2', exact: true }).fill('No')
    await stopWorker(context)
    await page.bringToFront()
    await scriptTries(page.getByRole('button', { name: 'Publish poll' }))
    const opened: Page[] = []
    context.on('page', (it) => opened.push(it))
    // A key does what the button does, once.
    await signIn(context, page, () =>
      page.getByRole('textbox', { name: 'Option 2', exact: true }).press('Enter'),
    )
    expect(opened).toHaveLength(1)
    // In the text, or already as a card.
    await until('the link', async () =>
      ((await page.getByTestId('composePostView').textContent()) ?? '').includes(`/poll/${bob.did}/`),
    )
    const { data } = await bob.agent.com.atproto.repo.listRecords({
      repo: bob.did,
      collection: 'tech.waow.poll',
    })
    expect(data.records.filter(({ value }) => value['text'] === 'Published once?')).toHaveLength(1)
  })

  test('to delete or to try again is no script’s either', async () => {
    await page.goto('https://bsky.app/profile/bob.test')
    const shown = widget(page, other)
    await page.getByRole('button', { name: '@bob.test' }).click()
    await shown.getByRole('button', { name: 'Manage your poll' }).click()
    await shown.getByRole('button', { name: 'Delete', exact: true }).click()
    await scriptTries(shown.getByRole('button', { name: 'Delete poll' }))
    await shown.getByRole('button', { name: 'Cancel' }).click()
    await logIn(alice)
    await shown.getByRole('radio', { name: 'Dogs', checked: true }).waitFor()
    await alice.agent.com.atproto.server.deactivateAccount({})
    await shown.getByRole('radio', { name: 'Cats' }).click()
    await shown.getByText(/Couldn’t vote: /).waitFor()
    await scriptTries(shown.getByRole('button', { name: 'Try again' }))
    await alice.agent.com.atproto.server.activateAccount()
    expect(await alice.voteRecord(other)).toMatchObject({ option: 1 })
    await shown.getByRole('button', { name: 'Dismiss' }).click()
    expect(await shown.getByRole('radio', { name: 'Dogs', checked: true }).count()).toBe(1)
  })
})
