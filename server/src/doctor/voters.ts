/** Who names the voters whom tap does not find by itself: Jetstream at once, a relay from before. */
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { home } from '@pollz/shared/families'
import { WebSocket } from 'ws'
import type { Config } from '../config.ts'
import { unlimited } from '../ingest/budget.ts'
import { readJetstream, subscribeUrl } from '../ingest/jetstream.ts'
import { createRepos } from '../ingest/repos.ts'
import { reasonOf } from '../log.ts'
import type { Finding } from './examine.ts'

const TIMEOUT = 10_000
/** How far back an instance is asked to begin, in ms: the public ones tell of accounts all the time, whoever votes. */
const PAST = 3_600_000

/** @param timeout ms in which an instance has to open a connection, and then to send something */
export async function* examineVoters(config: Config, timeout = TIMEOUT): AsyncGenerator<Finding> {
  yield await examineJetstreams(config.jetstreamUrls, timeout)
  yield await examineRelay(config)
}

async function examineJetstreams(urls: string[], timeout: number): Promise<Finding> {
  const part = 'JETSTREAM_URL'
  if (urls.length === 0) {
    const words = 'names none: who votes with other apps is counted late, once the relay names them'
    return { part, state: 'unknown', words }
  }
  const failures = (await Promise.all(urls.map((url) => failureOf(url, timeout)))).filter(
    (it) => it !== undefined,
  )
  if (failures.length === urls.length) {
    const words = `none can be listened to (${failures.join('; ')}): is the address right, and may this machine open WebSockets?`
    return { part, state: 'bad', words }
  }
  const good = `${urls.length - failures.length} of ${urls.length} can be listened to`
  return { part, state: 'good', words: [good, ...failures].join('; ') }
}

/** @returns why nothing of Jetstream's comes from there; undefined where something does */
async function failureOf(base: string, timeout: number): Promise<string | undefined> {
  const url = subscribeUrl(base)
  url.searchParams.set('cursor', String((Date.now() - PAST) * 1000))
  const socket = new WebSocket(url, { handshakeTimeout: timeout })
  const sent = new Promise<undefined>((resolve) => {
    socket.on('message', (data) => {
      if (readJetstream(String(data))) resolve(undefined)
    })
  })
  const ended = new Promise<string>((resolve) => {
    socket.once('close', (code) => resolve(`opens, and closes with ${code}`))
  })
  try {
    await once(socket, 'open')
    const silent = setTimeout(timeout, `opens, and sends nothing of Jetstream's in ${timeout / 1000} s`)
    const failure = await Promise.race([sent, ended, silent])
    return failure && `${base}: ${failure}`
  } catch (error) {
    return `${base}: ${reasonOf(error)}`
  } finally {
    socket.terminate()
  }
}

/** Asks as the server does. */
async function examineRelay(config: Config): Promise<Finding> {
  const part = 'RELAY_URL'
  const { relayUrl } = config
  if (relayUrl === undefined) {
    const words = 'names none: who voted with other apps before this server listened is not counted'
    return { part, state: 'unknown', words }
  }
  const stop = new AbortController()
  const repos = createRepos({ ...config, signal: stop.signal })
  const ask = { relayUrl, collection: home.vote, cursor: undefined, budget: unlimited('doctor') }
  const asked = await repos.listRepos(ask)
  stop.abort()
  if (asked.ok) return { part, state: 'good', words: 'says who has voted' }
  const words = `does not say who has voted (${asked.message}): not every relay can; https://relay1.us-east.bsky.network does. Is the address right?`
  return { part, state: 'bad', words }
}
