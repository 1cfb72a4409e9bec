/** What the browser is asked for, and given back. */
import type { Settings } from '../requests.ts'
import { neededPatterns, originPattern } from '../sites.ts'

type Origins = { origins: string[] }

/** As much of `browser.permissions` as is used here. */
export type Permissions = Record<'contains' | 'request' | 'remove', (what: Origins) => Promise<boolean>>

/**
 * Gives access to an origin back, unless something else needs it. The browser refuses for what the extension always has.
 *
 * @param settings as they are without that origin
 */
export async function giveBack(permissions: Permissions, origin: string, settings: Settings): Promise<void> {
  const pattern = originPattern(origin)
  if (neededPatterns(settings).includes(pattern)) return
  await permissions.remove({ origins: [pattern] }).catch(() => false)
}
