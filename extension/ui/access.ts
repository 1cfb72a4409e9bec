/** Where the browser lets the extension work: somebody can take that away, or has never given it. */
import { browser } from 'wxt/browser'
import type { Settings } from '../requests.ts'
import { neededPatterns } from '../sites.ts'

/** @returns match patterns of what it needs and may not use: of sites that polls are shown on, and of the server */
export async function missingAccess(settings: Settings): Promise<string[]> {
  const needed = neededPatterns(settings)
  const granted = await Promise.all(needed.map((it) => browser.permissions.contains({ origins: [it] })))
  return needed.filter((_, i) => !granted[i])
}

/** Follows what is given and taken. Returns what ends that. */
export function followAccess(changed: () => void): () => void {
  const { onAdded, onRemoved } = browser.permissions
  for (const event of [onAdded, onRemoved]) event.addListener(changed)
  return () => {
    for (const event of [onAdded, onRemoved]) event.removeListener(changed)
  }
}
