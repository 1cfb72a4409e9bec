/** The sites that polls are shown on: bsky.app always, others that run the same web client where somebody wants that. */
import { SITE } from '@pollz/shared/network'
import type { Settings } from './requests.ts'

/** Origins that the options list. */
export const SISTER_SITES: readonly string[] = [
  'https://blacksky.community',
  'https://witchsky.app',
  'https://catsky.social',
  'https://deer.social',
]

type Sites = Pick<Settings, 'sites'>

/** @returns origins of all sites that polls are shown on */
export const sitesOf = ({ sites }: Sites): string[] => [SITE, ...sites]

/** @returns the site, if polls are (still) shown on it; else bsky.app */
export const siteOr = (site: string | undefined, settings: Sites): string =>
  site !== undefined && settings.sites.includes(site) ? site : SITE

/** As people know a site. */
export const nameOfSite = (site: string): string => new URL(site).host

/** Match pattern of an origin: patterns take no port. */
export function originPattern(origin: string): string {
  const { protocol, hostname } = new URL(origin)
  return `${protocol}//${hostname}/*`
}

/** @returns match patterns of all that the extension has to have access to */
export const neededPatterns = (settings: Pick<Settings, 'sites' | 'server'>): string[] => [
  ...new Set([...sitesOf(settings), settings.server].map(originPattern)),
]

/** Whether access to some patterns is access to a site: the patterns may be broader than what was asked for. */
export const covers = (patterns: readonly string[], site: string): boolean =>
  [originPattern(site), `${new URL(site).protocol}//*/*`, '*://*/*', '<all_urls>'].some((it) =>
    patterns.includes(it),
  )
