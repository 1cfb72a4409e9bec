/**
 * The consumer of one tap: messages in, batches to the store, acks after the commit. It speaks `ws` itself because
 * @atproto/tap's channel stops for good on an ordinary close and never acks what it can't parse.
 */
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { reasonOf, type Log } from '../log.ts'

/** Events in one transaction: under a backlog the more there are, the more of them share a page. */
const MAX_BATCH = 4000
/** Queued events at which the socket is paused, and at which it is read again: tap itself has no limit. */
const PAUSE_AT = 8_000
const RESUME_AT = 4_000
/** The same in characters, of a batch and of the queue: a record of a megabyte may be six of them as JSON. */
const MAX_BATCH_LENGTH = 16 * 1024 * 1024
const PAUSE_AT_LENGTH = 64 * 1024 * 1024
/** Silence after which the connection is taken for dead, in ms; tap answers a ping. */
const HEARTBEAT = 30_000
const MAX_BACKOFF = 10_000
/** How long tap may take to end a connection that is closed in order, in ms. */
const CLOSING = 1_000
/** Bytes of one message: far more than any record makes, for tap would send what is refused for ever. */
const MAX_MESSAGE = 64 * 1024 * 1024

export type TapOptions = {
  url: string
  adminPassword: string | undefined
  /** Resolves with the ids to ack once the messages are committed; throws where they are not. */
  store: (messages: string[]) => Promise<number[]>
  /** Called on each new connection. */
  onConnect: () => void
  log: Log
  signal: AbortSignal
}

export class TapConsumer {
  readonly url: string
  connected = false
  /** Events that wait to be stored. */
  queued = 0
  /** Ends when the signal is aborted and what was taken is committed and acked. */
  readonly done: Promise<void>
  #options: TapOptions

  constructor(options: TapOptions) {
    this.#options = options
    this.url = options.url
    this.done = this.#run()
  }

  async #run(): Promise<void> {
    const { log, signal, url } = this.#options
    let failures = 0
    while (!signal.aborted) {
      const started = Date.now()
      const reason = await this.#connection()
      if (signal.aborted) return
      if (Date.now() - started > MAX_BACKOFF) failures = 0
      const wait = Math.min(100 * 2 ** failures++, MAX_BACKOFF) * (0.5 + Math.random() / 2)
      log.warn('tap is not connected (TAP_URL)', { url, reason, retryInMs: Math.round(wait) })
      await setTimeout(wait, undefined, { signal }).catch(() => {})
    }
  }

  /** One connection from open to close. Resolves with why it ended, after its last batch. */
  #connection(): Promise<string> {
    const { adminPassword, log, onConnect, signal, store, url } = this.#options
    const channel = new URL('/channel', url)
    channel.protocol = channel.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(channel, {
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE,
      handshakeTimeout: 10_000,
      ...(adminPassword === undefined ? {} : { auth: `admin:${adminPassword}` }),
    })

    const queue: string[] = []
    let length = 0
    let connection: Socket | undefined
    let storing = Promise.resolve()
    let busy = false
    let reason = ''
    let heard = Date.now()

    const drain = async () => {
      busy = true
      while (queue.length > 0) {
        let size = 0
        let taken = 0
        while (taken < Math.min(queue.length, MAX_BATCH) && (taken === 0 || size < MAX_BATCH_LENGTH))
          size += queue[taken++]!.length
        const batch = queue.splice(0, taken)
        length -= size
        this.queued = queue.length
        if (socket.isPaused && queue.length <= RESUME_AT && length < PAUSE_AT_LENGTH) socket.resume()
        try {
          const ids = await store(batch)
          // On a socket that has closed meanwhile this does nothing: tap sends those again.
          if (socket.readyState === WebSocket.OPEN) {
            // A write for each of thousands of acks costs more than storing the events.
            connection?.cork()
            for (const id of ids) socket.send(`{"type":"ack","id":${id}}`)
            connection?.uncork()
          }
        } catch (error) {
          // Nothing of it is acked, so nothing is lost: a new connection has it sent again.
          reason = `could not store: ${reasonOf(error)}`
          queue.length = 0
          length = 0
          socket.terminate()
        }
      }
      busy = false
    }

    socket.on('message', (data) => {
      heard = Date.now()
      if (signal.aborted) return
      const message = data.toString()
      queue.push(message)
      length += message.length
      this.queued = queue.length
      if (queue.length >= PAUSE_AT || length >= PAUSE_AT_LENGTH) socket.pause()
      if (!busy) storing = drain()
    })
    socket.on('upgrade', (response) => (connection = response.socket))
    socket.on('open', () => {
      this.connected = true
      log.info('tap is connected', { url })
      onConnect()
    })
    socket.on('pong', () => (heard = Date.now()))
    socket.on('error', (error) => (reason ||= error.message))

    const heartbeat = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return
      // While paused we read nothing, so silence proves nothing.
      if (socket.isPaused) heard = Date.now()
      else if (Date.now() - heard > HEARTBEAT) {
        reason = `silent for ${HEARTBEAT} ms`
        socket.terminate()
      } else {
        socket.ping()
      }
    }, HEARTBEAT / 3)
    const stop = async () => {
      await storing
      socket.close(1000)
      const kill = globalThis.setTimeout(() => socket.terminate(), CLOSING)
      socket.once('close', () => clearTimeout(kill))
    }
    signal.addEventListener('abort', stop, { once: true })

    return new Promise((resolve) => {
      socket.on('close', async (code) => {
        this.connected = false
        clearInterval(heartbeat)
        signal.removeEventListener('abort', stop)
        await storing
        resolve(reason || `closed with ${code}`)
      })
    })
  }
}
