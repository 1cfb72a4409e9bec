/** The server's pages with what they draw, in light and dark and in every language: a picture of each, nothing for axe to find. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pollHosts } from '@pollz/shared/families'
import type { PollHistory, PollView } from '@pollz/shared/wire'
import { site } from '@pollz/site/built'
import type { Frame } from '@pollz/site/types'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { axeFinds, openPlainBrowser } from '../browser.ts'

const folder = join(import.meta.dirname, '../artifacts/gallery-pages')
const assets = join(import.meta.dirname, '../../site/.output/assets')
const publicUrl = 'https://gallery.example'

const frameIn = (language: string): Frame => ({
  publicUrl,
  language,
  network: { plc: 'https://plc.example', handleResolver: 'https://handles.example' },
  hosts: pollHosts(publicUrl),
})

const poll: PollView = {
  uri: 'at://did:plc:bobbbbbbbbbbbbbbbbbbbbbb/tech.waow.poll/3kabc',
  repo: 'did:plc:bobbbbbbbbbbbbbbbbbbbbbb',
  collection: 'tech.waow.poll',
  rkey: '3kabc',
  handle: 'bob.example',
  text: 'Tabs or spaces?',
  options: [
    { text: 'Tabs', count: 1204 },
    { text: 'Spaces', count: 3977 },
    { text: 'Whatever the formatter says', count: 811 },
  ],
  total: 5992,
  createdAt: '2026-11-20T20:15:00.000Z',
  edited: false,
  version: 1,
}

/** They come fast at first, each option at a pace of its own. */
const history: PollHistory = {
  from: Date.parse(poll.createdAt),
  step: 3_600_000,
  counts: Array.from({ length: 96 }, (_, i) =>
    poll.options.map(({ count }, option) => Math.round(count * (1 - (1 - (i + 1) / 96) ** (option + 2)))),
  ),
}

let browser: Browser

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  browser = await openPlainBrowser()
})

afterAll(async () => {
  await browser?.close()
})

const pages: Record<string, (frame: Frame) => string> = {
  poll: (frame) => site.poll(frame, poll, history),
  author: (frame) =>
    site.author(frame, {
      did: poll.repo,
      polls: [poll],
      days: [
        ['2026-11-20', 3100],
        ['2026-11-21', 1900],
        ['2026-11-22', 992],
      ],
    }),
}

describe.each(site.languages)('in %s', (language) => {
  test.each(Object.keys(pages))('%s, in light and dark', async (name) => {
    const found: string[] = []
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await browser.newContext({
        colorScheme,
        viewport: { width: 640, height: 900 },
        javaScriptEnabled: true,
      })
      const page = await context.newPage()
      await page.route(`${publicUrl}/**`, (route) => {
        const { pathname } = new URL(route.request().url())
        if (pathname === '/')
          return route.fulfill({ contentType: 'text/html', body: pages[name]!(frameIn(language)) })
        // As it is without a script.
        return pathname.endsWith('.css') || pathname.endsWith('.svg')
          ? route.fulfill({
              contentType: pathname.endsWith('.css') ? 'text/css' : 'image/svg+xml',
              body: readFileSync(join(assets, pathname.replace('/assets/', ''))),
            })
          : route.fulfill({ status: 404 })
      })
      await page.goto(`${publicUrl}/`)
      for (const details of await page.locator('main > details, .chart details').all())
        await details.locator('summary').click()
      found.push(...(await axeFinds(page)).map((it) => `${colorScheme}: ${it}`))
      await page.screenshot({ path: join(folder, `${name}-${language}-${colorScheme}.png`), fullPage: true })
      const { scroll, client } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        client: document.documentElement.clientWidth,
      }))
      expect(scroll).toBe(client)
      await context.close()
    }
    expect(found).toEqual([])
  })
})
