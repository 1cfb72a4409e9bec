/** Every surface of bsky.app that shows posts, and what happens on them while somebody uses the page. */
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { buildExtension, openBrowser, openBsky, pictureFailure } from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { option, showsCounts, signIn, voteFirst, widget } from './widget.ts'

const tap = process.env['POLLZ_TAP']

describe.skipIf(!tap)('surfaces of bsky.app', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page
  let poll: string
  let others: string[]
  let opened: string

  beforeAll(async () => {
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network)
    poll = await bob.makePoll('Tea or coffee?', ['Tea', 'Coffee'])
    others = await Promise.all(
      ['One?', 'Two?', 'Three?', 'Four?'].map((text) => bob.makePoll(text, ['Yes', 'No'])),
    )
    opened = await bob.post('With a card', poll, 'card')
    await alice.post('A reply with a card', others[0], 'card', { replyTo: opened })
    await alice.post('A reply with a link', others[1], 'text', { replyTo: opened })
    await alice.post('Look at this', undefined, 'text', { quote: opened })
    await alice.post('Somewhat hidden', others[2], 'card', { hidden: true })
    // The link of its card in its text as well: one poll, one widget.
    await alice.post('Both of them', others[3], 'card', { linkInText: true })
    context = await openBrowser([alice, bob])
    page = await openBsky(context, alice)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
  })

  /** How many visible posts there are with a text of this, and how many widgets each has. */
  const widgetsIn = (selector: string, text: string) =>
    page
      .locator(selector)
      .filter({ visible: true, hasText: text })
      .last()
      .locator('[data-pollz]')
      .filter({ visible: true })

  const hasOne = async (selector: string, text: string) => {
    const found = widgetsIn(selector, text)
    await until(`one widget in “${text}”`, async () => (await found.count()) === 1)
    // What is far out of sight is not drawn.
    await found.scrollIntoViewIfNeeded()
    await found.getByRole('radio').first().waitFor()
    // Its place is in front of the card, which is hidden.
    return found.evaluate((host) => {
      const next = host.nextElementSibling
      return next?.matches('a[role=link]') ? getComputedStyle(next).display : 'no card'
    })
  }

  test.each([
    ['feed', '/'],
    ['profile', '/profile/bob.test'],
    ['list', '/profile/alice.test/lists/3k'],
    ['search', '/search'],
    ['hashtag', '/hashtag/tea'],
    ['saved posts', '/saved'],
    ['notifications', '/notifications'],
  ])('%s', async (_, path) => {
    await page.goto(`https://bsky.app${path}`)
    expect(await hasOne('div[data-testid^="feedItem-by-"], div[role=link]', 'With a card')).toBe('none')
  })

  test('a notification that only repeats a post’s text is left alone', async () => {
    await page.goto('https://bsky.app/notifications')
    await hasOne('div[data-testid^="feedItem-by-"]', 'With a card')
    expect(await page.locator('a[data-testid^="feedItem-by-"] [data-pollz]').count()).toBe(0)
  })

  test('a quoted post has the widget of its card, and the post around it has none', async () => {
    await page.goto('https://bsky.app/')
    expect(await hasOne('[aria-label^="Post by "]', 'With a card')).toBe('none')
    await page.getByText('Look at this').waitFor()
    const outer = page.locator('[data-testid^="feedItem-by-"]').filter({ hasText: 'Look at this' })
    expect(await outer.locator('[data-pollz]').count()).toBe(1)
  })

  test('a link in the text and its card are one widget, in the card’s place', async () => {
    expect(await hasOne('div[data-testid^="feedItem-by-"]', 'Both of them')).toBe('none')
  })

  test('a hidden post gets its widget when it is revealed', async () => {
    expect(await widgetsIn('div[data-testid^="feedItem-by-"]', 'Show hidden post').count()).toBe(0)
    await page.getByRole('button', { name: 'Show hidden post' }).click()
    expect(await hasOne('div[data-testid^="feedItem-by-"]', 'Somewhat hidden')).toBe('none')
  })

  test('an opened post and its replies; back and forth, none is lost and none is there twice', async () => {
    const thread = `/profile/bob.test/post/${opened.split('/')[4]}`
    await page.getByText('With a card', { exact: true }).first().click()
    await until('the thread', () => new URL(page.url()).pathname === thread)
    const item = '[data-testid^="postThreadItem-by-"]'
    for (const text of ['With a card', 'A reply with a card']) expect(await hasOne(item, text)).toBe('none')
    expect(await hasOne(item, 'A reply with a link')).toBe('no card')
    for (let i = 0; i < 3; i++) {
      await page.goBack()
      await hasOne('[aria-label^="Post by "]', 'With a card')
      await page.goForward()
      await hasOne(item, 'A reply with a card')
    }
    expect(await page.locator('main:visible [data-pollz]').count()).toBe(3)
  })

  test('the composer is left alone, also its preview of a card', async () => {
    await page.goto(`https://bsky.app/intent/compose?text=${encodeURIComponent(alice.linkTo(poll))}`)
    const composer = page.getByTestId('composePostView')
    await composer.locator('a[aria-label]').waitFor()
    // What was found before it in the same page shows that finding is over.
    await hasOne('[aria-label^="Post by "]', 'With a card')
    expect(await composer.locator('[data-pollz]').count()).toBe(0)
    await page.keyboard.press('Escape')
  })

  test('a card that is drawn anew, or becomes another poll’s, has the right widget', async () => {
    await page.goto('https://bsky.app/profile/bob.test')
    await hasOne('div[data-testid^="feedItem-by-"]', 'With a card')
    const card = page.locator(`a[aria-label="With a card"]`).last()
    await card.evaluate((it) => it.replaceWith(it.cloneNode(true)))
    await card.evaluate((it) => {
      // As React does when the post is drawn anew: other nodes, and none of ours among them.
      const anew = it.parentElement!.cloneNode() as Element
      anew.append(it.cloneNode(true))
      ;(anew.firstElementChild as HTMLElement).style.removeProperty('display')
      it.parentElement!.replaceWith(anew)
    })
    expect(await hasOne('div[data-testid^="feedItem-by-"]', 'With a card')).toBe('none')

    await card.evaluate((it, href) => it.setAttribute('href', href), alice.linkTo(others[0]!))
    await widget(page, others[0]!).getByText('One?').waitFor()
    expect(await widget(page, poll).count()).toBe(0)
    await card.evaluate((it) => it.setAttribute('href', 'https://example.com/'))
    await until('no widget', async () => (await page.locator('main:visible [data-pollz]').count()) === 0)
    expect(await card.isVisible()).toBe(true)
  })

  test('a hundred posts scrolled by fast: each has its widget, only those near the window are drawn', async () => {
    await page.goto('https://bsky.app/search')
    await hasOne('div[role=link]', 'With a card')
    await page.evaluate(() => {
      const main = document.querySelector('main')!
      const post = [...main.children].find((it) => it.textContent!.includes('A reply with a card'))!
      for (let i = 0; i < 100; i++) {
        const copy = post.cloneNode(true) as Element
        for (const host of copy.querySelectorAll('[data-pollz]')) host.remove()
        main.append(copy)
      }
    })
    const hosts = page.locator('main:visible [data-pollz]')
    await until('all widgets', async () => (await hosts.count()) > 100)
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
    await hosts.last().getByRole('radio').first().waitFor()
    const drawn = await hosts.evaluateAll((all) => all.filter((it) => it.shadowRoot).length)
    expect(drawn).toBeGreaterThan(3)
    expect(drawn).toBeLessThan(40)
    await page.evaluate(() => scrollTo(0, 0))
    await hosts.first().getByRole('radio').first().waitFor()
  })

  test('the account that the page is using votes, and what is shown is its own', async () => {
    page = await openBsky(context, alice, '/profile/bob.test')
    await voteFirst(context, page, poll, 'Tea')
    await showsCounts(page, poll, [1, 0])
    const checked = (name: string) => option(page, poll, name).getAttribute('aria-checked')
    await until('her mark', async () => (await checked('Tea')) === 'true')

    await page.getByRole('button', { name: '@bob.test' }).click()
    await showsCounts(page, poll, [1, 0])
    expect(await checked('Tea')).toBe('false')
    await signIn(context, page, () => option(page, poll, 'Coffee').click())
    await showsCounts(page, poll, [1, 1])
    expect(await bob.voteRecord(poll)).toMatchObject({ option: 1 })

    await page.getByRole('button', { name: '@alice.test' }).click()
    await until('her mark again', async () => (await checked('Tea')) === 'true')
    // Both are signed in now: no tab opens.
    await option(page, poll, 'Coffee').click()
    await showsCounts(page, poll, [0, 2])
    await until('her vote', async () => {
      const record = (await alice.voteRecord(poll)) as { option: number } | undefined
      return record?.option === 1
    })
    expect(await bob.voteRecord(poll)).toMatchObject({ option: 1 })
  })

  test('who voted for what, with links to people and to the poll’s page', async () => {
    const shown = widget(page, poll)
    await shown.getByRole('button', { name: 'Details' }).click()
    const voters = shown.getByRole('list', { name: 'Who voted for what' })
    await until('two voters', async () => (await voters.getByRole('listitem').count()) === 2)
    expect(await voters.getByRole('listitem').allInnerTexts()).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/@alice\.test \(you\)\s+Coffee/),
        expect.stringMatching(/@bob\.test\s+Coffee/),
      ]),
    )
    expect(await voters.getByRole('link', { name: '@bob.test' }).getAttribute('href')).toBe(
      'https://bsky.app/profile/bob.test',
    )
    // While it is open it moves with the tally.
    await bob.vote(poll, 0)
    await voters.getByText('Tea').waitFor()
    await option(page, poll, 'Tea 50%').waitFor()
    expect(await voters.getByRole('listitem').allInnerTexts()).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/@alice\.test \(you\)\s+Coffee/),
        expect.stringMatching(/@bob\.test\s+Tea/),
      ]),
    )
    // The poll's author, before the list.
    expect(await shown.getByRole('link', { name: '@bob.test' }).count()).toBe(2)
    expect(await shown.getByRole('link', { name: 'Poll page' }).getAttribute('href')).toBe(alice.linkTo(poll))
    await shown.getByRole('button', { name: 'Details' }).click()
    expect(await voters.count()).toBe(0)
  })
})
