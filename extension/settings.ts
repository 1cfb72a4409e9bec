/** Where a build points to unless its environment says otherwise, and what nobody has set yet. */
import type { Settings } from './requests.ts'

export const DEFAULT_SERVER_URL = 'https://pollz.fly.dev'

export const network = {
  plc: import.meta.env?.['WXT_PLC_URL'] ?? 'https://plc.directory',
  /** Asked for the DID of a handle that somebody types in to sign in. */
  handleResolver: import.meta.env?.['WXT_HANDLE_RESOLVER_URL'] ?? 'https://public.api.bsky.app',
}

export const defaults: Settings = {
  server: import.meta.env?.['WXT_SERVER_URL'] ?? DEFAULT_SERVER_URL,
  resultsFirst: false,
  hosts: [],
  on: true,
}
