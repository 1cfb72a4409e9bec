/**
 * How tap is configured for this project, wherever it runs (tap/fly.toml says the same for Fly; a test keeps the two
 * equal): it follows everybody who has ever voted, hands on the polls and votes of every family, and waits for acks.
 */
import { collections, home } from '@pollz/shared/families'

/**
 * @param at where it finds the network, where it listens, and where it keeps its own state
 */
export function tapEnvironment(at: {
  relayUrl: string
  plcUrl: string
  bind: string
  databaseUrl: string
}): Record<string, string> {
  return {
    TAP_RELAY_URL: at.relayUrl,
    TAP_PLC_URL: at.plcUrl,
    TAP_BIND: at.bind,
    TAP_DATABASE_URL: at.databaseUrl,
    // Voters, not poll authors: tap takes one collection, and a voter who never made a poll counts too.
    TAP_SIGNAL_COLLECTION: home.vote,
    TAP_COLLECTION_FILTERS: collections.join(','),
    // How soon an event is sent again that went into a connection that died.
    TAP_RETRY_TIMEOUT: '3s',
    TAP_DISABLE_ACKS: 'false',
  }
}
