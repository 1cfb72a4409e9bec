/** From the extension's own pages to bsky.app's composer. */
import { browser } from 'wxt/browser'

/** Base URL of the site that has people's profiles and the composer. */
export const SITE = 'https://bsky.app'

/** The composer with a link in it, of which it makes a card. */
export const composeUrl = (link: string) => `${SITE}/intent/compose?${new URLSearchParams({ text: link })}`

/** A popup is over then. */
export async function openTab(url: string): Promise<void> {
  await browser.tabs.create({ url })
  if (location.pathname === '/popup.html') close()
}
