/** Tabs of bsky.app that were open before the extension was, or before it was allowed there. */
import { browser } from 'wxt/browser'

/**
 * Runs the content script in them, as the browser does in pages that load from now on. A script of an older version that
 * is still there ends when the newer one starts.
 */
export async function runInOpenTabs(): Promise<void> {
  for (const { matches, js } of browser.runtime.getManifest().content_scripts ?? []) {
    // A discarded tab loads again before anybody sees it.
    const tabs = await browser.tabs.query({ url: matches, discarded: false })
    const running = tabs.map(({ id }) =>
      browser.scripting.executeScript({ target: { tabId: id! }, files: js as never }),
    )
    // A tab that is closing, or shows the browser's own error page, takes none.
    await Promise.allSettled(running)
  }
}
