/** Who names the voters whom tap does not find by itself: Jetstream at once, a relay from before. */
import { once } from 'node:events'
import { home } from '@pollz/shared/families'
import { WebSocket } from 'ws'
import type { Config } from '../config.ts'
import { subscribeUrl } from '../ingest/jetstream.ts'
import { reasonOf } from '../log.ts'
import type { Finding } from './examine.ts'

const TIMEOUT = 10_000

export async function* examineVoters({ jetstreamUrls, relayUrl }: Config): AsyncGenerator<Finding> {
  yield await examineJetstreams(jetstreamUrls)
  yield await examineRelay(relayUrl)
}

async function examineJetstreams(urls: string[]): Promise<Finding> {
  const part = 'JETSTREAM_URL'
  if (urls.length === 0) {
    const words = 'names none: who votes with other apps is counted late, once the relay names them'
    return { part, state: 'unknown', words }
  }
  const failures = (await Promise.all(urls.map(failureOf))).filter((it) => it !== undefined)
  if (failures.length === urls.length) {
    const words = `none can be reached (${failures.join('; ')}): is the address right, and may this machine open WebSockets?`
    return { part, state: 'bad', words }
  }
  const good = `${urls.length - failures.length} of ${urls.length} can be reached`
  return { part, state: 'good', words: [good, ...failures].join('; ') }
}

/** @returns why there is no connection; undefined where there is one */
async function failureOf(url: string): Promise<string | undefined> {
  const socket = new WebSocket(subscribeUrl(url), { handshakeTimeout: TIMEOUT })
  try {
    await once(socket, 'open')
    return undefined
  } catch (error) {
    return `${url}: ${reasonOf(error)}`
  } finally {
    socket.terminate()
  }
}

async function examineRelay(relayUrl: string | undefined): Promise<Finding> {
  const part = 'RELAY_URL'
  if (relayUrl === undefined) {
    const words = 'names none: who voted with other apps before this server listened is not counted'
    return { part, state: 'unknown', words }
  }
  const url = new URL('/xrpc/com.atproto.sync.listReposByCollection', relayUrl)
  url.search = new URLSearchParams({ collection: home.vote, limit: '1' }).toString()
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) })
    await response.body?.cancel()
    if (response.ok) return { part, state: 'good', words: 'says who has voted' }
    const words = `does not say who has voted (HTTP ${response.status}): not every relay can; https://relay1.us-east.bsky.network does`
    return { part, state: 'bad', words }
  } catch (error) {
    return { part, state: 'bad', words: `can't be reached (${reasonOf(error)}): is the address right?` }
  }
}
