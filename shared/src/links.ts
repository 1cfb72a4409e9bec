/** Poll links to at-uri and back. The content script loads it in every bsky.app tab: imports have to be light. */
import { formatAtUri, MAX_AT_URI, parseAtUri } from './at-uri.ts'

/** Host (with its port, if any) to the collection (NSID) of the polls it links to. */
export type PollHosts = Readonly<Record<string, string>>

/**
 * The at-uri of the poll that a link means, or undefined if it means none.
 * The repo may be a handle; only the server resolves it.
 *
 * @param href absolute URL: `https://HOST/poll/DID_OR_HANDLE/RKEY`; http only on loopback
 */
export function parsePollLink(href: string, hosts: PollHosts): string | undefined {
  // Most links in a feed are something else: parsing them all as URLs is what costs.
  if (!href.includes('/poll/')) return undefined
  let url: URL
  try {
    url = new URL(href)
  } catch {
    return undefined
  }
  const collection = Object.hasOwn(hosts, url.host) ? hosts[url.host] : undefined
  if (!collection) return undefined
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) return undefined
  const parts = url.pathname.split('/')
  if (parts[1] !== 'poll' || (parts.length !== 4 && !(parts.length === 5 && parts[4] === '')))
    return undefined
  let repo: string
  let rkey: string
  try {
    repo = decodeURIComponent(parts[2]!)
    rkey = decodeURIComponent(parts[3]!)
  } catch {
    return undefined
  }
  const uri = formatAtUri({ repo: repo.startsWith('did:') ? repo : repo.toLowerCase(), collection, rkey })
  return uri.length <= MAX_AT_URI && parseAtUri(uri) ? uri : undefined
}

/**
 * The page of a poll.
 *
 * @param uri at-uri of the poll
 * @param server base URL of the companion server, for polls whose collection has no host of its own
 */
export function pollLink(uri: string, hosts: PollHosts, server: string): string {
  const { repo, collection, rkey } = parseAtUri(uri)!
  const ofServer = hosts[new URL(server).host] === collection
  const own = ofServer ? undefined : Object.entries(hosts).find(([, nsid]) => nsid === collection)
  return `${own ? `https://${own[0]}` : server.replace(/\/$/, '')}/poll/${repo}/${rkey}`
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
