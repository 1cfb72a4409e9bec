/** The extension's part in bsky.app's page, on its DOM as the real client draws it: `extension/page/fixtures`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page, Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { axeFinds, buildExtension, ISSUES_URL, openBrowser, ownPage, pictureFailure } from './browser.ts'
import { until } from './processes.ts'

const fixtures = join(import.meta.dirname, '../extension/page/fixtures')

/** Nobody is there: where a widget stands does not depend on what it shows. */
const nowhere = 'http://127.0.0.1:9'

describe('bsky.app’s page', () => {
  let context: BrowserContext
  let page: Page
  /** What bsky.app answers. */
  let body: string

  beforeAll(async () => {
    await buildExtension({ serverUrl: nowhere, plcUrl: nowhere, pdsUrl: nowhere })
    context = await openBrowser([])
    await context.route('https://bsky.app/**', (route) =>
      route.fulfill({ contentType: 'text/html; charset=utf-8', body }),
    )
    page = context.pages()[0]!
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(() => context?.close())

  async function show(html: string): Promise<void> {
    body = html
    await page.goto('https://bsky.app/')
  }

  const fixture = (name: string) => readFileSync(join(fixtures, `${name}.html`), 'utf8')

  const inFeed = [
    'card: card, feedItem-by-alice.test, 15px',
    'text: text, feedItem-by-bob.test, 15px',
    'both: card, feedItem-by-carol.test, 15px',
    'quoted: card, Post by Bob, 15px',
    'first: text, feedItem-by-carol.test, 15px',
    'second: text, feedItem-by-carol.test, 15px',
  ]

  /** Each widget: its poll's key, what it stands at, the innermost post around it, and the size of its text. */
  const widgets = () =>
    page.locator('[data-pollz]').evaluateAll((hosts) =>
      hosts.map((host) => {
        const key = host.getAttribute('data-pollz')!.split('/').at(-1)!
        const next = host.nextElementSibling
        const isOfCard =
          next?.matches(`a[aria-label][href$="/${key}"]`) && getComputedStyle(next).display === 'none'
        let before = host.previousElementSibling
        while (before?.hasAttribute('data-pollz')) before = before.previousElementSibling
        const isOfText = before?.querySelector(`[data-word-wrap] a[href$="/${key}"]:not([aria-label])`)
        const at = isOfCard ? 'card' : isOfText ? 'text' : 'nothing'
        const post = host.closest('[data-testid*="-by-"], [aria-label^="Post by "], [role=link]')!
        const name =
          post.getAttribute('data-testid') ??
          post.getAttribute('aria-label') ??
          post.querySelector('a[data-tooltip]')!.getAttribute('href')
        return `${key}: ${at}, ${name}, ${(host as HTMLElement).style.getPropertyValue('--text-size')}`
      }),
    )

  test.each<[name: string, expected: string[]]>([
    ['feed', inFeed],
    [
      'profile',
      [
        'pinned: card, feedItem-by-alice.test, 15px',
        'repost: card, feedItem-by-bob.test, 15px',
        'pinned: card, feedItem-by-alice.test, 15px',
      ],
    ],
    ['list', ['text: text, feedItem-by-alice.test, 16.9px', 'card: card, feedItem-by-bob.test, 15px']],
    [
      'search',
      ['card: card, /profile/alice.test/post/3a, 15px', 'text: text, /profile/bob.test/post/3b, 15px'],
    ],
    [
      'hashtag',
      ['text: text, /profile/alice.test/post/3a, 15px', 'card: card, /profile/bob.test/post/3b, 15px'],
    ],
    [
      'quotes',
      [
        'quoted: card, Post by Bob, 15px',
        'quoted: card, Post by Bob, 15px',
        'own: card, /profile/carol.test/post/3d, 15px',
        'quoted: card, Post by Bob, 15px',
      ],
    ],
    [
      'saved',
      ['card: card, /profile/alice.test/post/3a, 15px', 'text: text, /profile/carol.test/post/3c, 15px'],
    ],
    [
      'notifications',
      [
        'card: card, /profile/alice.test/post/3a, 15px',
        'text: text, /profile/bob.test/post/3b, 15px',
        'quoted: card, Post by Alice, 15px',
      ],
    ],
    [
      'thread',
      [
        'parent: card, postThreadItem-by-alice.test, 15px',
        'opened: card, postThreadItem-by-bob.test, 16.9px',
        'reply: text, postThreadItem-by-carol.test, 15px',
        'quoted: card, Post by Bob, 15px',
      ],
    ],
    [
      'tree',
      [
        'opened: text, postThreadItem-by-bob.test, 16.9px',
        'branch: card, postThreadItem-by-alice.test, 15px',
        'leaf: text, postThreadItem-by-carol.test, 15px',
        // In the screen that was left.
        'opened: card, feedItem-by-bob.test, 15px',
      ],
    ],
    ['composer', ['behind: card, feedItem-by-alice.test, 15px']],
  ])('%s', async (name, expected) => {
    await show(fixture(name))
    await page.locator('[data-pollz]').first().waitFor({ state: 'attached' })
    expect(await widgets()).toEqual(expected)
    // Drawn anew, as React does, each has its widget again, and none has two.
    await page.evaluate(() => {
      const root = document.getElementById('root')!
      const anew = root.cloneNode(true) as Element
      for (const host of anew.querySelectorAll('[data-pollz]')) host.remove()
      for (const it of anew.querySelectorAll<HTMLElement>('a[aria-label]')) it.style.removeProperty('display')
      root.replaceWith(anew)
    })
    await page.locator('[data-pollz]').first().waitFor({ state: 'attached' })
    expect(await widgets()).toEqual(expected)
  })

  test('a post shows four polls, however many it links to; the next post has its own', async () => {
    const link = (key: string) =>
      `<a href="https://pollz.waow.tech/poll/did:plc:yk4dd2qkboz2yv6tpubpc6co/${key}">x</a>`
    const many = Array.from({ length: 300 }, (_, i) => link(`k${i}`)).join('')
    const html = fixture('feed').replace(/<a[^>]*\/first"/, (it) => many + it)
    await show(html)
    const keys = async () => (await widgets()).map((it) => it.split(':')[0])
    await page.locator('[data-pollz]').first().waitFor({ state: 'attached' })
    const expected = ['card', 'text', 'both', 'quoted', 'k0', 'k1', 'k2', 'k3']
    expect(await keys()).toEqual(expected)
    expect(await page.locator('a[href$="/k299"]').isVisible()).toBe(true)
    // What the same post links to later has room where what it showed is gone.
    await page.locator('a[href$="/k0"]').evaluate((text) => {
      const post = text.closest('[data-testid^="feedItem-by-"]')!
      for (const host of post.querySelectorAll('[data-pollz]')) host.remove()
      const anew = text.parentElement!.cloneNode(true) as Element
      for (const it of [...anew.querySelectorAll('a')].slice(0, 300)) it.remove()
      text.parentElement!.replaceWith(anew)
    })
    await until('the others', async () => (await keys()).join() === 'card,text,both,quoted,first,second')
  })

  /** The feed with its links to another site, as a card of that is drawn. */
  const linkingTo = (start: string) => {
    const html = fixture('feed').replaceAll('https://pollz.waow.tech/poll/', start)
    // The client opens a tab for web addresses only.
    return start.startsWith('at:') ? html.replaceAll(/(href="at:[^>]*?)target="_blank"/g, '$1') : html
  }

  test.each([
    ['TOKIMEKI', 'https://poll.tokimeki.tech/p/'],
    ['TOKIMEKI, in its other domain', 'https://poll.tokimeki.blue/p/'],
    ['capitals', 'HTTPS://Poll.Tokimeki.Tech/p/'],
  ])('links of %s', async (_, start) => {
    await show(linkingTo(start))
    await page.locator('[data-pollz]').first().waitFor()
    expect(await widgets()).toEqual(inFeed)
    const uri = await page.locator('[data-pollz$="/card"]').getAttribute('data-pollz')
    expect(uri).toBe('at://did:plc:yk4dd2qkboz2yv6tpubpc6co/tech.tokimeki.poll.poll/card')
  })

  test.each([
    ['an at-uri', 'at://', 'pub.leaflet.poll.definition'],
    ['the long path of a companion server', `${nowhere}/poll/`, 'pub.leaflet.poll.definition'],
  ])('links that are %s', async (_, start, collection) => {
    const html = linkingTo(start).replaceAll(
      /(href="[^"]*did:plc:yk4dd2qkboz2yv6tpubpc6co)/g,
      `$1/${collection}`,
    )
    await show(html)
    await page.locator('[data-pollz]').first().waitFor()
    expect(await widgets()).toEqual(inFeed)
    const uri = await page.locator('[data-pollz$="/card"]').getAttribute('data-pollz')
    expect(uri).toBe(`at://did:plc:yk4dd2qkboz2yv6tpubpc6co/${collection}/card`)
  })

  test('a link says how many options its poll has, and room is left for them', async () => {
    // Who made it is asked for, and not told meanwhile.
    const asked: Route[] = []
    await context.route(`${nowhere}/**`, (route) => void asked.push(route))
    const html = linkingTo('https://poll.tokimeki.tech/p/')
    await show(html.replaceAll(/(href="[^"]*\/card)"/g, '$1?options=4"'))
    const options = page.locator('[data-pollz$="/card"] .option')
    await options.first().waitFor()
    expect(await options.count()).toBe(4)
    await context.unroute(`${nowhere}/**`)
    for (const it of asked) await it.abort()
  })

  test('links that may lead to something else are left alone where nobody knows of a poll', async () => {
    const html = fixture('feed').replaceAll(
      /https:\/\/pollz.waow.tech\/poll\/([^/"]*)\//g,
      'https://reddwarf.app/profile/$1/post/',
    )
    // One of them is a poll for sure, and shows that finding is over.
    const known = 'https://pollz.waow.tech/poll/did:plc:yk4dd2qkboz2yv6tpubpc6co/known'
    const feed = html.replace(/https:\/\/reddwarf.app[^"]*\/second/, known)
    await show(feed)
    await page.locator('[data-pollz]').first().waitFor()
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
    await page.locator('[data-pollz$="/known"]').getByText('This poll can’t be loaded right now.').waitFor()
    expect(await widgets()).toEqual([expect.stringMatching(/^known: /)])
    const cards = page.locator('a[aria-label][href*="reddwarf.app"]')
    const styles = await cards.evaluateAll((all) => all.map((it) => it.getAttribute('style')))
    expect(styles).toEqual([null, null, null])
    // Nor are they missed where no place can be found for them.
    await show(feed.replaceAll(/data-testid="postText"|data-word-wrap="1"|tabindex="0"/g, ''))
    const popup = await popupOver(page)
    await popup.getByText('bsky.app has changed: 1 poll on this page could not be shown.').waitFor()
    await popup.close()
  })

  test('the composer gets a button, and no widget in its text or preview', async () => {
    await show(fixture('composer'))
    await page.locator('[data-testid=openGifBtn] + [data-pollz-button]').waitFor()
    expect(await page.locator('[role=dialog] [data-pollz]').count()).toBe(0)
    expect(await page.locator('[role=dialog] a[aria-label="Written"]').isVisible()).toBe(true)
  })

  test('posts that left the page, while in view or out of it, are not kept by their widgets', async () => {
    await show(fixture('feed'))
    await page.locator('[data-pollz]').first().waitFor()
    // Four hundred posts with a poll each, all scrolled by, so drawn.
    await page.evaluate(() => {
      const post = document.querySelector('[data-testid="feedItem-by-alice.test"]')!
      const list = post.parentElement!.parentElement!
      const known = globalThis as typeof globalThis & { gone: WeakRef<Element>[] }
      known.gone = []
      for (let i = 0; i < 400; i++) {
        const copy = document.createElement('div')
        copy.className = 'copy'
        copy.append(post.cloneNode(true))
        for (const host of copy.querySelectorAll('[data-pollz]')) host.remove()
        const card = copy.querySelector<HTMLAnchorElement>('a[aria-label]')!
        card.href += i
        list.append(copy)
        // What a script has changed is not made anew when it is asked for.
        known.gone.push(new WeakRef(Object.assign(copy, { kept: true })))
      }
    })
    const copies = page.locator('.copy [data-pollz]')
    await until('their widgets', async () => (await copies.count()) === 400)
    await until('all drawn', () =>
      page.evaluate(() => {
        const undrawn = [...document.querySelectorAll('.copy [data-pollz]')].find((it) => !it.shadowRoot)
        undrawn?.scrollIntoView()
        return undrawn === undefined
      }),
    )
    await page.evaluate(() => scrollTo(0, 0))
    await page.evaluate(() => document.querySelectorAll('.copy').forEach((it) => it.remove()))
    const cdp = await context.newCDPSession(page)
    const kept = async () => {
      await cdp.send('HeapProfiler.collectGarbage')
      return page.evaluate(() => {
        const { gone } = globalThis as typeof globalThis & { gone: WeakRef<Element>[] }
        return gone.filter((it) => it.deref() !== undefined).length
      })
    }
    await vi.waitUntil(async () => (await kept()) === 0, { timeout: 30_000 }).catch(() => {})
    expect(await kept()).toBe(0)
    await cdp.detach()
  })

  describe('a link to poll.blue', () => {
    /** Each note: the post that it is in, what it stands below, and where its link leads. */
    const notes = () =>
      page.locator('[data-pollz-note]').evaluateAll((hosts) =>
        hosts.map((host) => {
          const before = host.previousElementSibling!
          const at = before.matches('a[aria-label]')
            ? 'card'
            : before.querySelector('[data-word-wrap] a') && 'text'
          const post = host.closest('[data-testid*="-by-"], [aria-label^="Post by "]')!
          const name = post.getAttribute('data-testid') ?? post.getAttribute('aria-label')
          return `${at}, ${name}, ${host.shadowRoot!.querySelector('a')!.getAttribute('href')}`
        }),
      )

    const own = 'https://pollz.waow.tech/poll/did:plc:yk4dd2qkboz2yv6tpubpc6co/'
    const elsewhere = 'https://poll.blue/p/'
    const feed = () => fixture('feed').replaceAll(own, elsewhere)
    const expected = [
      `card, feedItem-by-alice.test, ${elsewhere}card`,
      `text, feedItem-by-bob.test, ${elsewhere}text`,
      `card, feedItem-by-carol.test, ${elsewhere}both`,
      `card, Post by Bob, ${elsewhere}quoted`,
      `text, feedItem-by-carol.test, ${elsewhere}first`,
    ]

    test('has one note in each post, below its card or text, and nobody is asked for anything', async () => {
      const asked: string[] = []
      context.on('request', (request) => asked.push(request.url()))
      await show(feed())
      await page.locator('[data-pollz-note]').first().waitFor()
      expect(await notes()).toEqual(expected)
      expect(await page.locator('[data-pollz]').count()).toBe(0)
      expect(await page.locator('a[aria-label][href^="https://poll.blue/"]').first().isVisible()).toBe(true)
      expect(asked.filter((url) => !url.startsWith('https://bsky.app/'))).toEqual([])
      // Drawn anew, as React does, each has its note again, and none has two.
      await page.evaluate(() => {
        const root = document.getElementById('root')!
        const anew = root.cloneNode(true) as Element
        for (const host of anew.querySelectorAll('[data-pollz-note]')) host.remove()
        root.replaceWith(anew)
      })
      await page.locator('[data-pollz-note]').first().waitFor()
      expect(await notes()).toEqual(expected)
    })

    test('looks like the small text around it in each theme', async () => {
      await show(feed())
      const note = page.locator('[data-pollz-note]').first()
      await note.waitFor()
      for (const [theme, color] of [
        ['light', 'rgb(64, 81, 104)'],
        ['dark', 'rgb(165, 178, 197)'],
        ['dim', 'rgb(171, 184, 201)'],
      ]) {
        await page.evaluate((it) => (document.documentElement.className = `theme--${it}`), theme)
        await until(`the colour in ${theme}`, () =>
          note.locator('p').evaluate((it, color) => getComputedStyle(it).color === color, color),
        )
      }
      expect(await note.locator('p').evaluate((it) => getComputedStyle(it).fontSize)).toBe('13.125px')
    })

    test('that is a poll’s link by now, or nothing, has none any more', async () => {
      await show(feed())
      await page.locator('[data-pollz-note]').first().waitFor()
      const card = page.locator('a[aria-label][href^="https://poll.blue/"]').first()
      await card.evaluate((it, href) => it.setAttribute('href', href), `${own}card`)
      await page.locator('[data-pollz$="/card"]').waitFor()
      expect(await notes()).toEqual(expected.slice(1))
      await page.evaluate(() => document.querySelector('[data-pollz-note]')!.previousElementSibling!.remove())
      await until('no note of what has left', async () => (await notes()).length === expected.length - 2)
    })

    test('opens there, and not the thread', async () => {
      await show(feed())
      await context.route(`${elsewhere}**`, (route) => route.fulfill({ body: '' }))
      await page.evaluate(() =>
        document.addEventListener('click', () => document.body.setAttribute('data-clicked', '')),
      )
      const [opened] = await Promise.all([
        context.waitForEvent('page'),
        page.getByRole('link', { name: 'Open it on poll.blue', exact: true }).first().click(),
      ])
      await opened.waitForURL(`${elsewhere}card`)
      expect(await page.locator('[data-clicked]').count()).toBe(0)
      await opened.close()
    })

    test('has none in the composer', async () => {
      await show(fixture('composer').replaceAll(own, elsewhere))
      await page.locator('[data-pollz-note]').waitFor()
      expect(await notes()).toEqual([`card, feedItem-by-alice.test, ${elsewhere}behind`])
    })

    test('switched off, there are none', async () => {
      await show(feed())
      await page.locator('[data-pollz-note]').first().waitFor()
      const popup = await popupOver(page)
      const shown = popup.getByRole('switch', { name: 'Show polls on this page' })
      await shown.uncheck()
      await until('no notes', async () => (await notes()).length === 0)
      await shown.check()
      await page.locator('[data-pollz-note]').first().waitFor()
      expect(await notes()).toEqual(expected)
      await popup.close()
    })
  })

  /** As it is over a page. */
  async function popupOver(below: Page): Promise<Page> {
    const popup = await ownPage(context, 'popup.html')
    await below.bringToFront()
    await popup.reload()
    await popup.getByRole('button', { name: 'New poll' }).waitFor()
    return popup
  }

  test('a link in a profile with a single post is none of the post’s', async () => {
    await show(fixture('profile').replaceAll(/<div[^>]*data-testid="feedItem-by-bob[^]*(?=<\/main>)/g, ''))
    await page.locator('[data-pollz]').first().waitFor()
    expect(await widgets()).toEqual(['pinned: card, feedItem-by-alice.test, 15px'])
    const popup = await popupOver(page)
    expect(await popup.getByRole('alert').count()).toBe(0)
    await popup.close()
  })

  test.each([
    ['profile', 'with a link in what somebody says about themselves'],
    ['search', 'with one in what is said of a person'],
    ['messages', 'in a conversation'],
    ['composer', 'in what is being written'],
    ['notifications', 'in a like'],
  ])('%s: nothing is missed %s', async (name) => {
    await show(fixture(name))
    if (name !== 'messages') await page.locator('[data-pollz]').first().waitFor()
    const popup = await popupOver(page)
    await popup.getByRole('switch', { name: 'Show polls on this page' }).waitFor()
    expect(await popup.getByRole('alert').count()).toBe(0)
    await popup.close()
  })

  test.each<[what: string, change: (html: string) => string]>([
    [
      'texts and cards are others',
      (html) => html.replaceAll(/data-testid="postText"|data-word-wrap="1"|tabindex="0"/g, ''),
    ],
    [
      'posts are others',
      (html) =>
        html.replaceAll(
          /data-testid="feedItem-by-[^"]*"|aria-label="Post by [^"]*"|data-tooltip="[^"]*"/g,
          '',
        ),
    ],
  ])('%s: the popup says how many polls could not be shown, and where to report it', async (_, change) => {
    await show(change(fixture('feed')))
    await page.locator('a[href*="/poll/"]').first().waitFor()
    const popup = await popupOver(page)
    await popup.getByText('bsky.app has changed: 6 polls on this page could not be shown.').waitFor()
    expect(await page.locator('[data-pollz]').count()).toBe(0)
    // Without those posts there is nothing to say.
    await page.locator('a[href*="/poll/"]').evaluateAll((all) => all.slice(1).forEach((it) => it.remove()))
    await popup.reload()
    await popup.getByText('bsky.app has changed: 1 poll on this page could not be shown.').waitFor()
    await context.route(`${ISSUES_URL}**`, (route) => route.fulfill({ body: '' }))
    const [report] = await Promise.all([
      context.waitForEvent('page'),
      popup.getByRole('button', { name: 'Report this' }).click(),
    ])
    await report.waitForURL(ISSUES_URL)
    await report.close()
    if (!popup.isClosed()) await popup.close()
  })

  test('the switch for a page is over pages that can have polls', async () => {
    await show(fixture('feed'))
    const elsewhere = await context.newPage()
    const popup = await popupOver(elsewhere)
    expect(await popup.getByRole('switch').count()).toBe(0)
    await page.bringToFront()
    await popup.reload()
    await popup.getByRole('switch', { name: 'Show polls on this page' }).uncheck()
    await until('no polls', async () => (await page.locator('[data-pollz]').count()) === 0)
    await popup.getByRole('switch', { name: 'Show polls on this page' }).check()
    await page.locator('[data-pollz]').first().waitFor()
    await popup.close()
    await elsewhere.close()
  })

  test('options are saved while the server is away; another server has to answer', async () => {
    await show(fixture('feed'))
    await page.locator('[data-pollz]').first().waitFor()
    const options = await ownPage(context, 'options.html')
    const save = () => options.getByRole('button', { name: 'Save' }).click()
    await options.getByRole('switch', { name: 'Show polls on bsky.app' }).uncheck()
    await save()
    await options.getByText('Saved.', { exact: true }).waitFor()
    await until('no polls', async () => (await page.locator('[data-pollz]').count()) === 0)
    // On this machine, where the permission is there.
    await options.getByLabel('Server').fill('http://127.0.0.1:7')
    await options.getByRole('switch', { name: 'Show polls on bsky.app' }).check()
    await save()
    await options.getByText('http://127.0.0.1:7 isn’t a pollz server').waitFor()
    await options.getByText('Everything else is saved.').waitFor()
    await page.locator('[data-pollz]').first().waitFor()
    expect(await axeFinds(options)).toEqual([])
    await options.reload()
    expect(await options.getByLabel('Server').inputValue()).toBe(nowhere)
    await options.close()
  })
})
