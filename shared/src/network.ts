/** Where the network's own directories are, unless somebody says otherwise. */
export const PLC_URL = 'https://plc.directory'
/** For browsers, which can't ask the DNS for a handle's DID. */
export const PUBLIC_HANDLE_RESOLVER = 'https://public.api.bsky.app'

/** An index of all links on the network, which knows who has voted: https://constellation.microcosm.blue */
export const CONSTELLATION_URL = 'https://constellation.microcosm.blue'

/** The site that has people's profiles, and the composer. */
export const SITE = 'https://bsky.app'

/** @param person handle or DID @param site base URL of a site like it */
export const profileUrl = (person: string, site = SITE) => `${site}/profile/${person}`

/** A composer with a text in it; of a link it makes a card. @param site base URL of a site like it */
export const composeUrl = (text: string, site = SITE) =>
  `${site}/intent/compose?${new URLSearchParams({ text })}`
