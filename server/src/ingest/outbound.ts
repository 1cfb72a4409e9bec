/**
 * Requests to servers that anybody can name. None of those reaches into our own network, each is bounded in time and bytes, and
 * those that hang take up only their own share: so many for whoever asked, so many for the host that is silent.
 */
import { safeFetchWrap } from '@atproto-labs/fetch-node'
import pLimit, { type LimitFunction } from 'p-limit'
import { reasonOf } from '../log.ts'
import type { Budget } from './budget.ts'

export type RepoError =
  /** there is no such account or PDS */
  | 'RepoNotFound'
  /** the PDS says that the account is not active */
  | 'RepoInactive'
  /** the PDS could not be reached, or answered something else */
  | 'UpstreamFailure'
  /** the answer doesn't prove what it says */
  | 'InvalidProof'
  /** too many reads are waiting already */
  | 'Busy'

/** Who says that there is no such repo, where that is somebody who knows. */
export type Gone =
  /** nobody ever made this DID, or its host no longer serves it */
  | 'DidNotFound'
  | 'DidTombstoned'
  /** the PDS that the DID's document names answered RepoNotFound */
  | 'NotHosted'

export type RepoRead<T> =
  | { ok: true; value: T }
  | { ok: false; error: RepoError; message: string; gone?: Gone }

/** An expected failure on its way to becoming a `RepoRead`. */
export class ReadFailure extends Error {
  readonly error: RepoError
  readonly gone: Gone | undefined

  constructor(error: RepoError, message: string, gone?: Gone) {
    super(message)
    this.error = error
    this.gone = gone
  }
}

/** For a whole read with all its requests and its waiting, in ms. */
const TIMEOUT = 10_000

/** Reads of one address, or of one part of this server. */
const PER_BUDGET = { running: 8, waiting: 256 }
/** Requests to one host: more than one address can have, so that no address fills a host alone. */
const PER_HOST = { running: 16, waiting: 256 }
/** Requests to a host that our operator named: everybody needs it. */
const PER_TRUSTED_HOST = { running: 64, waiting: 1000 }
/** All requests together, for memory's sake. */
const IN_ALL = { running: 256, waiting: 1000 }

type Room = { running: number; waiting: number }

/** How many tasks run and wait at once, counted by name. A name that nobody uses takes no memory. */
export class Places {
  #room: (name: string) => Room
  #used = new Map<string, { limit: LimitFunction; room: Room; users: number }>()

  constructor(room: (name: string) => Room) {
    this.#room = room
  }

  /** Names in use. */
  get size(): number {
    return this.#used.size
  }

  /**
   * The place is free again when the signal aborts, whether the task heeds the signal or not.
   *
   * @throws ReadFailure Busy where too many wait, or the signal aborts before the task's turn; UpstreamFailure where it
   *   aborts later
   */
  async run<T>(name: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const busy = () => new ReadFailure('Busy', `too many reads for ${name} are under way: try again later`)
    let used = this.#used.get(name)
    if (!used) {
      const room = this.#room(name)
      used = { limit: pLimit(room.running), room, users: 0 }
      this.#used.set(name, used)
    }
    if (signal.aborted || used.limit.pendingCount >= used.room.waiting) {
      if (used.users === 0) this.#used.delete(name)
      throw busy()
    }
    used.users++
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    let begun = false
    try {
      const done = used.limit(async () => {
        if (signal.aborted) throw signal.reason
        begun = true
        return Promise.race([task(), late])
      })
      return await Promise.race([done, late])
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
      throw begun ? new ReadFailure('UpstreamFailure', `${name}: took too long`) : busy()
    } finally {
      if (--used.users === 0) this.#used.delete(name)
    }
  }
}

/** The body of what it resolves with has been read already. */
export type Fetch = (
  url: string | URL,
  init: { signal: AbortSignal; redirect: 'error' | 'follow'; headers?: RequestInit['headers'] },
) => Promise<Response>

export type Outbound = {
  /** One read of a budget, however many requests it takes. */
  read: <T>(budget: Budget, task: (signal: AbortSignal) => Promise<T>) => Promise<RepoRead<T>>
  /** Whatever else keeps a host busy. */
  contact: <T>(host: string, signal: AbortSignal, task: () => Promise<T>) => Promise<T>
  /**
   * @param of `operator`: asks only servers that our operator named, which may be on http or in our own network
   * @returns a fetch that throws a ReadFailure where there is no answer, or one of more bytes
   */
  fetchAtMost: (bytes: number, of?: 'operator') => Fetch
  /** For what several reads wait for together. */
  deadline: () => AbortSignal
}

export function createOutbound(options: {
  /** allows http and private addresses: `Config.local` */
  local: boolean
  /** hostnames that our operator named */
  trusted: string[]
  /** ends all reads */
  signal: AbortSignal
}): Outbound {
  const { local } = options
  const trusted = new Set(options.trusted)
  const budgets = new Places(() => PER_BUDGET)
  const hosts = new Places((host) => (trusted.has(host) ? PER_TRUSTED_HOST : PER_HOST))
  const all = new Places(() => IN_ALL)

  const deadline = () => AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT)])
  const contact: Outbound['contact'] = (host, signal, task) =>
    hosts.run(host, signal, () => all.run('all', signal, task))

  return {
    deadline,
    contact,

    async read(budget, task) {
      const signal = deadline()
      try {
        return { ok: true, value: await budgets.run(budget.name, signal, () => task(signal)) }
      } catch (failure) {
        if (!(failure instanceof ReadFailure)) throw failure
        const { error, message, gone } = failure
        return { ok: false, error, message, ...(gone === undefined ? {} : { gone }) }
      }
    },

    fetchAtMost(bytes, of) {
      const anywhere = local || of === 'operator'
      const fetch = safeFetchWrap({
        // Without it http and private addresses are allowed.
        ssrfProtection: !anywhere,
        allowIpHost: anywhere,
        allowCustomPort: true,
        responseMaxSize: bytes,
        timeout: TIMEOUT,
        ...(anywhere ? { forbiddenDomainNames: [] } : {}),
      })
      return (url, init) =>
        contact(new URL(url).hostname, init.signal, async () => {
          try {
            const response = await fetch(url, init)
            const body = await response.arrayBuffer()
            const { status, headers } = response
            // A Response of a status without a body must be made without one.
            return new Response(body.byteLength > 0 ? body : null, { status, headers })
          } catch (error) {
            throw new ReadFailure('UpstreamFailure', `${new URL(url).host}: ${reasonOf(error)}`)
          }
        })
    },
  }
}
