/**
 * Listens to one of several Jetstreams, for the records of all families. What it sends is bad input until proved
 * otherwise: here it becomes a hint or nothing, and hints.ts says what is done with those.
 */
import { setTimeout } from 'node:timers/promises'
import { l } from '@atproto/lex'
import { collections } from '@pollz/shared/families'
import { WebSocket } from 'ws'
import { reasonOf, type Log } from '../log.ts'
import { isDid, isRkey } from './events.ts'
import type { Hint, Hints } from './hints.ts'

/** Bytes of a message that is read: no poll and no vote is larger. */
const MAX_READ = 64 * 1024
/** Bytes of one message: more than any record makes as JSON, for Jetstream would send it again. */
const MAX_MESSAGE = 16 * 1024 * 1024
/** Messages in a second: what is more waits in the socket. */
const MAX_A_SECOND = 5_000
/** Without any sign of life, a pong too, the connection is taken for dead after so many ms. */
const SILENCE = 30_000
/** Without any message an instance is taken for stuck, in ms. The public ones tell of accounts all the time. */
const STUCK = 5 * 60_000
const MAX_BACKOFF = 30_000
/** The clocks of two instances differ, in microseconds, by less than this. */
const REWIND = 5_000_000
/** How often its cursor is remembered, in ms. */
const REMEMBER_EVERY = 10_000
/**
 * How far back an instance has to be able to begin, in ms: the public ones keep 36 hours. What it does not send because
 * it was asked too late is a gap.
 */
const KEPT = 30 * 3_600_000

export type JetstreamOptions = {
  urls: string[]
  hints: Hints
  /** Where it was before, as `Jetstream` has them; undefined: it begins with what is new */
  cursor: number | undefined
  since: number | undefined
  /** Keeps one of the two. @returns whether it is kept for sure */
  remember: (name: 'cursor' | 'since', time: number) => Promise<boolean>
  /** Whether a delete is a hint too: where there is no tap, which tells of those. */
  deletes: boolean
  log: Log
  signal: AbortSignal
  /** ms, as the constants above */
  silence?: number
  stuck?: number
  rememberEvery?: number
}

const message = l.object({
  did: l.string(),
  time_us: l.integer({ minimum: 0 }),
  kind: l.string(),
  commit: l.optional(
    l.object({ operation: l.string(), collection: l.string(), rkey: l.optional(l.string()) }),
  ),
})

/**
 * Reads one message. What names no record that may count has no `hint`; what is no message of Jetstream's is undefined.
 *
 * @param deletes whether a record that was deleted is a hint
 * @returns `time`: microseconds since 1970, as the message says it
 */
export function readJetstream(text: string, deletes = false): { time: number; hint?: Hint } | undefined {
  if (text.length > MAX_READ) return undefined
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return undefined
  }
  const read = message.safeParse(data)
  if (!read.success) return undefined
  const { did, kind, commit, time_us: time } = read.value
  if (kind !== 'commit' || !commit) return { time }
  const { operation, collection, rkey } = commit
  // Where there is a tap, nothing is held of somebody whom it does not track that could be deleted.
  const isMeant = operation === 'create' || operation === 'update' || (deletes && operation === 'delete')
  if (!isMeant || !collections.includes(collection) || !isDid(did) || !isRkey(rkey)) return { time }
  return { time, hint: { did, collection, rkey, time } }
}

/** Where an instance, named without a path or with one, sends the records of all families. */
export function subscribeUrl(base: string): URL {
  const url = new URL(base)
  if (url.pathname === '/') url.pathname = '/subscribe'
  for (const collection of collections) url.searchParams.append('wantedCollections', collection)
  url.searchParams.set('maxMessageSizeBytes', String(MAX_READ))
  return url
}

export class Jetstream {
  connected = false
  /** Microseconds since 1970 from which on nothing was left out of what Jetstream tells, up to `until`. */
  since: number
  #options: JetstreamOptions
  /** Where to go on: `time_us` of the newest message, as far as that may be true, or when this began. */
  #received: number
  /** `time_us` of the newest message, as far as that may be true; undefined: there was none */
  #heard: number | undefined
  #remembered: { cursor: number | undefined; since: number | undefined }

  constructor(options: JetstreamOptions) {
    const { cursor, since } = options
    const now = Date.now() * 1000
    this.#options = options
    this.#received = cursor ?? now
    this.#heard = cursor
    // Where nobody knows since when it was without a gap, it is from where it goes on.
    this.since = cursor === undefined ? now : (since ?? cursor)
    this.#remembered = { cursor, since }
  }

  /** `time_us` before which everything was dealt with that was told; undefined: nothing was told yet. */
  get until(): number | undefined {
    const { oldest } = this.#options.hints
    if (oldest === undefined || this.#heard === undefined) return this.#heard
    return Math.min(oldest, this.#heard)
  }

  /** Listens until the signal ends it, where there is an instance. */
  async run(): Promise<void> {
    const { log, rememberEvery = REMEMBER_EVERY, signal, urls } = this.#options
    if (urls.length === 0) return
    const remembering = setInterval(() => void this.#remember(), rememberEvery)
    signal.addEventListener('abort', () => clearInterval(remembering), { once: true })
    for (let n = 0, failures = 0; !signal.aborted; n++) {
      const started = Date.now()
      const url = urls[n % urls.length]!
      const reason = await this.#connection(url).catch(reasonOf)
      if (signal.aborted) return
      if (Date.now() - started > MAX_BACKOFF) failures = 0
      const wait = Math.min(100 * 2 ** failures++, MAX_BACKOFF) * (0.5 + Math.random() / 2)
      log.warn('Jetstream is not connected (JETSTREAM_URL)', { url, reason, retryInMs: Math.round(wait) })
      await setTimeout(wait, undefined, { signal }).catch(() => {})
    }
  }

  async #remember(): Promise<void> {
    const { log, remember } = this.#options
    const { since, until: cursor } = this
    try {
      // What is kept of the two never says that there is less of a gap than there is.
      if (since !== this.#remembered.since && (await remember('since', since))) this.#remembered.since = since
      if (since !== this.#remembered.since || cursor === undefined || cursor === this.#remembered.cursor)
        return
      if (await remember('cursor', cursor)) this.#remembered.cursor = cursor
    } catch (error) {
      log.warn('where Jetstream was could not be remembered', { reason: reasonOf(error) })
    }
  }

  /** One connection from open to close. Resolves with why it ended. */
  async #connection(base: string): Promise<string> {
    const { deletes, hints, log, signal, silence = SILENCE, stuck = STUCK } = this.#options
    const url = subscribeUrl(base)
    // Hints from before this that wait are kept here.
    const asked = this.#received
    url.searchParams.set('cursor', String(Math.max(0, asked - REWIND)))
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE,
      handshakeTimeout: 10_000,
    })

    let reason = ''
    let alive = Date.now()
    let spoke = Date.now()
    let inSecond = 0
    const read = () => {
      if (socket.isPaused && !hints.full && inSecond < MAX_A_SECOND) socket.resume()
    }
    hints.onRoom = read
    const second = setInterval(() => {
      inSecond = 0
      read()
    }, 1_000)
    const watchdog = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return
      // While paused we read nothing, so silence proves nothing.
      if (socket.isPaused) alive = spoke = Date.now()
      else if (Date.now() - alive > silence || Date.now() - spoke > stuck) {
        reason = `silent for ${Date.now() - spoke} ms`
        socket.terminate()
      } else socket.ping()
    }, silence / 3)

    socket.on('message', (data) => {
      alive = spoke = Date.now()
      if (++inSecond >= MAX_A_SECOND) socket.pause()
      const size = Buffer.isBuffer(data) ? data.length : MAX_READ + 1
      const message = size > MAX_READ ? undefined : readJetstream(data.toString(), deletes)
      if (!message) return
      // A time to come would have us miss what is made until then, one long past would have us read it all again.
      const now = Date.now() * 1000
      const time = Math.min(Math.max(message.time, this.#received), now)
      this.#received = time
      this.#heard = Math.min(Math.max(message.time, this.#heard ?? 0), now)
      if (!message.hint) return
      hints.add({ ...message.hint, time })
      if (hints.full) socket.pause()
    })
    socket.on('pong', () => (alive = Date.now()))
    socket.on('open', () => {
      this.connected = true
      const kept = (Date.now() - KEPT) * 1000
      if (asked < kept) this.since = Math.max(this.since, kept)
      log.info('Jetstream is connected', { url: base })
    })
    socket.on('error', (error) => (reason ||= error.message))
    const stop = () => socket.terminate()
    signal.addEventListener('abort', stop, { once: true })

    return new Promise((resolve) => {
      socket.on('close', (code) => {
        this.connected = false
        clearInterval(second)
        clearInterval(watchdog)
        signal.removeEventListener('abort', stop)
        resolve(reason || `closed with ${code}`)
      })
    })
  }
}
