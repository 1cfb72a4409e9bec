/** Where the browser lets the extension work: somebody can take that away, or has never given it. */
import { SITE } from '@pollz/shared/network'
import { browser } from 'wxt/browser'
import { originPattern } from './check.ts'

/** @returns match patterns of the sites that it needs and may not use: of bsky.app, and of the server */
export async function missingAccess(server: string): Promise<string[]> {
  const needed = [SITE, server].map(originPattern)
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
