/** Where the network's own directories are, unless somebody says otherwise. */
export const PLC_URL = 'https://plc.directory'
/** For browsers, which can't ask the DNS for a handle's DID. */
export const PUBLIC_HANDLE_RESOLVER = 'https://public.api.bsky.app'
