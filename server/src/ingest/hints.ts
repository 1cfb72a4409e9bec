/**
 * Records that Jetstream names. Nothing is counted from what it says: of somebody whom tap does not track yet the record
 * is read with its proof, which counts it at once and has tap track the repo. Whatever it may name, a few reads are under
 * way, fewer of one host, one for an account; the memory that waiting hints take is bounded; and who is on a host that
 * is slow waits for no longer than it takes to find that out, so that an honest voter elsewhere is read within seconds.
 */
import { setTimeout } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { reasonOf, type Log } from '../log.ts'
import type { Read } from './announced.ts'
import { unlimited, type Budget } from './budget.ts'
import type { PollChange, VoteChange } from './events.ts'
import type { RepoRead } from './repos.ts'

/** A record that somebody is said to have written. `time`: microseconds since 1970, of Jetstream's cursor */
export type Hint = { did: string; collection: string; rkey: string; time: number }

/** What became of a hint: it was stored, there was no such record, or nobody could say. */
export type HintOutcome = 'stored' | 'absent' | 'failed'

/** Accounts that are read at once, and how many of them on one host. */
const READERS = 32
const PER_HOST = 8
/** Accounts whose host is looked up at once. */
const LOOKUPS = 8
/** Accounts that wait, and bytes of them: more are left with Jetstream. */
const MAX_WAITING = 10_000
const MAX_BYTES = 8 * 1024 * 1024
/** What an account and a record take beside their names, in bytes. */
const ACCOUNT_BYTES = 300
const RECORD_BYTES = 100
/** Records that are remembered of one account, the newest: tap reads all once one of them was proved. */
const MAX_RECORDS = 10
/** Accounts that the database is asked about at once, for each host that can be looked up. */
const AT_ONCE = 16
/** A host whose reads take longer than so many ms on the average, the last ten counting most, holds up the others. */
const SLOW = 2_000
const LAST = 10
/** It is left alone for so many ms; hosts of which that is remembered. */
const AWAY = 30_000
const MAX_AWAY = 1_000
/** When an account whose server did not answer is read again, in ms, as often as there are times. */
const AGAIN = [5_000, 60_000, 600_000]
/** Accounts that wait for that, at most. */
const MAX_AGAIN = 1_000
/** How long it waits for a database that does not answer, in ms: twice as long each time, up to a minute. */
const PAUSE = 1_000
const MAX_PAUSE = 60_000

/** `paths`: `collection/rkey`. `time`: of the first hint; undefined: the cursor does not wait for it */
type Waiting = { paths: Set<string>; time: number | undefined; failures: number }

/** `queue`: DIDs. `average`: ms of a read */
type Host = { name: string; queue: Set<string>; reading: number; average: number }

export type HintsOptions = {
  /** Of these DIDs those that tap tracks. */
  tracked: (dids: string[]) => Promise<ReadonlySet<string>>
  /** What those share who share a server: a repo's host, as `Repos` has it. */
  hostOf: (did: string, budget: Budget) => Promise<RepoRead<string>>
  /** Reads a record with its proof. */
  read: (uri: string, budget: Budget) => Promise<RepoRead<VoteChange | PollChange>>
  /** Has what was proved stored. */
  store: (change: VoteChange | PollChange) => Promise<Read<unknown>>
  onRead: (outcome: HintOutcome) => void
  log: Log
  signal: AbortSignal
  /** ms, as `AGAIN` has them */
  again?: readonly number[]
  /** ms, as `PAUSE` */
  pause?: number
}

export class Hints {
  /** Its own, so that a flood of hints delays nobody who asks for something. */
  #budget = unlimited('jetstream')
  #options: HintsOptions
  /** By DID, those that came first are first: all that are not being read. */
  #waiting = new Map<string, Waiting>()
  #bytes = 0
  /** Of those, the ones that nobody has looked at, the ones whose host is being looked up, and the ones of each host. */
  #unsorted = new Set<string>()
  #lookups = 0
  #hosts = new Map<string, Host>()
  #away = new LRUCache<string, true>({ max: MAX_AWAY, ttl: AWAY })
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
    return this.#waiting.size >= MAX_WAITING || this.#bytes >= MAX_BYTES
  }

  /** The cursor before which all hints are dealt with; undefined: all are. */
  get oldest(): number | undefined {
    let oldest: number | undefined
    for (const accounts of [this.#reading, this.#waiting])
      for (const { time } of accounts.values())
        if (time !== undefined && !(oldest !== undefined && oldest <= time)) oldest = time
    return oldest
  }

  add({ did, collection, rkey, time }: Hint): void {
    this.#wait(did, { paths: new Set([`${collection}/${rkey}`]), time, failures: 0 })
  }

  #wait(did: string, more: Waiting): void {
    const waiting = this.#waiting.get(did)
    if (waiting) {
      this.#bytes -= bytesOf(did, waiting)
      for (const path of more.paths) {
        waiting.paths.delete(path)
        waiting.paths.add(path)
      }
      for (const path of waiting.paths) if (waiting.paths.size > MAX_RECORDS) waiting.paths.delete(path)
      waiting.time ??= more.time
    } else {
      this.#waiting.set(did, more)
      this.#unsorted.add(did)
    }
    this.#bytes += bytesOf(did, waiting ?? more)
    void this.#sort()
  }

  /** An account that waits no longer: it is read, or left. */
  #take(did: string): Waiting {
    const wasFull = this.full
    const waiting = this.#waiting.get(did)!
    this.#waiting.delete(did)
    this.#bytes -= bytesOf(did, waiting)
    if (wasFull && !this.full) this.onRoom()
    return waiting
  }

  /** Sorts those that wait by host, in their order, as far as that can be asked; most of them tap tracks already. */
  async #sort(): Promise<void> {
    const { log, signal, tracked } = this.#options
    if (this.#sorting) return
    this.#sorting = true
    for (let failures = 0; !signal.aborted && this.#lookups < LOOKUPS;) {
      const dids: string[] = []
      for (const did of this.#unsorted) {
        if (dids.length >= (LOOKUPS - this.#lookups) * AT_ONCE) break
        // One that is being read waits until it is known what came of it.
        if (!this.#reading.has(did)) dids.push(did)
      }
      if (dids.length === 0) break
      let known: ReadonlySet<string>
      try {
        known = await tracked(dids)
        failures = 0
      } catch (error) {
        log.warn('hints wait for the database', { reason: reasonOf(error) })
        await this.#pause(failures++)
        continue
      }
      for (const did of dids) {
        if (!known.has(did) && this.#lookups >= LOOKUPS) continue
        this.#unsorted.delete(did)
        if (known.has(did)) this.#take(did)
        else void this.#lookUp(did)
      }
    }
    this.#sorting = false
  }

  async #lookUp(did: string): Promise<void> {
    const { hostOf, log } = this.#options
    this.#lookups++
    const host = await hostOf(did, this.#budget).catch((error: unknown) => {
      log.error('the host of a hint could not be looked up', { did, reason: reasonOf(error) })
      return { ok: false, error: 'Failed', message: reasonOf(error) } as const
    })
    this.#lookups--
    if (!host.ok) this.#fail(did, this.#take(did), host)
    else if (this.#away.has(host.value)) this.#later(did, this.#take(did))
    else {
      const known = this.#hosts.get(host.value)
      const it = known ?? { name: host.value, queue: new Set(), reading: 0, average: 0 }
      this.#hosts.set(host.value, it)
      it.queue.add(did)
      this.#serve()
    }
    void this.#sort()
  }

  /** Has as many read as may be, hosts in turn. */
  #serve(): void {
    const { signal } = this.#options
    while (!signal.aborted && this.#reading.size < READERS) {
      const host = this.#hosts.values().find(({ queue, reading }) => queue.size > 0 && reading < PER_HOST)
      if (!host) return
      this.#hosts.delete(host.name)
      this.#hosts.set(host.name, host)
      const [did] = host.queue as Set<string> & [string]
      host.queue.delete(did)
      void this.#readAll(did, host)
    }
  }

  async #readAll(did: string, host: Host): Promise<void> {
    const { log } = this.#options
    const reading = this.#take(did)
    this.#reading.set(did, reading)
    host.reading++
    try {
      await this.#readEach(did, reading, host)
    } catch (error) {
      // The writer has died, and the server ends with it.
      log.error('a hint could not be read', { did, reason: reasonOf(error) })
    }
    this.#reading.delete(did)
    host.reading--
    if (host.queue.size === 0 && host.reading === 0) this.#hosts.delete(host.name)
    this.#serve()
    void this.#sort()
  }

  async #readEach(did: string, reading: Waiting, host: Host): Promise<void> {
    const { onRead, read, signal } = this.#options
    const budget = unlimited(`jetstream ${host.name}`)
    for (const path of reading.paths) {
      if (signal.aborted) return
      if (this.#away.has(host.name)) return this.#later(did, reading)
      const began = Date.now()
      const result = await read(`at://${did}/${path}`, budget)
      host.average += (Date.now() - began - host.average) / LAST
      if (host.average > SLOW) this.#leave(host)
      if (!result.ok) return this.#fail(did, reading, result)
      if (!(await this.#store(result.value))) return
      onRead(result.value.onlyIfHeld ? 'absent' : 'stored')
      reading.paths.delete(path)
    }
  }

  /** Stores what was proved, once the database answers. @returns false where the server ends before */
  async #store(change: VoteChange | PollChange): Promise<boolean> {
    const { signal, store } = this.#options
    for (let failures = 0; !signal.aborted; failures++) {
      if ((await store(change)).ok) return true
      await this.#pause(failures)
    }
    return false
  }

  async #pause(failures: number): Promise<void> {
    const { signal, pause = PAUSE } = this.#options
    await setTimeout(Math.min(pause * 2 ** failures, MAX_PAUSE), undefined, { signal }).catch(() => {})
  }

  /** Whoever is on a host that is slow is no longer waited for. */
  #leave(host: Host): void {
    const { log } = this.#options
    log.info('a host that is slow is left alone for a while', { host: host.name, accounts: host.queue.size })
    this.#away.set(host.name, true)
    host.average = 0
    for (const did of host.queue) this.#later(did, this.#take(did))
    host.queue.clear()
  }

  #fail(did: string, waiting: Waiting, { error, message }: { error: string; message: string }): void {
    const { log, onRead } = this.#options
    log.debug('a hint leads nowhere', { did, reason: message })
    onRead('failed')
    if (PASSING.has(error)) this.#later(did, waiting)
  }

  /** What waits for this is not waited for by the cursor: a server that is away must not hold up the others. */
  #later(did: string, { paths, failures }: Waiting): void {
    const { signal, again = AGAIN } = this.#options
    const wait = again[failures]
    if (wait === undefined || this.#again >= MAX_AGAIN) return
    this.#again++
    void setTimeout(wait, undefined, { signal, ref: false })
      .then(() => this.#wait(did, { paths, time: undefined, failures: failures + 1 }))
      .catch(() => {})
      .finally(() => this.#again--)
  }
}

function bytesOf(did: string, { paths }: Waiting): number {
  let bytes = ACCOUNT_BYTES + did.length
  for (const path of paths) bytes += RECORD_BYTES + path.length
  return bytes
}

/** Errors that may concern this moment: on a machine that is busy a proof takes too long, too. */
const PASSING: ReadonlySet<string> = new Set(['UpstreamFailure', 'InvalidProof', 'Busy'])
