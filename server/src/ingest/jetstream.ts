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
/** Without a connection for so long, in ms, somebody may be missed. */
const MISSING_AFTER = 60_000

export type JetstreamOptions = {
  urls: string[]
  hints: Hints
  /** `time_us` of the last message that was dealt with before; undefined: it begins with what is new */
  cursor: number | undefined
  remember: (cursor: number) => Promise<unknown>
  /** is told when somebody may be missed from now on, or no longer */
  onListening: () => void
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
 * @returns `time`: microseconds since 1970, as the message says it
 */
export function readJetstream(text: string): { time: number; hint?: Hint } | undefined {
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
  // Of somebody who is not tracked nothing is held that could be deleted.
  const isWritten = operation === 'create' || operation === 'update'
  if (!isWritten || !collections.includes(collection) || !isDid(did) || !isRkey(rkey)) return { time }
  return { time, hint: { did, uri: `at://${did}/${collection}/${rkey}`, time } }
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
  #options: JetstreamOptions
  /** `time_us` of the newest message, as far as that may be true. */
  #received: number | undefined
  #remembered: number | undefined
  /** When it was connected last, in ms since 1970. */
  #heard = 0
  #listening = false

  constructor(options: JetstreamOptions) {
    this.#options = options
    this.#received = options.cursor
    this.#remembered = options.cursor
  }

  /** Whether everybody who votes now is named, but for a moment. */
  get listening(): boolean {
    return this.connected || Date.now() - this.#heard < MISSING_AFTER
  }

  /** `time_us` before which everything was dealt with. */
  get cursor(): number | undefined {
    const { oldest } = this.#options.hints
    if (oldest === undefined || this.#received === undefined) return this.#received
    return Math.min(oldest, this.#received)
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
      const reason = await this.#connection(url)
      if (signal.aborted) return
      if (Date.now() - started > MAX_BACKOFF) failures = 0
      const wait = Math.min(100 * 2 ** failures++, MAX_BACKOFF) * (0.5 + Math.random() / 2)
      log.warn('Jetstream is not connected (JETSTREAM_URL)', { url, reason, retryInMs: Math.round(wait) })
      await setTimeout(wait, undefined, { signal }).catch(() => {})
    }
  }

  async #remember(): Promise<void> {
    const { log, remember } = this.#options
    this.#tellListening()
    const { cursor } = this
    if (cursor === undefined || cursor === this.#remembered) return
    try {
      await remember(cursor)
      this.#remembered = cursor
    } catch (error) {
      log.warn('where Jetstream was could not be remembered', { reason: reasonOf(error) })
    }
  }

  #tellListening(): void {
    if (this.#listening === this.listening) return
    this.#listening = this.listening
    this.#options.onListening()
  }

  /** One connection from open to close. Resolves with why it ended. */
  #connection(base: string): Promise<string> {
    const { hints, log, signal, silence = SILENCE, stuck = STUCK } = this.#options
    const url = subscribeUrl(base)
    // Hints from before this that wait are kept here.
    const since = this.#received
    if (since !== undefined) url.searchParams.set('cursor', String(Math.max(0, since - REWIND)))
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
      const message = size > MAX_READ ? undefined : readJetstream(data.toString())
      if (!message) return
      // A time to come would have us miss what is made until then, one long past would have us read it all again.
      const time = Math.min(Math.max(message.time, this.#received ?? 0), Date.now() * 1000)
      this.#received = time
      if (!message.hint) return
      hints.add({ ...message.hint, time })
      if (hints.full) socket.pause()
    })
    socket.on('pong', () => (alive = Date.now()))
    socket.on('open', () => {
      this.connected = true
      this.#received ??= Date.now() * 1000
      this.#tellListening()
      log.info('Jetstream is connected', { url: base })
    })
    socket.on('error', (error) => (reason ||= error.message))
    const stop = () => socket.terminate()
    signal.addEventListener('abort', stop, { once: true })

    return new Promise((resolve) => {
      socket.on('close', (code) => {
        if (this.connected) this.#heard = Date.now()
        this.connected = false
        clearInterval(second)
        clearInterval(watchdog)
        signal.removeEventListener('abort', stop)
        resolve(reason || `closed with ${code}`)
      })
    })
  }
}
