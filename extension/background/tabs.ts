/** Tabs of bsky.app that were open before the extension was, or before it was allowed there. */
import { browser } from 'wxt/browser'
import type { PageAsk } from '../requests.ts'

/**
 * Runs the content script in those that have none, as the browser does in pages that load from now on. A script of an older
 * version that is still there hears nothing any more, and ends when the newer one starts. One that runs may have somebody
 * writing in it: it stays.
 */
export async function runInOpenTabs(): Promise<void> {
  for (const { matches, js } of browser.runtime.getManifest().content_scripts ?? []) {
    // A discarded tab loads again before anybody sees it.
    const tabs = await browser.tabs.query({ url: matches, discarded: false })
    const running = tabs.map(async ({ id }) => {
      if (!(await hasScript(id!)))
        await browser.scripting.executeScript({ target: { tabId: id! }, files: js as never })
    })
    // A tab that is closing, or shows the browser's own error page, takes none.
    await Promise.allSettled(running)
  }
}

const hasScript = (tab: number): Promise<boolean> =>
  browser.tabs.sendMessage(tab, { type: 'unplaced' } satisfies PageAsk).then(
    (answer: unknown) => answer !== undefined,
    () => false,
  )
