/** Signing in through a tab: the PDS sends it back to an address of the server's, which the extension sees. */
import type { OpenSignIn } from '@pollz/client/accounts'
import type { Parts } from '@pollz/client/parts'
import { browser } from 'wxt/browser'

export const openInTab: OpenSignIn = async (url, keep) => {
  const tab = await browser.tabs.create({ url })
  await keep(tab.id!)
}

/** A tab goes to another address: perhaps the one that a PDS sends people back to. */
export async function navigated({ accounts, acts }: Parts, tab: number, url: string): Promise<void> {
  if (!accounts.isReturn(url)) return
  const kept = await accounts.take(tab)
  if (!kept) return
  const { intent } = kept
  if (intent.page !== undefined) await browser.tabs.update(intent.page, { active: true }).catch(() => {})
  await browser.tabs.remove(tab).catch(() => {})
  await acts.settle(intent, await accounts.finish(url, intent))
}

/** A tab was closed: perhaps one in which somebody was to sign in. */
export async function closed({ accounts, acts }: Parts, tab: number): Promise<void> {
  const kept = await accounts.take(tab)
  if (kept) await acts.settle(kept.intent, { failed: { name: 'notFinished' } })
}
