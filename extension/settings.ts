/** Where a build points to unless its environment says otherwise: `WXT_SERVER_URL` and the two below. */
export const DEFAULT_SERVER_URL = 'https://pollz.fly.dev'
export const DEFAULT_PLC_URL = 'https://plc.directory'
/** Asked for the DID of a handle that somebody types in to sign in. */
export const DEFAULT_HANDLE_RESOLVER_URL = 'https://public.api.bsky.app'
