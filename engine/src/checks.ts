/** Checks of results: one at a time for each poll, and how the last one of each was. */
import type { Check } from '@pollz/shared/engine'
import { openDB, type DBSchema } from 'idb'
import type { CheckOptions, Checked } from 'pollz-check/check'
import type { Pages, Port } from './pages.ts'

/** Findings and doubts that are told, of each. */
const MAX_TOLD = 50
/** Progress is told at most this often, in ms. */
const EVERY = 200
/** Checks that are remembered. */
const MAX_KEPT = 300

/** Runs a check: in the background of an extension, or in a worker of a page. */
export type RunCheck = (
  options: Omit<CheckOptions, 'signal' | 'onProgress' | 'onProof'>,
  onProgress: (done: number, of: number) => void,
  signal: AbortSignal,
) => Promise<Omit<Checked, 'asked'>>

type Done = Check & { name: 'done' }

interface CheckStores extends DBSchema {
  /** by at-uri by DID; `terms`: what the poll's were (C7) */
  checks: { key: string; value: { done: Done; terms: string | undefined }; indexes: { at: number } }
}

export type ChecksOptions = {
  run: RunCheck
  /** base URL of the companion server */
  server: string
  plc: string
  pages: Pages
  /** at-uri by DID @throws where a handle leads nowhere */
  canonical: (uri: string) => Promise<string>
  /** ends what is under way */
  signal: AbortSignal
}

export class Checks {
  #options: ChecksOptions
  #running = new Map<string, AbortController>()

  constructor(options: ChecksOptions) {
    this.#options = options
  }

  /**
   * @param uri at-uri as the page knows the poll
   * @param second base URL of another source of votes
   * @param here counts without the server
   */
  async begin(uri: string, second: string | undefined, here: boolean): Promise<void> {
    const { run, server, plc, canonical, signal } = this.#options
    if (this.#running.has(uri)) return
    const stop = new AbortController()
    this.#running.set(uri, stop)
    const tell = (check: Check) => this.#options.pages.send({ type: 'check', uri, check })
    tell({ name: 'running', done: 0, of: 0 })
    try {
      const poll = await canonical(uri)
      const before = await this.#last(poll)
      let told = 0
      const checked = await run(
        {
          poll,
          plc,
          server: here ? undefined : server,
          second: second || undefined,
          termsBefore: before?.terms,
        },
        (done, of) => {
          if (Date.now() - told < EVERY || stop.signal.aborted) return
          told = Date.now()
          tell({ name: 'running', done, of })
        },
        AbortSignal.any([stop.signal, signal]),
      )
      const done = toldOf(checked, here)
      await this.#keep(poll, { done, terms: checked.terms ?? before?.terms })
      tell(done)
    } catch (error) {
      if (stop.signal.aborted) tell({ name: 'stopped' })
      else if (!signal.aborted)
        tell({ name: 'failed', detail: error instanceof Error ? error.message : String(error) })
    } finally {
      this.#running.delete(uri)
    }
  }

  stop(uri: string): void {
    this.#running.get(uri)?.abort()
  }

  /** Tells a page how the last check of a poll was. */
  async tellLast(port: Port, uri: string): Promise<void> {
    if (this.#running.has(uri)) return
    const last = await this.#last(await this.#options.canonical(uri))
    if (last) this.#options.pages.post(port, { type: 'check', uri, check: last.done })
  }

  async #last(poll: string) {
    const db = await this.#open()
    try {
      return await db.get('checks', poll)
    } finally {
      db.close()
    }
  }

  async #keep(poll: string, value: { done: Done; terms: string | undefined }): Promise<void> {
    const db = await this.#open()
    try {
      const tx = db.transaction('checks', 'readwrite')
      await tx.store.put(value, poll)
      const oldest = await tx.store.index('at').getAllKeys()
      for (const key of oldest.slice(0, Math.max(0, oldest.length - MAX_KEPT))) await tx.store.delete(key)
      await tx.done
    } finally {
      db.close()
    }
  }

  /** A database of its own: it has nothing to do with who is signed in. */
  #open() {
    return openDB<CheckStores>(`pollz checks ${this.#options.server}`, 1, {
      upgrade: (db) => db.createObjectStore('checks').createIndex('at', 'done.at'),
    })
  }
}

function toldOf(checked: Omit<Checked, 'asked'>, here: boolean): Done {
  const { at, verdict, listed, proved, counts, voters, findings, doubts, secondFailed } = checked
  return {
    name: 'done',
    at: Date.parse(at),
    verdict,
    here,
    listed,
    proved,
    counts,
    voters,
    findings: findings.slice(0, MAX_TOLD),
    doubts: doubts.slice(0, MAX_TOLD),
    found: findings.length,
    doubted: doubts.length,
    ...(secondFailed === undefined ? {} : { secondFailed }),
  }
}
