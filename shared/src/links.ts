/** Poll links to at-uri and back. The content script loads it in every bsky.app tab: imports have to be light. */
import { formatAtUri, MAX_AT_URI, parseAtUri, type RecordUri } from './at-uri.ts'

/**
 * Host (with its port, if any) to what links to it mean, in words: first the collection (NSID) of the polls that it links
 * to. Then, where it is not `/poll/REPO/RKEY`, the path of such links, with a `?` before it where they may lead to
 * something else, and a `^` where the post that one is in asks the question; and all other collections that a link may name: `/poll/REPO/COLLECTION/RKEY`.
 */
export type PollHosts = Readonly<Record<string, string>>

type Kind = {
  /** Else the link may lead to something else, and whether there is such a poll has to be asked. */
  sure: boolean
  /** The post that it is in asks the question, most likely. */
  asked: boolean
}

export type PollLink = Kind & { uri: string }

type Meaning = Kind & { collection: string; path: string; named: string[] }

const SHORT = '/poll/REPO/RKEY'
const LONG = '/poll/REPO/COLLECTION/RKEY'

function meaningOf(words: string): Meaning {
  const [collection = '', ...rest] = words.split(' ')
  const [, marks = '', path = SHORT] = rest.flatMap((word) => /^([?^]*)(\/.*)$/.exec(word) ?? [])
  return {
    collection,
    path,
    sure: !marks.includes('?'),
    asked: marks.includes('^'),
    named: rest.filter((word) => !word.includes('/')),
  }
}

/**
 * The at-uri of the poll that a link means, or undefined if it means none for sure.
 * The repo may be a handle; only the server resolves it.
 *
 * @param href absolute URL like `https://HOST/poll/DID_OR_HANDLE/RKEY`, http only on loopback; or an at-uri
 */
export function parsePollLink(href: string, hosts: PollHosts): string | undefined {
  const link = readPollLink(href, hosts)
  return link?.sure ? link.uri : undefined
}

/** As `parsePollLink`, and also links that may lead to something else. */
export function readPollLink(href: string, hosts: PollHosts): PollLink | undefined {
  if (href.startsWith('at://')) return readAtUri(href, hosts)
  // Most links in a feed are something else: parsing them all as URLs is what costs.
  const [, host] = /^https?:\/\/([^/?#]+)\//i.exec(href) ?? []
  if (host === undefined || !Object.hasOwn(hosts, host.toLowerCase())) return undefined
  let url: URL
  try {
    url = new URL(href)
  } catch {
    return undefined
  }
  if (url.protocol !== 'https:' && !isLoopback(url.hostname)) return undefined
  const { collection, path, named, ...kind } = meaningOf(hosts[host.toLowerCase()]!)
  const short = fill(path, url.pathname)
  if (short) return linkTo({ collection, ...short }, kind)
  const long = path === SHORT ? fill(LONG, url.pathname) : undefined
  return long && [collection, ...named].includes(long.collection ?? '') ? linkTo(long, kind) : undefined
}

/** Some posts have the poll's own name for a link. */
function readAtUri(href: string, hosts: PollHosts): PollLink | undefined {
  const uri = parseAtUri(href)
  if (!uri) return undefined
  const meanings = Object.values(hosts).map(meaningOf)
  const own = meanings.find(({ collection }) => collection === uri.collection)
  const isKnown = own ?? meanings.some(({ named }) => named.includes(uri.collection))
  return isKnown ? linkTo(uri, { sure: true, asked: own?.asked ?? false }) : undefined
}

/** @returns undefined for what nobody here takes for a poll's at-uri */
function linkTo({ repo = '', collection = '', rkey = '' }: Partial<RecordUri>, { sure, asked }: Kind) {
  const uri = formatAtUri({ repo: repo.startsWith('did:') ? repo : repo.toLowerCase(), collection, rkey })
  return uri.length <= MAX_AT_URI && parseAtUri(uri) ? { uri, sure, asked } : undefined
}

/** What stands in a path where the template has a word in capitals; undefined where they don't match. */
function fill(template: string, pathname: string): Partial<RecordUri> | undefined {
  const parts = pathname.replace(/(.)\/$/, '$1').split('/')
  const words = template.split('/')
  if (parts.length !== words.length) return undefined
  const found: Record<string, string> = {}
  for (const [i, word] of words.entries()) {
    if (word === 'REPO' || word === 'COLLECTION' || word === 'RKEY') {
      try {
        found[word.toLowerCase()] = decodeURIComponent(parts[i]!)
      } catch {
        return undefined
      }
    } else if (word !== parts[i]) return undefined
  }
  return found
}

/**
 * The page of a poll.
 *
 * @param uri at-uri of the poll
 * @param server base URL of the companion server, for polls whose collection has no host of its own
 */
export function pollLink(uri: string, hosts: PollHosts, server: string): string {
  const { repo, collection, rkey } = parseAtUri(uri)!
  const isOwn = meaningOf(hosts[new URL(server).host] ?? '').collection === collection
  for (const [host, words] of isOwn ? [] : Object.entries(hosts)) {
    const { collection: of, path, sure } = meaningOf(words)
    if (of === collection && sure) return `https://${host}${path.replace('REPO', repo).replace('RKEY', rkey)}`
  }
  return pollPage(uri, hosts, server)
}

/** What stands after `/poll/` in the address of a poll's page on a companion server, whatever its family's links are. */
export function pollPath(uri: string, hosts: PollHosts, server: string): string {
  const { repo, collection, rkey } = parseAtUri(uri)!
  const isOwn = meaningOf(hosts[new URL(server).host] ?? '').collection === collection
  return isOwn ? `${repo}/${rkey}` : `${repo}/${collection}/${rkey}`
}

/** Address of a poll's page on a companion server, whatever its family's links are. */
export const pollPage = (uri: string, hosts: PollHosts, server: string): string =>
  `${server.replace(/\/$/, '')}/poll/${pollPath(uri, hosts, server)}`

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
