/** The store, as the rest of the server sees it: writes go to the writer's thread, reads are answered here. */
import type { Client } from '@libsql/client'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Change, SetAside } from '../ingest/events.ts'
import type { Applied } from './counting.ts'
import { openDatabase, type DatabaseOptions } from './database.ts'
import type { WriterReply, WriterRequest } from './writer.ts'

export type Stored = { applied: Applied; ids: number[]; setAside: SetAside[] }

export class Store {
  #worker: Worker
  #waiting = new Map<number, { resolve: (stored: Stored) => void; reject: (error: Error) => void }>()
  #next = 1
  #closing = false
  /** Connection for reading only. */
  readonly reader: Client
  /** Why nothing can be written, or undefined. */
  failure: string | undefined
  /** Resolves if the writer ends without having been told to: then nothing can be stored any more. */
  readonly died: Promise<Error>
  #onApplied: (applied: Applied) => void

  private constructor(worker: Worker, reader: Client, onApplied: (applied: Applied) => void) {
    this.#worker = worker
    this.reader = reader
    this.#onApplied = onApplied
    worker.on('message', (reply: WriterReply) => this.#settle(reply))
    this.died = new Promise((resolve) => {
      worker.on('error', (error) => resolve(this.#fail(error.message)))
      worker.on('exit', () => {
        const error = this.#fail('the writer has ended')
        if (!this.#closing) resolve(error)
      })
    })
  }

  /**
   * @param onApplied called after each commit, before the write is answered
   * @throws Error naming DATABASE_URL where the database can't be opened
   */
  static async open(
    { url, authToken }: DatabaseOptions,
    onApplied: (applied: Applied) => void,
  ): Promise<Store> {
    const options: DatabaseOptions = { url, authToken }
    const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData: options })
    const first = await new Promise<WriterReply>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    if ('failed' in first) throw new Error(first.failed)
    return new Store(worker, await openDatabase(options), onApplied)
  }

  /** Reads, checks and stores tap's messages. Resolves once they are committed. */
  storeMessages(messages: string[]): Promise<Stored> {
    return this.#request({ messages })
  }

  /** Stores changes that were checked already. Resolves once they are committed. */
  storeChanges(changes: Change[]): Promise<Stored> {
    return this.#request({ changes })
  }

  /** Whether it can be written to; `failure` says why not. */
  async probe(): Promise<boolean> {
    return this.#request({ probe: true }).then(
      () => true,
      () => false,
    )
  }

  /** Ends the writer after what it was given: a thread that is stopped inside the database takes the process along. */
  async close(): Promise<void> {
    this.#closing = true
    const ended = once(this.#worker, 'exit')
    this.#worker.postMessage({ n: 0, close: true } satisfies WriterRequest)
    await ended
    this.reader.close()
  }

  #request(request: Omit<WriterRequest, 'n'>): Promise<Stored> {
    const n = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve, reject })
      this.#worker.postMessage({ n, ...request })
    })
  }

  #settle(reply: WriterReply): void {
    const waiting = this.#waiting.get(reply.n)
    this.#waiting.delete(reply.n)
    if ('applied' in reply) {
      this.failure = undefined
      this.#onApplied(reply.applied)
      waiting?.resolve(reply)
    } else if ('failed' in reply) {
      this.failure = reply.failed
      waiting?.reject(new Error(reply.failed))
    }
  }

  #fail(reason: string): Error {
    const error = new Error(reason)
    this.failure = reason
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    return error
  }
}
