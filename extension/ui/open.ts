/** From the extension's own pages to others. */
import { browser } from 'wxt/browser'

/** A popup is over then. */
export async function openTab(url: string): Promise<void> {
  await browser.tabs.create({ url })
  if (location.pathname === '/popup.html') close()
}
