/** What somebody typed into the options, read or refused. */
import type { Key } from '@pollz/widget/texts'
import { isLoopback } from '@pollz/shared/links'

/** `[key, ...substitutions]` of the text that says what is wrong. */
export type Wrong = [Key, ...string[]]

/** A DNS name or an address: browsers differ in what else they take for a host. */
const HOSTNAME = /^([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])$/

/** @returns base URL of a server, which is its origin: https, or http on this machine; undefined: it is none */
export function readServer(typed: string): string | undefined {
  const text = typed.trim()
  try {
    const url = new URL(/^[a-z]+:\/\//i.test(text) ? text : `https://${text}`)
    const secure = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
    return secure &&
      HOSTNAME.test(url.hostname) &&
      url.pathname === '/' &&
      url.search === '' &&
      url.hash === '' &&
      url.username === ''
      ? url.origin
      : undefined
  } catch {
    return undefined
  }
}

/** @returns hosts, one from each line that has one, or the line that is none */
export function readHosts(typed: string): { hosts: string[] } | { wrong: string } {
  const hosts = new Set<string>()
  for (const line of typed.split('\n').map((it) => it.trim())) {
    if (line === '') continue
    const origin = readServer(line)
    if (origin === undefined) return { wrong: line }
    hosts.add(new URL(origin).host)
  }
  return { hosts: [...hosts] }
}

/** @returns what is wrong with a server, as far as it says so itself */
export async function checkServer(server: string): Promise<Wrong | undefined> {
  try {
    const response = await fetch(`${server}/oauth/client-metadata.json`, {
      signal: AbortSignal.timeout(10_000),
    })
    if (!response.ok) return ['serverNone', server, String(response.status)]
    const metadata = (await response.json()) as { scope?: unknown; redirect_uris?: unknown }
    const isPollz =
      typeof metadata?.scope === 'string' &&
      metadata.scope.includes('repo:tech.waow.vote') &&
      Array.isArray(metadata.redirect_uris) &&
      metadata.redirect_uris.includes(`${server}/oauth/callback`)
    return isPollz ? undefined : ['serverNone', server, 'client-metadata.json']
  } catch (error) {
    return ['serverNone', server, error instanceof Error ? error.message : String(error)]
  }
}
