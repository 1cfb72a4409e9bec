/**
 * The one writing connection. What is stored is either committed, or nobody knows: then the connection is opened anew,
 * for a transaction that was begun on it may still be open.
 */
import { LibsqlError, type Client } from '@libsql/client'
import { uriOf, type Change, type SetAside } from '../ingest/events.ts'
import { reasonOf } from '../log.ts'
import { add, apply, nothing, type Applied } from './counting/apply.ts'
import { commit } from './counting/batch.ts'
import { openDatabase, type DatabaseOptions } from './database.ts'
import { beat, fenced, isFencedOff, leave, type Beat, type Lease } from './lease.ts'
import { SCHEMA, migrate, schemaOf } from './migrations.ts'
import { newsAfter, type News } from './news.ts'
import { noteTracked, rememberState, scanBusiest, stateStep, trackLater } from './queries.ts'

/** A number of the database as a whole. `fence`: of the lease by which it is kept; undefined: anybody may */
type Kept = { name: string; value: number; fence: number | undefined }

/** Something small to be written. `toTrack`: DIDs that whoever ingests has tap track. `tracked`: those up to this number are. */
export type Task =
  | { remember: Kept }
  | { beat: Beat }
  | { leave: string }
  | { toTrack: string[] }
  | { tracked: number }

export type Outcome =
  | {
      outcome: 'committed'
      applied: Applied
      /** after a beat */ lease?: Lease | undefined
      /** changes that the database refuses are among them */ setAside: SetAside[]
    }
  /** all of it, some of it or nothing is stored; stored again, it is counted once (C3) */
  | {
      outcome: 'unknown'
      reason: string
      /** for another process has the lease now */ fencedOff?: true
    }

/** A batch this small means that there is time for a checkpoint, due after so many changes. */
const FEW = 500
const CHECKPOINT_AFTER = 500

export class Store {
  #options: DatabaseOptions
  /** undefined: it has to be opened anew. */
  #client: Client | undefined
  #unchecked = 0

  private constructor(options: DatabaseOptions, client: Client) {
    this.#options = options
    this.#client = client
  }

  /**
   * @param say is told what an upgrade waits for
   * @throws Error where the database can't be opened or brought to the newest schema
   */
  static async open(options: DatabaseOptions, say?: (message: string) => void): Promise<Store> {
    const client = await openDatabase(options)
    try {
      await migrate(client, SCHEMA, say && { say })
    } catch (error) {
      const isReplica = !options.url.startsWith('file:') && (await isOnlyRead(client, error))
      client.close()
      throw isReplica
        ? new Error('it can be read, but not written: if it is a replica, start its primary first', {
            cause: error,
          })
        : error
    }
    return new Store(options, client)
  }

  /** One after the other: each batch is the only writer. */
  async store(changes: Change[], setAside: SetAside[] = [], fence?: number): Promise<Outcome> {
    const aside = [...setAside]
    return this.#attempt(async (client) => {
      const applied = nothing()
      await this.#store(client, changes, aside, applied, fence)
      return { outcome: 'committed', applied, setAside: aside }
    })
  }

  async do(task: Task): Promise<Outcome> {
    return this.#attempt(async (client) => {
      const lease = 'beat' in task ? await beat(client, task.beat) : await write(client, task)
      return { outcome: 'committed', applied: nothing(), lease, setAside: [] }
    })
  }

  /** Of all polls since a time those with the most votes. @throws where the database can't be read */
  async scan(since: number, limit: number): Promise<{ uri: string; votes: number }[]> {
    if (!this.#client) throw new Error('the database is not open')
    return scanBusiest(this.#client, since, limit)
  }

  /** @throws where the database can't be read */
  async news(after: number | undefined, id: string): Promise<News> {
    if (!this.#client) throw new Error('the database is not open')
    return newsAfter(this.#client, after, id)
  }

  /** Moves what was committed into the database file, if there is little else to do. */
  async tidy(stored: number): Promise<void> {
    this.#unchecked += stored
    const isFile = this.#options.url.startsWith('file:')
    if (!isFile || stored >= FEW || this.#unchecked < CHECKPOINT_AFTER) return
    this.#unchecked = 0
    await this.#client?.execute('PRAGMA wal_checkpoint(PASSIVE)').catch(() => {})
  }

  close(): void {
    this.#client?.close()
  }

  async #attempt(run: (client: Client) => Promise<Outcome>): Promise<Outcome> {
    try {
      this.#client ??= await openDatabase(this.#options)
      return await run(this.#client)
    } catch (error) {
      // It is known to have stored nothing, and the connection is a good one.
      if (isFencedOff(error))
        return { outcome: 'unknown', reason: 'another server ingests now', fencedOff: true }
      this.#client?.close()
      this.#client = undefined
      return { outcome: 'unknown', reason: reasonOf(error) }
    }
  }

  /** A change that the database refuses is set aside: it must not block the others, now or when it is sent again. */
  async #store(
    client: Client,
    changes: Change[],
    setAside: SetAside[],
    applied: Applied,
    fence: number | undefined,
  ): Promise<void> {
    try {
      add(applied, await apply(client, changes, setAside, fence))
    } catch (error) {
      if (!isAboutData(error) || changes.length === 0) throw error
      if (changes.length === 1) {
        const [change] = changes as [Change]
        setAside.push({
          uri: change.type === 'account' ? change.did : uriOf(change),
          reason: `refused by the database: ${reasonOf(error)}`,
          event: JSON.stringify(change),
        })
        return this.#store(client, [], setAside, applied, fence)
      }
      const half = Math.ceil(changes.length / 2)
      await this.#store(client, changes.slice(0, half), setAside, applied, fence)
      await this.#store(client, changes.slice(half), setAside, applied, fence)
    }
  }
}

/** Refused for what it says. Only SQLite knows: whatever else fails, the database may be busy, full, broken or away. */
function isAboutData(error: unknown): boolean {
  return (
    error instanceof LibsqlError &&
    !isFencedOff(error) &&
    /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(error.code)
  )
}

/** Whether what failed was that it was written at all: it can be read, and SQLite has refused nothing. */
async function isOnlyRead(client: Client, error: unknown): Promise<boolean> {
  if (error instanceof LibsqlError && error.code.startsWith('SQLITE')) return false
  return schemaOf(client).then(
    (schema) => schema <= SCHEMA,
    () => false,
  )
}

/** Where whoever ingests is, is not for one that has lost the lease to say. */
async function remember(client: Client, { name, value, fence }: Kept): Promise<void> {
  if (fence === undefined) return rememberState(client, name, value)
  await commit(client, [fenced(fence), stateStep(name, value)])
}

async function write(client: Client, task: Exclude<Task, { beat: Beat }>): Promise<undefined> {
  if ('remember' in task) await remember(client, task.remember)
  else if ('leave' in task) await leave(client, task.leave)
  else if ('toTrack' in task) await trackLater(client, task.toTrack)
  else await noteTracked(client, task.tracked)
}
