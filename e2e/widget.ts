/** The widget as a test sees it: by roles and texts, through its shadow root. */
import type { BrowserContext, Locator, Page } from 'playwright-core'
import { PASSWORD } from './network.ts'
import { until } from './processes.ts'

/** The widgets of a poll: bsky.app keeps screens that were left in the document, so only the visible ones. */
export const widget = (page: Page, uri: string): Locator =>
  page.locator(`[data-pollz="${uri}"]`).filter({ visible: true })

export const option = (page: Page, uri: string, name: string): Locator =>
  widget(page, uri).getByRole('radio', { name })

/** Waits until the widget has these counts, in the order of its options. It shows its results, or is asked to. */
export async function showsCounts(page: Page, uri: string, expected: number[]): Promise<void> {
  const ask = widget(page, uri).getByRole('button', { name: 'Show results' })
  await until(`the counts ${expected}`, async () => {
    const shown = await counts(page, uri)
    // In one step: Playwright's own click would wait for a button that has just gone.
    if (shown.length === 0) await ask.evaluateAll(([button]) => (button as HTMLElement | undefined)?.click())
    if (shown.join() === expected.join()) return true
    throw new Error(`shown: ${shown}`)
  })
}

/** Counts of a widget's options, as shown. */
export const counts = async (page: Page, uri: string): Promise<number[]> =>
  (await widget(page, uri).locator('.count').allTextContents()).map(Number)

/** Signs in on the PDS's own pages, in the tab that a click opens. */
export async function signIn(context: BrowserContext, page: Page, click: () => Promise<void>): Promise<void> {
  const [authorize] = await Promise.all([context.waitForEvent('page'), click()])
  await authorize.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await authorize.getByRole('button', { name: 'Sign in' }).click()
  await Promise.all([
    authorize.waitForEvent('close'),
    authorize.getByRole('button', { name: 'Authorize' }).click(),
  ])
  await page.bringToFront()
}

/** The first vote ever in a browser: the widget says first what comes. */
export const voteFirst = (context: BrowserContext, page: Page, uri: string, name: string): Promise<void> =>
  signIn(context, page, async () => {
    await option(page, uri, name).click()
    const notice = widget(page, uri).getByRole('alert')
    await notice.getByText('To vote, allow pollz at your account’s server.').waitFor()
    await notice.getByRole('button', { name: 'Continue' }).click()
  })

/** Ends the extension's background, as the browser does where it has nothing to do. */
export async function stopWorker(context: BrowserContext): Promise<void> {
  const [worker] = context.serviceWorkers()
  const inside = await context.newPage()
  await inside.goto(new URL('/manifest.json', worker!.url()).href)
  const cdp = await context.newCDPSession(inside)
  const ended = new Promise<void>((resolve) => {
    cdp.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      for (const { versionId, runningStatus } of versions) {
        if (runningStatus === 'running') void cdp.send('ServiceWorker.stopWorker', { versionId })
        if (runningStatus === 'stopped') resolve()
      }
    })
  })
  await cdp.send('ServiceWorker.enable')
  await ended
  await cdp.send('ServiceWorker.disable')
  await inside.close()
}
