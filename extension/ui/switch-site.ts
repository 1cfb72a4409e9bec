/** Shows polls on another site, or no more: at once, without "Save". */
import { SITE } from '@pollz/shared/network'
import type { Settings } from '../requests.ts'
import { nameOfSite, originPattern } from '../sites.ts'
import { readServer, type Wrong } from './check.ts'
import { giveBack, type Permissions } from './permissions.ts'

export type Switching = {
  permissions: Permissions
  /** @returns all sites that are on then */
  set: (site: string, on: boolean) => Promise<string[]>
}

export type Switched = { settings: Settings } | { wrong: Wrong }

/**
 * To be called in answer to a click, before anything that takes time: the browser asks for permissions only then.
 *
 * @param site its origin
 */
export async function switchSite(
  settings: Settings,
  site: string,
  on: boolean,
  { permissions, set }: Switching,
): Promise<Switched> {
  if (on) {
    const granted = await permissions.request({ origins: [originPattern(site)] }).catch(() => false)
    if (!granted) return { wrong: ['siteRefused', nameOfSite(site)] }
  }
  const changed = { ...settings, sites: await set(site, on) }
  if (!on) await giveBack(permissions, site, changed)
  return { settings: changed }
}

/** Switches on a site by the address that somebody typed. */
export async function addSite(settings: Settings, typed: string, switching: Switching): Promise<Switched> {
  const site = readServer(typed)
  // The server's own pages draw their polls themselves.
  if (site === undefined || site === settings.server) return { wrong: ['siteInvalid'] }
  if (site === SITE || settings.sites.includes(site)) return { settings }
  return switchSite(settings, site, true, switching)
}
