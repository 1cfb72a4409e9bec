/**
 * Records that Jetstream names. Nothing is counted from what it says: of somebody whom tap does not track yet the record
 * is read with its proof, which counts it at once and has tap track the repo. Whatever it may name, no more than a few
 * reads are under way, one for an account, and the memory that waiting hints take is bounded.
 */
import { setTimeout } from 'node:timers/promises'
import { reasonOf, type Log } from '../log.ts'
import type { Announced, Read } from './announced.ts'
import { unlimited, type Budget } from './budget.ts'

/** A record that somebody is said to have written. `time`: microseconds since 1970, of Jetstream's cursor */
export type Hint = { did: string; uri: string; time: number }

/** What became of a hint: it was stored, there was no such record, or nobody could say. */
export type HintOutcome = 'stored' | 'absent' | 'failed'

/** Accounts that are read at once. */
const READERS = 8
/** Accounts that wait: more are left with Jetstream. */
const MAX_WAITING = 10_000
/** Records that are remembered of one account, the newest: tap reads all once one of them was proved. */
const MAX_RECORDS = 10
/** Accounts that the database is asked about at once, for each reader that is free. */
const AT_ONCE = 16
/** When an account whose server did not answer is read again, in ms, as often as there are times. */
const AGAIN = [5_000, 60_000, 600_000]
/** Accounts that wait for that, at most. */
const MAX_AGAIN = 1_000
/** How long it waits for a database that does not answer, in ms. */
const PAUSE = 1_000

type Waiting = { uris: Set<string>; time: number; failures: number }

export type HintsOptions = {
  /** Of these DIDs those that tap tracks. */
  tracked: (dids: string[]) => Promise<ReadonlySet<string>>
  /** Reads a record with its proof, and has it stored. */
  read: (uri: string, budget: Budget) => Promise<Read<Announced>>
  onRead: (outcome: HintOutcome) => void
  log: Log
  signal: AbortSignal
  /** ms, as `AGAIN` has them */
  again?: readonly number[]
}

export class Hints {
  /** Its own, so that a flood of hints delays nobody who asks for something. */
  #budget = unlimited('jetstream')
  #options: HintsOptions
  /** By DID, those that came first are first. */
  #waiting = new Map<string, Waiting>()
  #reading = new Map<string, Waiting>()
  #again = 0
  #sorting = false
  /** Called when there is room again. */
  onRoom: () => void = () => {}

  constructor(options: HintsOptions) {
    this.#options = options
  }

  /** Accounts whose hints are not dealt with yet. */
  get size(): number {
    return this.#waiting.size + this.#reading.size
  }

  get full(): boolean {
    return this.#waiting.size >= MAX_WAITING
  }

  /** The cursor before which all hints are dealt with; undefined: all are. */
  get oldest(): number | undefined {
    const first = [...this.#reading.values(), ...this.#waiting.values().take(1)].map(({ time }) => time)
    return first.length === 0 ? undefined : Math.min(...first)
  }

  add({ did, uri, time }: Hint): void {
    this.#wait(did, { uris: new Set([uri]), time, failures: 0 })
  }

  #wait(did: string, more: Waiting): void {
    const waiting = this.#waiting.get(did)
    if (waiting) {
      for (const uri of more.uris) {
        waiting.uris.delete(uri)
        waiting.uris.add(uri)
      }
      for (const uri of waiting.uris) if (waiting.uris.size > MAX_RECORDS) waiting.uris.delete(uri)
    } else this.#waiting.set(did, more)
    void this.#sort()
  }

  /** Takes those that wait, in their order, as long as there are readers; most of them tap tracks already. */
  async #sort(): Promise<void> {
    const { log, signal, tracked } = this.#options
    if (this.#sorting) return
    this.#sorting = true
    while (!signal.aborted && this.#reading.size < READERS) {
      const dids: string[] = []
      for (const did of this.#waiting.keys()) {
        if (dids.length >= (READERS - this.#reading.size) * AT_ONCE) break
        // One that is being read waits until it is known what came of it.
        if (!this.#reading.has(did)) dids.push(did)
      }
      if (dids.length === 0) break
      let known: ReadonlySet<string>
      try {
        known = await tracked(dids)
      } catch (error) {
        log.warn('hints wait for the database', { reason: reasonOf(error) })
        await setTimeout(PAUSE, undefined, { signal }).catch(() => {})
        continue
      }
      const wasFull = this.full
      for (const did of dids) {
        if (known.has(did)) this.#waiting.delete(did)
        else if (this.#reading.size < READERS) void this.#read(did)
      }
      if (wasFull && !this.full) this.onRoom()
    }
    this.#sorting = false
  }

  async #read(did: string): Promise<void> {
    const { log, onRead, read, signal, again = AGAIN } = this.#options
    const reading = this.#waiting.get(did)!
    this.#waiting.delete(did)
    this.#reading.set(did, reading)
    for (const uri of reading.uris) {
      if (signal.aborted) break
      let result: Read<Announced>
      try {
        result = await read(uri, this.#budget)
        while (!result.ok && result.error === 'StoreFailure' && !signal.aborted) {
          await setTimeout(PAUSE, undefined, { signal }).catch(() => {})
          result = await read(uri, this.#budget)
        }
      } catch (error) {
        // The writer has died, and the server ends with it.
        log.error('a hint could not be read', { uri, reason: reasonOf(error) })
        break
      }
      if (result.ok) {
        const { change } = result.value
        onRead(change.onlyIfHeld ? 'absent' : 'stored')
        reading.uris.delete(uri)
        continue
      }
      log.debug('a hint leads nowhere', { uri, reason: result.message })
      onRead('failed')
      if (PASSING.has(result.error)) this.#later(did, reading, again[reading.failures])
      break
    }
    this.#reading.delete(did)
    void this.#sort()
  }

  /** What waits for this is not waited for by the cursor: a server that is away must not hold up the others. */
  #later(did: string, { uris, time, failures }: Waiting, wait: number | undefined): void {
    const { signal } = this.#options
    if (wait === undefined || this.#again >= MAX_AGAIN) return
    this.#again++
    void setTimeout(wait, undefined, { signal, ref: false })
      .then(() => this.#wait(did, { uris, time, failures: failures + 1 }))
      .catch(() => {})
      .finally(() => this.#again--)
  }
}

/** Errors that may concern this moment: on a machine that is busy a proof takes too long, too. */
const PASSING: ReadonlySet<string> = new Set(['UpstreamFailure', 'InvalidProof', 'Busy'])
