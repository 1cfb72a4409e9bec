/** The server's own pages in a Chromium without the extension: polls, votes, frames, cards, and why there is none. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import ogs from 'open-graph-scraper'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { axeFinds, leaveAndComeBack, openPlainBrowser, pictureFailure } from './browser.ts'
import { PASSWORD, startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { option, showsCounts, widget } from './widget.ts'

const tap = process.env['POLLZ_TAP']
const artifacts = join(import.meta.dirname, 'artifacts')

describe.skipIf(!tap)('the server’s pages', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let carol: Account
  let dan: Account
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let poll: string

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true })
    const started = await startTestNetwork(stop.signal, 'alice', 'bob', 'carol', 'dan')
    network = started.network
    ;[alice, bob, carol, dan] = started.accounts
    poll = await bob.makePoll('Tabs or <spaces>?', ['Tabs', 'Spaces', 'Both, in turns'])
    browser = await openPlainBrowser()
    context = await browser.newContext({ viewport: { width: 700, height: 900 }, deviceScaleFactor: 2 })
    page = await context.newPage()
  })

  afterEach(({ task }) => pictureFailure(task, ...(context ? [context] : [])))

  afterAll(async () => {
    await browser?.close()
    stop.abort()
    await network?.done
  })

  const pathOf = (uri: string, repo?: string) => `/poll/${repo ?? uri.split('/')[2]}/${uri.split('/')[4]}`
  const at = (path: string) => `${network.serverUrl}${path}`
  const html = (path: string) => fetch(at(path), { headers: { accept: 'text/html' } })

  /** The PDS's own sign-in page, in this tab, and back. */
  async function authorize(person: Account, where = page): Promise<void> {
    await where.getByLabel('Password', { exact: true }).fill(PASSWORD)
    await where.getByRole('button', { name: 'Sign in' }).click()
    await where.getByRole('button', { name: 'Authorize' }).click()
    await where.getByText(`Signed in as @${person.handle}`).waitFor()
  }

  test('without a script: question, options, results, in the reader’s language', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false, locale: 'de-DE' })
    const reader = await plain.newPage()
    await carol.vote(poll, 1)
    await until('her vote', async () => {
      await reader.goto(at(pathOf(poll)))
      return (await widget(reader, poll).getByText('1 Stimme').count()) > 0
    })
    await option(reader, poll, 'Spaces 100').waitFor()
    expect(await reader.getByRole('heading', { level: 1 }).innerText()).toBe('Tabs or <spaces>?')
    expect(await reader.locator('html').getAttribute('lang')).toBe('de')
    await reader.screenshot({ path: join(artifacts, 'page-without-script.png') })
    await plain.close()
  })

  test('with it: live, and somebody without the extension votes, changes their mind, and takes it back', async () => {
    await page.goto(at(pathOf(poll, bob.handle)))
    await showsCounts(page, poll, [0, 1, 0])
    await carol.vote(poll, 0)
    await showsCounts(page, poll, [1, 0, 0])
    const hint = page.getByText('Votes are public').filter({ visible: true })
    expect(await hint.count()).toBe(1)
    await option(page, poll, 'Spaces').click()
    await widget(page, poll).getByLabel('Vote as').fill('@alice.test')
    await widget(page, poll).getByRole('button', { name: 'Sign in' }).click()
    await authorize(alice)
    expect(new URL(page.url()).pathname).toBe(pathOf(poll, bob.handle))
    await showsCounts(page, poll, [1, 1, 0])
    await widget(page, poll).getByRole('radio', { name: 'Spaces', checked: true }).waitFor()
    expect(await alice.voteRecord(poll)).toMatchObject({ subject: poll, option: 1 })
    await hint.waitFor({ state: 'detached' })
    await page.screenshot({ path: join(artifacts, 'page-voted.png') })

    await option(page, poll, 'Both').click()
    await showsCounts(page, poll, [1, 0, 1])
    await until('the record', async () => ((await alice.voteRecord(poll)) as { option: number }).option === 2)
    await page.reload()
    await widget(page, poll).getByRole('radio', { name: 'Both', checked: true }).waitFor()
    await widget(page, poll).getByRole('button', { name: 'Remove vote' }).click()
    await showsCounts(page, poll, [1, 0, 0])
    // Nor is it said again to somebody who has voted before.
    await page.reload()
    await showsCounts(page, poll, [1, 0, 0])
    expect(await hint.count()).toBe(0)
    await until('the record is gone', async () => !(await alice.voteRecord(poll)))
  })

  test('how the vote went: without a script, live, by keyboard and as a table', async () => {
    const of = await bob.makePoll('How did it go?', ['Up', 'Down'])
    await carol.vote(of, 0)
    const plain = await browser.newContext({ javaScriptEnabled: false })
    const reader = await plain.newPage()
    const chart = reader.getByRole('img', { name: 'How the vote went' })
    await until('the chart', async () => {
      await reader.goto(at(pathOf(of)))
      return (await chart.count()) > 0
    })
    expect(await chart.getAttribute('aria-label')).toBe('How the vote went. Up: 1. Down: 0')
    expect(await chart.locator('path').count()).toBe(2)
    await plain.close()

    const live = await context.newPage()
    await live.goto(at(pathOf(of)))
    const time = live.getByRole('slider', { name: 'Time' })
    await time.waitFor()
    await dan.vote(of, 1)
    await live.getByRole('img', { name: 'How the vote went. Up: 1. Down: 1' }).waitFor()
    await live.screenshot({ path: join(artifacts, 'page-chart.png'), fullPage: true })
    await time.focus()
    await live.keyboard.press('Home')
    await live.getByRole('img', { name: 'How the vote went. Up: 0. Down: 0' }).waitFor()
    expect(await time.getAttribute('aria-valuetext')).toContain('Up: 0. Down: 0')
    await live.keyboard.press('End')
    await live.getByRole('img', { name: 'How the vote went. Up: 1. Down: 1' }).waitFor()
    await live.getByText('As a table').click()
    const rows = live.getByRole('row')
    expect(await rows.first().innerText()).toBe('Time\tUp\tDown')
    expect(await rows.last().innerText()).toMatch(/1\t1$/)
    await live.getByText('Take it along').click()
    expect(await axeFinds(live)).toEqual([])
    expect(await live.getByLabel('Quote it').inputValue()).toContain(of)
    const [csv] = await Promise.all([
      live.waitForEvent('download'),
      live.getByRole('link', { name: 'Votes (CSV)' }).click(),
    ])
    expect(csv.suggestedFilename()).toMatch(/^poll-.*\.csv$/)
    const dark = await live.getByRole('link', { name: 'Picture, dark' }).getAttribute('href')
    const picture = await fetch(dark!)
    expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/png'])
    const none = await fetch(dark!.replace('dark', 'pink'))
    expect([none.status, await none.json()]).toEqual([
      400,
      { error: 'InvalidRequest', message: 'theme: expected light or dark, got "pink"' },
    ])
    await live.close()
  })

  test('the API describes itself, for programs and for people', async () => {
    const described = (await (await fetch(at('/openapi.json'))).json()) as { openapi: string }
    expect(described.openapi).toBe('3.1.0')
    expect(await (await fetch(at('/api'))).json()).toEqual(described)
    const reader = await context.newPage()
    await reader.goto(at('/api'))
    await reader.getByRole('heading', { name: 'GET /api/polls/{uri}/votes.csv' }).waitFor()
    expect(await axeFinds(reader)).toEqual([])
    await reader.close()
  })

  test('an author’s polls are on one page, with the votes of each day', async () => {
    const reader = await context.newPage()
    await reader.goto(at(pathOf(poll)))
    await reader.getByRole('link', { name: 'Polls by @bob.test' }).click()
    await reader.getByRole('heading', { level: 1, name: 'Polls by @bob.test' }).waitFor()
    await option(reader, poll, 'Tabs').waitFor()
    const today = new Date().toISOString().slice(0, 10)
    await reader.getByRole('row', { name: today }).waitFor()
    expect(await axeFinds(reader)).toEqual([])
    await reader.screenshot({ path: join(artifacts, 'page-author.png'), fullPage: true })
    // Alice, who is signed in, has one that she has not posted.
    const hers = await alice.makePoll('Unposted?', ['Yes', 'No'])
    await fetch(at(`/api/polls/${encodeURIComponent(hers)}`))
    await until('the note', async () => {
      await reader.goto(at(`/by/${alice.did}`))
      await reader.getByText('Not posted yet').first().waitFor({ timeout: 5_000 })
      return true
    })
    const nobody = await html('/by/nobody.test')
    expect(nobody.status).toBe(404)
    await reader.close()
  })

  test('at another address it is live too; a click leads to the public one, where sign-ins are', async () => {
    const other = await context.newPage()
    await other.goto(at(pathOf(poll)).replace('127.0.0.1', 'localhost'))
    await showsCounts(other, poll, [1, 0, 0])
    await carol.vote(poll, 2)
    await showsCounts(other, poll, [0, 0, 1])
    await carol.vote(poll, 0)
    await showsCounts(other, poll, [1, 0, 0])
    await option(other, poll, 'Spaces').click()
    await other.waitForURL(at(pathOf(poll)))
    await other.getByText('Signed in as @alice.test').waitFor()
    expect(await alice.voteRecord(poll)).toBeUndefined()
    await other.close()
  })

  test('a connection that is open and silent is noticed; when it speaks again the page goes on', async () => {
    const { port, hostname } = new URL(network.serverUrl)
    const both: Socket[] = []
    let silent = false
    /** A network between that keeps connections open and forwards nothing, while it is silent. */
    const between = createTcpServer((near) => {
      const far = connect(Number(port), hostname)
      near.on('error', () => far.destroy())
      far.on('error', () => near.destroy())
      near.pipe(far)
      far.pipe(near)
      both.push(near, far)
      if (silent) for (const it of [near, far]) it.pause()
    })
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve))
    const other = await context.newPage()
    await other.goto(`http://127.0.0.1:${(between.address() as AddressInfo).port}${pathOf(poll)}`)
    await carol.vote(poll, 1)
    await showsCounts(other, poll, [0, 1, 0])
    silent = true
    for (const it of both) it.pause()
    await carol.vote(poll, 2)
    await widget(other, poll).getByText('reconnecting').waitFor({ timeout: 60_000 })
    silent = false
    for (const it of both) it.resume()
    await showsCounts(other, poll, [0, 0, 1])
    await carol.vote(poll, 0)
    await showsCounts(other, poll, [1, 0, 0])
    expect(await widget(other, poll).getByText('reconnecting').count()).toBe(0)
    await other.close()
    for (const it of both) it.destroy()
    between.close()
  })

  test('nothing in the page is against its policy', async () => {
    const other = await context.newPage()
    const complaints: string[] = []
    other.on('console', (message) => {
      // A PDS asks for a fresh nonce this way, and gets it.
      if (message.type() === 'error' && !message.text().includes('401')) complaints.push(message.text())
    })
    other.on('pageerror', (error) => complaints.push(error.message))
    await other.goto(at(pathOf(poll)))
    await showsCounts(other, poll, [1, 0, 0])
    await option(other, poll, 'Tabs').click()
    await until('the vote', async () => (await alice.voteRecord(poll)) !== undefined)
    await widget(other, poll).getByRole('button', { name: 'Details' }).click()
    await widget(other, poll).getByRole('link', { name: '@carol.test' }).waitFor()
    expect(complaints).toEqual([])
    await other.close()
  })

  test('a sign-in that is given up is said; signing out ends the session', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    await option(page, poll, 'Spaces').click()
    await widget(page, poll).getByLabel('Vote as').fill('alice.test')
    await widget(page, poll).getByRole('button', { name: 'Sign in' }).click()
    await page.getByLabel('Password', { exact: true }).waitFor()
    await page.goBack()
    await widget(page, poll).getByText('Couldn’t vote: the sign-in wasn’t finished').waitFor()
    await showsCounts(page, poll, [2, 0, 0])

    // Whoever began as one account and comes back as nobody known does not vote.
    await page.getByRole('button', { name: 'Sign in' }).first().click()
    await page.getByLabel('Handle').fill('nobody.test')
    await page.locator('#account').getByRole('button', { name: 'Sign in' }).click()
    await page.locator('#account').getByRole('alert').waitFor()
    expect(await page.locator('#account').getByText('Couldn’t sign in').count()).toBe(1)
  })

  test('from the back-forward cache it comes back alive: live, a sign-in that was given up is said, a click votes', async () => {
    const keeping = await openPlainBrowser({ backForwardCache: true })
    const hers = await (await keeping.newContext()).newPage()
    const fresh = await bob.makePoll('Back again?', ['Yes', 'No'])
    await carol.vote(fresh, 0)
    await hers.goto(at(pathOf(fresh)))
    await showsCounts(hers, fresh, [1, 0])
    await leaveAndComeBack(hers, () => carol.vote(fresh, 1))
    await showsCounts(hers, fresh, [0, 1])

    const goToSignIn = async () => {
      await option(hers, fresh, 'Yes').click()
      await widget(hers, fresh).getByLabel('Vote as').fill('alice.test')
      await widget(hers, fresh).getByRole('button', { name: 'Sign in' }).click()
      await hers.getByLabel('Password', { exact: true }).waitFor()
    }
    await goToSignIn()
    await hers.evaluate(() => history.back())
    await widget(hers, fresh).getByText('Couldn’t vote: the sign-in wasn’t finished').waitFor()
    await widget(hers, fresh).getByRole('button', { name: 'Dismiss' }).click()
    await goToSignIn()
    await authorize(alice, hers)
    await showsCounts(hers, fresh, [1, 1])
    await leaveAndComeBack(hers, () => carol.vote(fresh, 0))
    await showsCounts(hers, fresh, [2, 0])
    await option(hers, fresh, 'No').click()
    await showsCounts(hers, fresh, [1, 1])
    await until(
      'an answer',
      async () => (await widget(hers, fresh).locator('[aria-busy=true]').count()) === 0,
    )
    expect(await alice.voteRecord(fresh)).toMatchObject({ option: 1 })
    await keeping.close()
  })

  test('its author edits and deletes it on the page', async () => {
    const own = await bob.makePoll('Draft?', ['One', 'Two'])
    await carol.vote(own, 0)
    await page.goto(at(pathOf(own)))
    await showsCounts(page, own, [1, 0])
    expect(await widget(page, own).getByRole('button', { name: 'Manage your poll' }).count()).toBe(0)
    await page.getByRole('button', { name: 'Sign in' }).first().click()
    await page.getByLabel('Handle').fill('bob.test')
    await page.locator('#account').getByRole('button', { name: 'Sign in' }).click()
    await authorize(bob)
    const manage = () => widget(page, own).getByRole('button', { name: 'Manage your poll' }).click()
    await manage()
    await widget(page, own).getByRole('button', { name: 'Edit' }).click()
    await widget(page, own).getByRole('textbox', { name: 'Question' }).fill('Final?')
    await widget(page, own).getByRole('textbox', { name: 'Option 2', exact: true }).fill('Twice')
    await widget(page, own).getByText('Votes stay with each option').waitFor()
    await page.screenshot({ path: join(artifacts, 'page-edit.png') })
    await widget(page, own).getByRole('button', { name: 'Save' }).click()
    await widget(page, own).getByRole('form').waitFor({ state: 'detached' })
    await option(page, own, 'Twice').waitFor()
    await widget(page, own).getByText('Edited after the first vote').waitFor()
    await showsCounts(page, own, [1, 0])

    await manage()
    await widget(page, own).getByRole('button', { name: 'Delete' }).click()
    await widget(page, own).getByRole('button', { name: 'Delete poll' }).click()
    await widget(page, own).getByText('This poll no longer exists.').waitFor()
    // The server hears of it afterwards.
    await until('a page that says so', async () => {
      const response = await html(pathOf(own))
      return response.status === 404 && (await response.text()).includes('This poll was deleted')
    })
  })

  test.each(['light', 'dark'] as const)(
    'axe finds nothing in them, and nothing is too wide: %s',
    async (scheme) => {
      const reader = await browser.newContext({ colorScheme: scheme, viewport: { width: 320, height: 700 } })
      const other = await reader.newPage()
      for (const path of [
        '/',
        pathOf(poll),
        pathOf(poll).replace('/poll/', '/embed/'),
        '/poll/nobody.test/x',
      ]) {
        await other.goto(at(path))
        await other.getByText('pollz').or(widget(other, poll)).first().waitFor()
        expect([path, await axeFinds(other)]).toEqual([path, []])
        const surplus = await other.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        expect([path, surplus]).toEqual([path, 0])
        const name = path.split('/')[1] || 'home'
        await other.screenshot({ path: join(artifacts, `narrow-${name}-${scheme}.png`), fullPage: true })
      }
      await reader.close()
    },
  )

  test('where there is no poll, a page says why, with a proper status', async () => {
    const suspended = await dan.makePoll('Hers?', ['Yes', 'No'])
    expect((await html(pathOf(suspended))).status).toBe(200)
    await dan.agent.com.atproto.server.deactivateAccount({})
    const rkey = poll.split('/')[4]
    const cases: [string, number, string][] = [
      [`/poll/did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/${rkey}`, 404, 'Account not found'],
      [`/poll/nobody.test/${rkey}`, 404, 'Handle not found'],
      [`/poll/${bob.did}/3kaaaaaaaaaa2`, 404, 'Poll not found'],
      [`/poll/${bob.did}/%3Cscript%3E`, 400, 'This isn’t a poll’s address'],
      ['/poll/not-a-handle/x', 400, 'This isn’t a poll’s address'],
      ['/nowhere', 404, 'Page not found'],
      [`/embed/${bob.did}/3kaaaaaaaaaa2`, 404, 'Poll not found'],
    ]
    for (const [path, status, title] of cases) {
      const response = await html(path)
      const text = await response.text()
      expect([path, response.status, /<h1>(.*?)<\/h1>/.exec(text)?.[1]]).toEqual([path, status, title])
      expect(text).not.toMatch(/\bat .*\.ts:\d+/)
    }
    await until('the account is not active', async () => {
      const response = await html(pathOf(suspended))
      return response.status === 410 && (await response.text()).includes('This account isn’t active')
    })
    await page.goto(at('/poll/nobody.test/x'))
    await page.screenshot({ path: join(artifacts, 'page-problem.png') })
  })

  test('a card service finds title, description and a picture; the picture has the question and the bars', async () => {
    const { result, error } = await ogs({ url: at(pathOf(poll)) })
    expect(error).toBe(false)
    expect(result).toMatchObject({
      ogTitle: 'Tabs or <spaces>?',
      ogDescription: 'Tabs · Spaces · Both, in turns (2 votes)',
      ogUrl: at(pathOf(poll)),
      ogSiteName: 'pollz',
      twitterCard: 'summary_large_image',
    })
    const [picture] = result.ogImage!
    expect(picture).toMatchObject({ width: '1200', height: '630', type: 'image/png' })
    const response = await fetch(picture!.url)
    expect(response.headers.get('content-type')).toBe('image/png')
    const png = Buffer.from(await response.arrayBuffer())
    writeFileSync(join(artifacts, 'card.png'), png)
    const tag = response.headers.get('etag')!
    expect((await fetch(picture!.url, { headers: { 'if-none-match': tag } })).status).toBe(304)

    /** A column of the picture: rows of the light blue of bars. */
    const blueRows = (image: Buffer, x: number) =>
      page.evaluate(
        async ([data, x]) => {
          const bitmap = await createImageBitmap(await (await fetch(data)).blob())
          const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
          const context = canvas.getContext('2d')!
          context.drawImage(bitmap, 0, 0)
          let rows = 0
          for (let y = 0; y < bitmap.height; y++) {
            const [r, g, b] = context.getImageData(x, y, 1, 1).data
            if (r! < 240 && g! > 200 && b === 255) rows++
          }
          return rows
        },
        [`data:image/png;base64,${image.toString('base64')}`, x] as const,
      )
    await page.goto('about:blank')
    // Both votes are for the first of three: its bar goes all the way, the others have none.
    expect(await blueRows(png, 1100)).toBeGreaterThan(60)
    expect(await blueRows(png, 1100)).toBeLessThan(100)
    await bob.vote(poll, 1)
    await until(
      'a new picture',
      async () => {
        const newer = await fetch(picture!.url)
        if (newer.headers.get('etag') === tag) return false
        const image = Buffer.from(await newer.arrayBuffer())
        // Two thirds and one third: two bars at the left, none at the right.
        return (await blueRows(image, 330)) > 120 && (await blueRows(image, 1100)) === 0
      },
      20_000,
    )
  })

  describe('in somebody else’s page', () => {
    let site: Server
    let origin: string

    beforeAll(async () => {
      const oembed = await fetch(at(`/oembed?${new URLSearchParams({ url: at(pathOf(poll)) })}`))
      const { html: frame } = (await oembed.json()) as { html: string }
      site = createServer((_, response) => {
        response.setHeader('content-type', 'text/html')
        response.end(`<!doctype html><title>A blog</title><h1>A blog</h1>${frame}`)
      })
      await new Promise<void>((resolve) => {
        site.listen(0, '127.0.0.1', resolve)
      })
      origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
    })

    afterAll(() => void site?.close())

    test('oEmbed is found from the poll’s page, and says what it can and can’t', async () => {
      const text = await (await html(pathOf(poll))).text()
      const href = /<link rel="alternate" type="application\/json\+oembed" href="([^"]+)"/.exec(text)![1]!
      const response = await fetch(href.replaceAll('&amp;', '&'))
      expect(await response.json()).toMatchObject({
        version: '1.0',
        type: 'rich',
        title: 'Tabs or <spaces>?',
        author_name: 'bob.test',
        width: 550,
        html: expect.stringContaining('<iframe src='),
      })
      const status = async (query: Record<string, string>) =>
        (await fetch(at(`/oembed?${new URLSearchParams(query)}`))).status
      expect(await status({ url: at(pathOf(poll)), format: 'xml' })).toBe(501)
      expect(await status({ url: 'https://elsewhere.example/poll/a.b/c' })).toBe(404)
      expect(await status({ url: at(`/poll/${bob.did}/3kaaaaaaaaaa2`) })).toBe(404)
      expect(await status({ url: at(pathOf(poll)), maxwidth: 'wide' })).toBe(400)
    })

    test('its frame is as high as it is, with several choices too', async () => {
      const several = await bob.makePoll('Which days?', ['Friday', 'Saturday'], {
        multiple: true,
        endsAt: '2099-05-03T18:00:00Z',
      })
      for (const uri of [poll, several]) {
        const oembed = await fetch(at(`/oembed?${new URLSearchParams({ url: at(pathOf(uri)) })}`))
        const { width, height } = (await oembed.json()) as { width: number; height: number }
        const frame = await browser.newPage({ viewport: { width, height } })
        await frame.goto(at(pathOf(uri).replace('/poll/', '/embed/')))
        await frame.getByText('Vote on the poll page').waitFor()
        // In a window that is too low a document is as high as it needs to be.
        await frame.setViewportSize({ width, height: 50 })
        const needed = await frame.evaluate(() => document.documentElement.scrollHeight)
        console.log(`a frame of ${height} px needs ${needed} px`)
        expect(needed).toBeLessThanOrEqual(height)
        await frame.close()
      }
    })

    test('it is live, and a click opens the poll’s own page, which can’t be framed', async () => {
      await page.goto(origin)
      const frame = page.frameLocator('iframe')
      const radio = frame.getByRole('radio', { name: 'Spaces' })
      await radio.waitFor()
      const count = async () => Number(await radio.locator('.count').innerText())
      const before = await count()
      await carol.vote(poll, 1)
      await until('the vote', async () => (await count()) === before + 1)
      await page.screenshot({ path: join(artifacts, 'embed.png') })
      const [opened] = await Promise.all([context.waitForEvent('page'), radio.click()])
      await option(opened, poll, 'Spaces').waitFor()
      expect(new URL(opened.url()).pathname).toBe(pathOf(poll))
      await opened.close()
      expect(await radio.getAttribute('aria-checked')).toBe('false')

      const whole = await fetch(at(pathOf(poll)))
      expect(whole.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      await page.setContent(`<iframe src="${at(pathOf(poll))}"></iframe>`)
      await until('it is refused', async () =>
        page.frames().some((it) => it !== page.mainFrame() && it.url().startsWith('chrome-error:')),
      )
    })
  })

  test('home: the newest and the busiest, and new ones come by themselves', async () => {
    await page.goto(at('/'))
    const list = (name: string) => page.locator(`[data-list="${name}"] > li`)
    await until(
      'two lists',
      async () => (await list('newest').count()) >= 1 && (await list('busiest').count()) >= 1,
    )
    expect(await list('busiest').first().getByText('Tabs or <spaces>?').count()).toBe(1)
    await page.screenshot({ path: join(artifacts, 'home.png'), fullPage: true })
    // To a newcomer, once above the lists, and under none of their polls.
    const newcomer = await browser.newContext()
    const theirs = await newcomer.newPage()
    await theirs.goto(at('/'))
    await theirs.getByText('You can remove yours').waitFor()
    expect(await theirs.getByText('You can remove yours').count()).toBe(1)
    await newcomer.close()
    // What is out of view is not watched.
    await list('newest').first().scrollIntoViewIfNeeded()
    const newer = await bob.makePoll('Just now?', ['Yes', 'No'])
    await fetch(at(`/api/polls/${encodeURIComponent(newer)}`))
    await list('newest').first().getByText('Just now?').waitFor({ timeout: 20_000 })
    await carol.vote(newer, 0)
    await list('newest').first().getByText('1 vote').first().waitFor()
  })
})
