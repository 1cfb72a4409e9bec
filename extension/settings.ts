/** Where a build points to unless its environment says otherwise, and what nobody has set yet. */
import { CONSTELLATION_URL, PLC_URL, PUBLIC_HANDLE_RESOLVER } from '@pollz/shared/network'
import type { Settings } from './requests.ts'

export const DEFAULT_SERVER_URL = 'https://pollz.fly.dev'

/** Where faults are to be reported, as a page that anybody can read; undefined: this build does not say. */
export const ISSUES_URL: string | undefined = import.meta.env?.['WXT_ISSUES_URL']

export const network = {
  plc: import.meta.env?.['WXT_PLC_URL'] ?? PLC_URL,
  /** Asked for the DID of a handle that somebody types in to sign in. */
  handleResolver: import.meta.env?.['WXT_HANDLE_RESOLVER_URL'] ?? PUBLIC_HANDLE_RESOLVER,
}

export const defaults: Settings = {
  server: import.meta.env?.['WXT_SERVER_URL'] ?? DEFAULT_SERVER_URL,
  resultsFirst: false,
  hosts: [],
  sites: [],
  second: import.meta.env?.['WXT_SECOND_URL'] ?? CONSTELLATION_URL,
  on: true,
}
