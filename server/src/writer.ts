/** The store, as the rest of the server sees it: what is stored goes to the writer's thread, reads are answered here. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Client } from '@libsql/client'
import type { Change } from './ingest/events.ts'
import type { Applied } from './store/counting/apply.ts'
import { about } from './log.ts'
import type { Role } from './roles.ts'
import { openDatabase, type DatabaseOptions } from './store/database.ts'
import { processId, type Lease } from './store/lease.ts'
import { steadyNow } from './steady.ts'
import type { News } from './store/news.ts'
import type { Outcome, Task } from './store/store.ts'
import type { Busy, Question, WriterData, WriterReply, WriterRequest } from './writer-thread.ts'

/** `ids`: what tap wants acked, if the outcome is `committed`. */
export type Stored = { outcome: Outcome; ids: number[] }

/** Ms without any answer after which the database counts as hanging. */
const PATIENCE = 7_000
/** How often the process says that it is there, by which the database's state is known also while nobody votes, in ms. */
const BEAT_EVERY = 2_000

/**
 * How long the writer goes on with its queue once the server stops, in ms; what it has not begun by then comes again from
 * tap. This leaves time for the write that it has begun, which may wait 2 s for a lock: a process that exits while a thread
 * is inside the database aborts.
 */
const STOPPING = 1_500

/** What is read often is kept as objects: the connection itself need not keep much, in KiB. */
const READER_CACHE = 16_384

/** `mine`: whether this process ingests. */
export type Leased = Lease & { mine: boolean }

type Listeners = {
  /** after each commit, before the write is answered */
  committed: (applied: Applied) => void
  /** after each beat; undefined: nobody has the lease */
  beaten: (lease: Leased | undefined) => void
}

type Waiting<T> = { resolve: (value: T) => void; reject: (error: Error) => void }

type Request = WriterRequest extends infer R ? (R extends { n: number } ? Omit<R, 'n'> : never) : never

export class Writer {
  /** Names this process in the database. */
  readonly id = processId()
  #role: Role
  #worker: Worker
  #stopping: Int32Array
  #waiting = new Map<number, Waiting<Stored>>()
  #asking = new Map<number, Waiting<News | Busy[]>>()
  #next = 1
  #closing = false
  #listeners: Listeners = { committed: () => {}, beaten: () => {} }
  #beating: NodeJS.Timeout
  /** When the last beat was, which is its number; and whether it is under way. */
  #beat = 0
  #isBeating = false
  /** Set once the server stops: ends the work on the queue. */
  #givingUp: NodeJS.Timeout | undefined
  #reason: string | undefined
  /** When the writer answered last, or was given something to do after it had nothing. */
  #heard = performance.now()
  /** Connection for reading only. */
  readonly reader: Client
  /** Resolves if the writer ends without having been told to: then nothing can be stored any more. */
  readonly died: Promise<Error>

  private constructor(role: Role, worker: Worker, reader: Client, stopping: Int32Array) {
    this.#role = role
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
    this.#beating = setInterval(() => void this.beat(), BEAT_EVERY)
  }

  /**
   * @param say is told what it waits for
   * @throws Error naming DATABASE_URL where the database can't be opened
   */
  static async open(
    { url, authToken }: DatabaseOptions,
    role: Role = 'all',
    say: (message: string) => void = () => {},
  ): Promise<Writer> {
    const stopping = new Int32Array(new SharedArrayBuffer(4))
    const workerData: WriterData = { options: { url, authToken }, stopping }
    const worker = new Worker(new URL('./writer-thread.ts', import.meta.url), { workerData })
    const first = await new Promise<WriterReply>((resolve, reject) => {
      worker.on('message', (reply: WriterReply) => ('waits' in reply ? say(reply.waits) : resolve(reply)))
      worker.once('error', reject)
    })
    worker.removeAllListeners('message')
    if ('failed' in first) throw new Error(`DATABASE_URL: ${first.failed}`)
    const reader = await about('DATABASE_URL', openDatabase({ url, authToken, cache: READER_CACHE }))
    return new Writer(role, worker, reader, stopping)
  }

  /** Whoever has to know what becomes of this process's part is told when that changes. */
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

  /**
   * Reads, checks and stores tap's messages.
   *
   * @param fence of this process's lease
   * @throws where the writer has died
   */
  storeMessages(messages: string[], fence?: number): Promise<Stored> {
    return this.#request({ messages, fence })
  }

  /**
   * Stores changes that were checked already.
   *
   * @param fence of this process's lease; undefined: what anybody may store
   * @throws where the writer has died
   */
  async storeChanges(changes: Change[], fence?: number): Promise<Outcome> {
    return (await this.#request({ changes, fence })).outcome
  }

  /**
   * Keeps a number of the database as a whole.
   *
   * @param fence of this process's lease; undefined: what anybody may say
   * @returns whether it is kept; if not, the one before it may stand
   */
  remember(name: string, value: number, fence?: number): Promise<boolean> {
    return this.do({ remember: { name, value, fence } })
  }

  /** Never rejects. @returns whether it is done; if not, it may be done nevertheless */
  do(task: Exclude<Task, { beat: unknown }>): Promise<boolean> {
    return this.#request({ task }).then(
      ({ outcome }) => outcome.outcome === 'committed',
      () => false,
    )
  }

  /** What was committed after a version. @throws where the database can't be read */
  news(after: number | undefined): Promise<News> {
    return this.#ask<News>({ news: { after, id: this.id } })
  }

  /** Of all polls since a time those with the most votes. @throws where the database can't be read */
  scanBusiest(since: number, limit: number): Promise<Busy[]> {
    return this.#ask<Busy[]>({ busiest: { since, limit } })
  }

  /** Says in the database that this process is there. @returns whether it can be written to; `failure` says why not */
  async beat(): Promise<boolean> {
    if (this.#isBeating || this.#givingUp) return this.#reason === undefined
    this.#isBeating = true
    this.#beat = Math.max(this.#beat + 1, steadyNow())
    try {
      const task = { beat: { id: this.id, role: this.#role, beat: this.#beat } }
      const { outcome } = await this.#request({ task })
      if (outcome.outcome === 'unknown') return false
      const { lease } = outcome
      this.#listeners.beaten(lease && { ...lease, mine: lease.holder === this.id })
      return true
    } catch {
      // The writer has died, which whoever started it hears of.
      return false
    } finally {
      this.#isBeating = false
    }
  }

  /** Limits the time that is left for the queue. Called when the server begins to stop; more may still be stored. */
  stopSoon(): void {
    clearInterval(this.#beating)
    this.#givingUp ??= setTimeout(() => Atomics.store(this.#stopping, 0, 1), STOPPING)
  }

  /** Ends the writer after its queue: a thread that is stopped inside the database takes the process along. */
  async close(): Promise<void> {
    this.#closing = true
    this.stopSoon()
    const ended = once(this.#worker, 'exit')
    this.#worker.postMessage({ n: 0, close: this.id } satisfies WriterRequest)
    await ended
    clearTimeout(this.#givingUp)
    this.reader.close()
  }

  #ask<T extends News | Busy[]>(ask: Question): Promise<T> {
    const n = this.#next++
    return new Promise<News | Busy[]>((resolve, reject) => {
      this.#asking.set(n, { resolve, reject })
      this.#worker.postMessage({ n, ask } satisfies WriterRequest)
    }) as Promise<T>
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
    if ('answer' in reply || 'noAnswer' in reply) {
      const asking = this.#asking.get(reply.n)
      this.#asking.delete(reply.n)
      if ('answer' in reply) asking?.resolve(reply.answer)
      else asking?.reject(new Error(reply.noAnswer))
      return
    }
    if (!('outcome' in reply)) return
    this.#heard = performance.now()
    const waiting = this.#waiting.get(reply.n)
    this.#waiting.delete(reply.n)
    const { outcome } = reply
    if (outcome.outcome === 'committed') {
      this.#reason = undefined
      if (outcome.applied.version > 0) this.#listeners.committed(outcome.applied)
    } else if (outcome.fencedOff) {
      void this.beat()
    } else {
      this.#reason = outcome.reason
    }
    waiting?.resolve(reply)
  }

  #fail(reason: string): Error {
    const error = new Error(reason)
    this.#reason = reason
    clearInterval(this.#beating)
    for (const waiting of [this.#waiting, this.#asking]) {
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    }
    return error
  }
}
