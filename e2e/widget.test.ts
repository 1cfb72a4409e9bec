/** What the tests of the widget see it with, on pages that change under it as a busy machine makes them. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPlainBrowser } from './browser.ts'
import { counts, showsCounts } from './widget.ts'

let browser: Browser

beforeAll(async () => {
  browser = await openPlainBrowser()
})

afterAll(() => browser?.close())

test('results that come while they are asked for are seen', async () => {
  const page = await browser.newPage()
  // A button that never stands still can't be clicked by Playwright, and then it has gone.
  await page.setContent(`
    <style>
      button { animation: move 1s linear infinite }
      @keyframes move { to { transform: translateX(100px) } }
    </style>
    <div data-pollz="at://poll"><button>Show results</button></div>
    <script>
      setTimeout(() => {
        document.querySelector('[data-pollz]').innerHTML = '<b class="count">1</b><b class="count">2</b>'
      }, 1000)
    </script>`)
  await showsCounts(page, 'at://poll', [1, 2])
  expect(await counts(page, 'at://poll')).toEqual([1, 2])
  await page.close()
})
