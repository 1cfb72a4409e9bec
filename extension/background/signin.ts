/** Signing in through a tab: the PDS sends it back to an address of the server's, which the extension sees. */
import type { OpenSignIn } from '@pollz/engine/accounts'
import type { Engine } from '@pollz/engine/engine'
import { browser } from 'wxt/browser'

export const openInTab: OpenSignIn = async (url, keep) => {
  const tab = await browser.tabs.create({ url })
  await keep(tab.id!)
}

/** A tab that is not wanted any more; it may be gone by now. */
export const closeTab = (tab: number): Promise<void> => browser.tabs.remove(tab).catch(() => {})

/** Tabs that have come back, until it is known who has signed in. */
const finishing = new Set<number>()

export async function mayComeBack(tab: number): Promise<boolean> {
  if (finishing.has(tab)) return true
  return browser.tabs.get(tab).then(
    () => true,
    () => false,
  )
}

/** Tabs that have come back: that they are closed now is no giving up. */
const returned = new Set<number>()

/**
 * A tab goes to another address: perhaps the one that a PDS sends people back to.
 *
 * @returns whether somebody has signed in now
 */
export async function navigated({ accounts, acts }: Engine, tab: number, url: string): Promise<boolean> {
  if (!accounts.isReturn(url) || returned.has(tab)) return false
  // Before anything is awaited: the browser may say it twice.
  returned.add(tab)
  const waiting = await acts.waitingFor(tab)
  if (!waiting) {
    returned.delete(tab)
    return false
  }
  finishing.add(tab)
  const { page, voter } = waiting
  if (page !== undefined) await browser.tabs.update(page, { active: true }).catch(() => {})
  await closeTab(tab)
  const result = await accounts.finish(url, voter?.did)
  await acts.signedIn(tab, result).finally(() => finishing.delete(tab))
  return 'did' in result || result.failed.name === 'otherAccount'
}

/** A tab was closed: perhaps one in which somebody was to sign in. */
export async function closed({ acts }: Engine, tab: number): Promise<void> {
  if (!returned.delete(tab)) await acts.signedIn(tab, { failed: { name: 'notFinished' } })
}
