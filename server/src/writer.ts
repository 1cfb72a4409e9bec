/** The store, as the rest of the server sees it: what is stored goes to the writer's thread, reads are answered here. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Client } from '@libsql/client'
import type { Change } from './ingest/events.ts'
import type { Applied } from './store/counting/apply.ts'
import { about } from './log.ts'
import { openDatabase, type DatabaseOptions } from './store/database.ts'
import type { Outcome } from './store/store.ts'
import type { WriterData, WriterReply, WriterRequest } from './writer-thread.ts'

/** `ids`: what tap wants acked, if the outcome is `committed`. */
export type Stored = { outcome: Outcome; ids: number[] }

/** Ms without any answer after which the database counts as hanging. */
const PATIENCE = 7_000
/** How often it is written to, so that its state is known also while nobody votes, in ms. */
const PROBE_EVERY = 2_000
/** For so long after an outcome that is unknown what was given up may still be committed, in ms. */
const DOUBT = 30_000
/** How often it is looked for meanwhile, in ms. */
const DOUBT_EVERY = 1_000

/**
 * How long the writer goes on with its queue once the server stops, in ms; what it has not begun by then comes again from
 * tap. This leaves time for the write that it has begun, which may wait 2 s for a lock: a process that exits while a thread
 * is inside the database aborts.
 */
const STOPPING = 1_500

type Listeners = {
  /** after each commit, before the write is answered */
  committed: (applied: Applied) => void
  /** what is known of polls may be wrong: something may have been stored that nobody was told of */
  doubt: () => void
}

type Request = WriterRequest extends infer R ? (R extends { n: number } ? Omit<R, 'n'> : never) : never

export class Writer {
  #worker: Worker
  #stopping: Int32Array
  #waiting = new Map<number, { resolve: (stored: Stored) => void; reject: (error: Error) => void }>()
  #next = 1
  #closing = false
  #listeners: Listeners = { committed: () => {}, doubt: () => {} }
  #probing: NodeJS.Timeout
  /** Set once the server stops: ends the work on the queue. */
  #givingUp: NodeJS.Timeout | undefined
  #reason: string | undefined
  /** Times of the last unknown outcome, and of the last look at what it may have stored. */
  #doubted = Number.NEGATIVE_INFINITY
  #looked = Number.NEGATIVE_INFINITY
  /** When the writer answered last, or was given something to do after it had nothing. */
  #heard = performance.now()
  /** Connection for reading only. */
  readonly reader: Client
  /** Resolves if the writer ends without having been told to: then nothing can be stored any more. */
  readonly died: Promise<Error>

  private constructor(worker: Worker, reader: Client, stopping: Int32Array) {
    this.#worker = worker
    this.#stopping = stopping
    this.reader = reader
    worker.on('message', (reply: WriterReply) => this.#settle(reply))
    this.died = new Promise((resolve) => {
      worker.on('error', (error) => resolve(this.#fail(error.message)))
      worker.on('exit', () => {
        const error = this.#fail('the writer has ended')
        if (!this.#closing) resolve(error)
      })
    })
    this.#probing = setInterval(() => {
      if (this.#waiting.size === 0) void this.probe()
    }, PROBE_EVERY)
  }

  /** @throws Error naming DATABASE_URL where the database can't be opened */
  static async open({ url, authToken }: DatabaseOptions): Promise<Writer> {
    const stopping = new Int32Array(new SharedArrayBuffer(4))
    const workerData: WriterData = { options: { url, authToken }, stopping }
    const worker = new Worker(new URL('./writer-thread.ts', import.meta.url), { workerData })
    const first = await new Promise<WriterReply>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    if ('failed' in first) throw new Error(`DATABASE_URL: ${first.failed}`)
    return new Writer(worker, await about('DATABASE_URL', openDatabase({ url, authToken })), stopping)
  }

  /** Whoever keeps what the database says is told when that changes. */
  listen(listeners: Listeners): void {
    this.#listeners = listeners
  }

  /** Why nothing can be written, or undefined. */
  get failure(): string | undefined {
    const silent = performance.now() - this.#heard
    return this.#waiting.size > 0 && silent > PATIENCE
      ? `the database has not answered for ${Math.round(silent / 1000)} s`
      : this.#reason
  }

  /** Reads, checks and stores tap's messages. @throws where the writer has died */
  storeMessages(messages: string[]): Promise<Stored> {
    return this.#request({ messages })
  }

  /** Stores changes that were checked already. @throws where the writer has died */
  async storeChanges(changes: Change[]): Promise<Outcome> {
    return (await this.#request({ changes })).outcome
  }

  /** Keeps a number of the database as a whole. @returns whether it is kept; if not, the one before it may stand */
  async remember(name: string, value: number): Promise<boolean> {
    const { outcome } = await this.#request({ remember: { name, value } })
    return outcome.outcome === 'committed'
  }

  /** Whether it can be written to; `failure` says why not. */
  async probe(): Promise<boolean> {
    return this.#request({ probe: true }).then(
      ({ outcome }) => outcome.outcome === 'committed',
      () => false,
    )
  }

  /** Limits the time that is left for the queue. Called when the server begins to stop; more may still be stored. */
  stopSoon(): void {
    clearInterval(this.#probing)
    this.#givingUp ??= setTimeout(() => Atomics.store(this.#stopping, 0, 1), STOPPING)
  }

  /** Ends the writer after its queue: a thread that is stopped inside the database takes the process along. */
  async close(): Promise<void> {
    this.#closing = true
    this.stopSoon()
    const ended = once(this.#worker, 'exit')
    this.#worker.postMessage({ n: 0, close: true } satisfies WriterRequest)
    await ended
    clearTimeout(this.#givingUp)
    this.reader.close()
  }

  #request(request: Request): Promise<Stored> {
    const n = this.#next++
    if (this.#waiting.size === 0) this.#heard = performance.now()
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve, reject })
      this.#worker.postMessage({ n, ...request } as WriterRequest)
    })
  }

  #settle(reply: WriterReply): void {
    if (!('outcome' in reply)) return
    this.#heard = performance.now()
    const waiting = this.#waiting.get(reply.n)
    this.#waiting.delete(reply.n)
    const { outcome } = reply
    if (outcome.outcome === 'committed') {
      this.#reason = undefined
      if (outcome.applied.version > 0) this.#listeners.committed(outcome.applied)
      // It can be read again; what was given up is there by now, or still comes.
      const inDoubt = this.#looked < this.#doubted + DOUBT
      if (inDoubt && this.#heard > this.#looked + DOUBT_EVERY) this.#look()
    } else {
      this.#reason = outcome.reason
      this.#doubted = this.#heard
      this.#look()
    }
    waiting?.resolve(reply)
  }

  #look(): void {
    this.#looked = this.#heard
    this.#listeners.doubt()
  }

  #fail(reason: string): Error {
    const error = new Error(reason)
    this.#reason = reason
    clearInterval(this.#probing)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    return error
  }
}
