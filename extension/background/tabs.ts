/** Where the content script runs, besides in pages of bsky.app that load: those are the manifest's. */
import { browser } from 'wxt/browser'
import type { PageAsk } from '../requests.ts'
import { originPattern } from '../sites.ts'

/** Name of the registration for all sites but bsky.app. */
const ID = 'sites'

/** The content script, as the manifest has it for bsky.app. */
const contentScript = () => browser.runtime.getManifest().content_scripts![0]!

const patternsOf = (sites: readonly string[]) => [...new Set(sites.map(originPattern))]

/**
 * Runs the content script in open tabs that have none: from before the extension was installed, or was allowed there. A
 * script of an older version that is still there hears nothing any more, and ends when the newer one starts. One that runs
 * may have somebody writing in it: it stays.
 *
 * @param sites origins
 */
export async function runInOpenTabs(sites: readonly string[]): Promise<void> {
  if (sites.length === 0) return
  // A discarded tab loads again before anybody sees it.
  const tabs = await browser.tabs.query({ url: patternsOf(sites), discarded: false })
  const files = contentScript().js as never
  const running = tabs
    // Patterns take no port.
    .filter(({ url }) => sites.includes(new URL(url!).origin))
    .map(async ({ id }) => {
      if (!(await hasScript(id!))) await browser.scripting.executeScript({ target: { tabId: id! }, files })
    })
  // A tab that is closing, or shows the browser's own error page, takes none.
  await Promise.allSettled(running)
}

let registered: Promise<void> = Promise.resolve()

/**
 * Has the content script run in pages of these sites that load from now on, and of no others but bsky.app. Calls wait for
 * each other.
 *
 * @param sites origins
 */
export function registerIn(sites: readonly string[]): Promise<void> {
  const registering = registered.then(() => register(patternsOf(sites)))
  registered = registering.catch(() => {})
  return registering
}

async function register(matches: string[]): Promise<void> {
  const [there] = await browser.scripting.getRegisteredContentScripts({ ids: [ID] })
  if (there?.matches?.join() === matches.join()) return
  // An empty list of patterns is refused.
  if (matches.length === 0) return there && browser.scripting.unregisterContentScripts({ ids: [ID] })
  const { js, run_at } = contentScript()
  const script = { id: ID, matches, js: js!, runAt: run_at as 'document_start' }
  await (there
    ? browser.scripting.updateContentScripts([script])
    : browser.scripting.registerContentScripts([script]))
}

const hasScript = (tab: number): Promise<boolean> =>
  browser.tabs.sendMessage(tab, { type: 'unplaced' } satisfies PageAsk).then(
    (answer: unknown) => answer !== undefined,
    () => false,
  )
