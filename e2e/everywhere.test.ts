/** Polls of every family in bsky.app's page, by the links that their own clients write, and votes as those write them. */
import { familyOfPoll } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import type { BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { buildExtension, openBrowser, openBsky, pictureFailure } from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { voteFirst } from './widget.ts'

const tap = process.env['POLLZ_TAP']

const OPTIONS = ['Tea', 'Coffee', 'Water']
const TID = /^[2-7a-z]{13}$/

describe.skipIf(!tap)('polls of every family', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page
  /** at-uris of polls */
  const polls: Record<string, string> = {}
  /** at-uris of posts, by what they say */
  const posts: Record<string, string> = {}

  let made = 0
  const newKey = () => tid((Date.now() + made++) * 1000)
  const now = () => new Date().toISOString()
  const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()
  const parts = (uri: string) => {
    const [, , repo, collection, rkey] = uri.split('/') as [string, string, string, string, string]
    return { repo, collection, rkey }
  }

  async function record(uri: string) {
    const { data } = await bob.agent.com.atproto.repo.getRecord(parts(uri))
    return { uri, cid: data.cid!, value: data.value }
  }

  async function create(collection: string, rkey: string, value: object): Promise<string> {
    const record = { $type: collection, ...value }
    await bob.agent.com.atproto.repo.createRecord({ repo: bob.did, collection, rkey, record })
    return `at://${bob.did}/${collection}/${rkey}`
  }

  const ref = async (uri: string) => ({ uri, cid: (await record(uri)).cid })

  /** As TOKIMEKI's clients do it: the post has the poll's card, and the poll names the post. */
  async function makeTokimeki(text: string, link: (rkey: string) => string): Promise<string> {
    const rkey = newKey()
    const poll = `at://${bob.did}/tech.tokimeki.poll.poll/${rkey}`
    posts[text] = await bob.post(text, poll, 'card', { link: link(rkey) })
    const subject = await ref(posts[text])
    await create('tech.tokimeki.poll.poll', rkey, {
      subject,
      options: OPTIONS,
      createdAt: now(),
      endsAt: inAnHour(),
    })
    return poll
  }

  /** The poll has the key of its post. */
  async function makeRedDwarf(text: string, hasPoll: boolean): Promise<string> {
    const rkey = newKey()
    const link = `https://reddwarf.app/profile/${bob.did}/post/${rkey}`
    posts[text] = await bob.post(text, undefined, 'card', { link, rkey })
    const [a, b, c] = OPTIONS
    if (hasPoll)
      await create('app.reddwarf.embed.poll', rkey, {
        subject: await ref(posts[text]),
        a,
        b,
        c,
        multiple: true,
        createdAt: now(),
      })
    return `at://${bob.did}/app.reddwarf.embed.poll/${rkey}`
  }

  beforeAll(async () => {
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network)
    // The newest post is the feed's first: the one without a poll is out of sight.
    polls['none'] = await makeRedDwarf('Nothing to choose', false)
    polls['Red Dwarf'] = await makeRedDwarf('Which of these?', true)
    polls['Leaflet'] = await create('pub.leaflet.poll.definition', newKey(), {
      name: 'In a document?',
      options: OPTIONS.map((text) => ({ text })),
    })
    await bob.post('Only its address:', polls['Leaflet'], 'text')
    polls['at-uri'] = await makeTokimeki(
      'By its own name',
      (rkey) => `at://${bob.did}/tech.tokimeki.poll.poll/${rkey}`,
    )
    polls['TOKIMEKI'] = await makeTokimeki(
      'What do you drink?',
      (rkey) => `https://poll.tokimeki.tech/p/${bob.did}/${rkey}?options=3`,
    )
    await alice.post('Look at what he asks', undefined, 'text', { quote: posts['What do you drink?']! })
    await alice.post('He wants to know', polls['TOKIMEKI'], 'card')
    polls['pollz.waow.tech'] = await create('tech.waow.pollz.poll', newKey(), {
      text: 'As it was?',
      options: OPTIONS,
      createdAt: now(),
    })
    await bob.post('An older one', polls['pollz.waow.tech'], 'card')
    polls['pollz'] = await bob.makePoll('As it is?', OPTIONS)
    await bob.post('A newer one', polls['pollz'], 'card')
    context = await openBrowser([alice, bob])
    page = await openBsky(context, alice)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
  })

  /** The innermost visible post that says something. */
  const postOf = (text: string): Locator =>
    page
      .locator('[data-testid*="Item-by-"], [aria-label^="Post by "]')
      .filter({ visible: true, hasText: text })
      .last()

  /** Alice's votes for a poll on her PDS. */
  async function votes(poll: string): Promise<{ collection: string; rkey: string; value: object }[]> {
    const { votes } = familyOfPoll.get(parts(poll).collection)!
    const lists = await Promise.all(
      votes.map(async ({ nsid: collection }) => {
        const { data } = await alice.agent.com.atproto.repo.listRecords({ repo: alice.did, collection })
        return data.records.map(({ uri, value }) => ({ collection, rkey: parts(uri).rkey, value }))
      }),
    )
    return lists.flat().filter(({ value }) => JSON.stringify(value).includes(poll))
  }

  const createdAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string

  /** What each family's own clients write for an option, field by field. */
  const shapes: Record<string, (poll: { uri: string; cid: string }, option: number) => object> = {
    pollz: ({ uri }, option) => ({ $type: 'tech.waow.vote', subject: uri, option, createdAt }),
    'pollz.waow.tech': ({ uri }, option) => ({
      $type: 'tech.waow.pollz.vote',
      subject: uri,
      option,
      createdAt,
    }),
    TOKIMEKI: (poll, optionIndex) => ({ $type: 'tech.tokimeki.poll.vote', poll, optionIndex, createdAt }),
    'at-uri': (poll, optionIndex) => ({ $type: 'tech.tokimeki.poll.vote', poll, optionIndex, createdAt }),
    Leaflet: (poll, option) => ({ $type: 'pub.leaflet.poll.vote', poll, option: [String(option)] }),
  }

  /** The widget in a post that says something. */
  const within = (text: string) => postOf(text).locator('[data-pollz]')
  const counts = async (shown: Locator) => (await shown.locator('.count').allTextContents()).map(Number)

  const inPost = {
    pollz: 'A newer one',
    'pollz.waow.tech': 'An older one',
    TOKIMEKI: 'What do you drink?',
    'at-uri': 'By its own name',
    Leaflet: 'Only its address:',
  }

  test.each(Object.entries(inPost))('%s: seen, voted on, changed, taken back', async (name, text) => {
    const poll = polls[name]!
    const { cid } = await record(poll)
    const shown = within(text)
    const choice = (it: string, checked?: boolean) =>
      shown.getByRole('radio', { name: it, ...(checked === undefined ? {} : { checked }) })
    await postOf(text).scrollIntoViewIfNeeded()
    if (name === 'pollz') await voteFirst(context, page, poll, 'Coffee')
    else await choice('Coffee').click()
    await choice('Coffee', true).waitFor()
    const { votes: collections, key } = familyOfPoll.get(parts(poll).collection)!
    const collection = collections[0]!.nsid
    const rkey = expect.stringMatching(key === 'poll' ? `^${voteRkey(poll)}$` : TID) as string
    const value = (option: number) => shapes[name]!({ uri: poll, cid }, option)
    await vi.waitFor(async () => expect(await votes(poll)).toEqual([{ collection, rkey, value: value(1) }]))
    await until('its count', async () => (await counts(shown)).join() === '0,1,0')
    const [before] = await votes(poll)

    await choice('Water').click()
    await vi.waitFor(async () => expect(await votes(poll)).toEqual([{ ...before, value: value(2) }]))
    await until('the other count', async () => (await counts(shown)).join() === '0,0,1')

    await shown.getByRole('button', { name: 'Remove vote' }).click()
    await vi.waitFor(async () => expect(await votes(poll)).toEqual([]))
    await until('no count', async () => (await counts(shown)).join() === '0,0,0')
  })

  test('Red Dwarf: several are chosen, each in a record of its own', async () => {
    const poll = polls['Red Dwarf']!
    const { cid } = await record(poll)
    const shown = within('Which of these?')
    const vote = (letter: string) => ({
      collection: `app.reddwarf.poll.vote.${letter}`,
      rkey: expect.stringMatching(TID) as string,
      value: { $type: `app.reddwarf.poll.vote.${letter}`, subject: { uri: poll, cid }, createdAt },
    })
    const choose = async (...names: string[]) => {
      for (const it of names) await shown.getByRole('checkbox', { name: it }).click()
      await shown.getByRole('button', { name: 'Vote', exact: true }).click()
    }
    await postOf('Which of these?').scrollIntoViewIfNeeded()
    await choose('Tea', 'Water')
    await vi.waitFor(async () => expect(await votes(poll)).toEqual([vote('a'), vote('c')]))
    await until('their counts', async () => (await counts(shown)).join() === '1,0,1')
    const [, water] = await votes(poll)

    await choose('Tea', 'Coffee')
    await vi.waitFor(async () => expect(await votes(poll)).toEqual([vote('b'), water]))
    await until('the other counts', async () => (await counts(shown)).join() === '0,1,1')

    await shown.getByRole('button', { name: 'Remove vote' }).click()
    await vi.waitFor(async () => expect(await votes(poll)).toEqual([]))
    await until('no counts', async () => (await counts(shown)).join() === '0,0,0')
  })

  describe('a question that is a post’s text', () => {
    const question = 'What do you drink?'
    /** Whether a widget shows it. By this name its options are known in any case. */
    const asks = async (shown: Locator, role: 'radiogroup' | 'group' = 'radiogroup', name = question) => {
      await shown.scrollIntoViewIfNeeded()
      await shown.getByRole(role, { name, exact: true }).waitFor()
      return (await shown.locator('.question').count()) === 1
    }

    test('is not repeated in that post, by whatever link its poll was found', async () => {
      await postOf('Which of these?').scrollIntoViewIfNeeded()
      expect(await asks(within(question))).toBe(false)
      expect(await asks(within('By its own name'), 'radiogroup', 'By its own name')).toBe(false)
      expect(await asks(within('Which of these?'), 'group', 'Which of these?')).toBe(false)
    })

    test('is shown in a quote of it, and in another post', async () => {
      const quote = page.locator('[aria-label^="Post by "]').filter({ visible: true }).locator('[data-pollz]')
      expect(await asks(quote)).toBe(true)
      expect(await asks(within('He wants to know'))).toBe(true)
    })

    test('is not repeated where a thread was opened at that post', async () => {
      const pathOf = (text: string) => `/profile/bob.test/post/${parts(posts[text]!).rkey}`
      await page.goto(`https://bsky.app${pathOf(question)}`)
      expect(await asks(within(question))).toBe(false)
      await page.goto('https://bsky.app/')
      await postOf('By its own name').locator('.css-text').click()
      await until('the thread', () => new URL(page.url()).pathname === pathOf('By its own name'))
      expect(await asks(within('By its own name'), 'radiogroup', 'By its own name')).toBe(false)
    })

    test('is shown on the server’s page', async () => {
      const { repo, collection, rkey } = parts(polls['TOKIMEKI']!)
      const site = await context.newPage()
      await site.goto(`${network.serverUrl}/poll/${repo}/${collection}/${rkey}`)
      await site.getByRole('radio').first().waitFor()
      expect(await site.locator('.question').innerText()).toBe(question)
      await site.close()
    })
  })

  describe('a link that may lead to something else', () => {
    type Watched = typeof globalThis & {
      sockets: { sent: string[]; heard: string[] }
      seen: { changes: string[]; sizes: string[]; options: number | undefined }
    }

    /** What the extension's background says to the server from now on, and hears from it. */
    async function listen() {
      const worker = context.serviceWorkers()[0]!
      await worker.evaluate(() => {
        const sockets = { sent: [] as string[], heard: [] as string[] }
        Object.assign(globalThis, { sockets })
        const known = new WeakSet<WebSocket>()
        const { send } = WebSocket.prototype
        WebSocket.prototype.send = function (data) {
          sockets.sent.push(String(data))
          if (!known.has(this)) this.addEventListener('message', (it) => sockets.heard.push(String(it.data)))
          known.add(this)
          send.call(this, data)
        }
      })
      const messages = (of: 'sent' | 'heard', uri: string) =>
        worker.evaluate(([of, uri]) => (globalThis as Watched).sockets[of].filter((it) => it.includes(uri)), [
          of,
          uri,
        ] as const)
      return messages
    }

    /** Opens the feed and notes what becomes of a post from its first moment on, and what takes its card's place. */
    async function openWatching(rkey: string): Promise<Page> {
      const fresh = await context.newPage()
      await fresh.addInitScript((rkey) => {
        const seen: Watched['seen'] = { changes: [], sizes: [], options: undefined }
        Object.assign(globalThis, { seen })
        const begin = new MutationObserver(() => {
          const card = document.querySelector(`a[aria-label][href$="${rkey}"]`)
          if (!card) return
          begin.disconnect()
          const post = card.closest('[data-testid]')!
          new MutationObserver((records) => {
            for (const { type, attributeName } of records) seen.changes.push(`${type} ${attributeName}`)
            const root = card.previousElementSibling?.shadowRoot
            seen.options ??= root?.querySelectorAll('[role=checkbox]').length ?? 0
          }).observe(post, { attributes: true, childList: true, subtree: true })
          const sizes = new ResizeObserver((entries) => {
            for (const { target, contentRect } of entries)
              seen.sizes.push(`${target.localName} ${contentRect.width} ${contentRect.height}`)
          })
          for (const it of [card, post]) sizes.observe(it)
        })
        begin.observe(document, { childList: true, subtree: true })
      }, rkey)
      await fresh.goto('https://bsky.app/')
      await fresh.locator('[data-pollz]').getByRole('radio').first().waitFor()
      return fresh
    }
    const seen = (of: Page) => of.evaluate(() => (globalThis as Watched).seen)
    const frames = (of: Page) =>
      of.evaluate(async () => {
        for (let i = 0; i < 3; i++)
          await new Promise((resolve) => {
            requestAnimationFrame(resolve)
          })
      })

    test('is asked for near the window only, and stays as it is where there is no poll', async () => {
      const poll = polls['none']!
      const messages = await listen()
      const fresh = await openWatching(parts(poll).rkey)
      await frames(fresh)
      expect(await messages('sent', poll)).toEqual([])
      await fresh.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
      await until('the answer', async () => (await messages('heard', poll)).length > 0)
      expect(await messages('heard', poll)).toEqual([expect.stringContaining('PollNotFound')])
      await frames(fresh)
      const { changes, sizes } = await seen(fresh)
      expect(changes).toEqual([])
      // Once each, as they are observed.
      expect(sizes.map((it) => it.split(' ')[0]).toSorted()).toEqual(['a', 'div'])
      expect(await fresh.getByRole('link', { name: 'Nothing to choose', exact: true }).isVisible()).toBe(true)
      // Out of sight it is asked for no more.
      await fresh.evaluate(() => scrollTo(0, 0))
      await until('the end of it', async () =>
        (await messages('sent', poll)).some((it) => it.includes('unwatch')),
      )
      await fresh.close()
    })

    test('has its card until the poll itself can take its place', async () => {
      const fresh = await openWatching(parts(polls['Red Dwarf']!).rkey)
      await fresh.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
      const shown = fresh.locator(`[data-pollz="${polls['Red Dwarf']}"]`)
      await shown.getByRole('checkbox').first().waitFor()
      expect((await seen(fresh)).options).toBe(OPTIONS.length)
      expect(await shown.locator('+ a').isVisible()).toBe(false)
      await fresh.close()
    })

    test('has one widget, however it is drawn anew, and none when it leads elsewhere', async () => {
      await page.goto('https://bsky.app/')
      const shown = within('Which of these?')
      const card = postOf('Which of these?').locator('a[aria-label="Which of these?"]')
      const isShown = async () => {
        await shown.getByRole('checkbox').first().waitFor()
        expect(await shown.count()).toBe(1)
        expect(await card.isVisible()).toBe(false)
      }
      await postOf('Which of these?').scrollIntoViewIfNeeded()
      await isShown()
      await card.evaluate((it) => it.replaceWith(it.cloneNode(true)))
      await isShown()
      await card.evaluate((it) => {
        const anew = it.parentElement!.cloneNode() as Element
        anew.append(it.cloneNode(true))
        ;(anew.firstElementChild as HTMLElement).style.removeProperty('display')
        it.parentElement!.replaceWith(anew)
      })
      await isShown()
      const href = (await card.getAttribute('href'))!
      await card.evaluate((it) => it.setAttribute('href', 'https://reddwarf.app/'))
      await until('no widget', async () => (await shown.count()) === 0)
      expect(await card.isVisible()).toBe(true)
      await card.evaluate((it, href) => it.setAttribute('href', href), href)
      await isShown()
    })

    test('is one again when its poll is deleted', async () => {
      const { collection, rkey } = parts(polls['Red Dwarf']!)
      const card = postOf('Which of these?').locator('a[aria-label="Which of these?"]')
      const { value } = await record(polls['Red Dwarf']!)
      await bob.agent.com.atproto.repo.deleteRecord({ repo: bob.did, collection, rkey })
      await card.waitFor()
      expect(await within('Which of these?').count()).toBe(0)
      await create(collection, rkey, value)
      await within('Which of these?').getByRole('checkbox').first().waitFor()
      expect(await card.isVisible()).toBe(false)
    })
  })
})
