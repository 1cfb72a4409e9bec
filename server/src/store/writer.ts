/** The thread that owns the one writing connection, so that storing at full speed leaves reads alone. */
import { readlinkSync } from 'node:fs'
import { constants, platform, setPriority } from 'node:os'
import { basename } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { LibsqlError } from '@libsql/client'
import { readEvent, uriOf, type Change, type SetAside } from '../ingest/events.ts'
import { reasonOf } from '../log.ts'
import { apply, type Applied } from './counting.ts'
import { openDatabase, probe, type DatabaseOptions } from './database.ts'
import { migrate } from './migrations.ts'

/**
 * `messages`: as tap sent them. `changes`: checked already. `probe`: write something that is gone with its transaction.
 * `close`: end, once all before it is done.
 */
export type WriterRequest = {
  n: number
  messages?: string[]
  changes?: Change[]
  probe?: true
  close?: true
}

export type WriterReply =
  | { n: 0; ready: true }
  | { n: number; applied: Applied; /** ids to ack */ ids: number[]; setAside: SetAside[] }
  | { n: number; failed: string }

/** A batch this small means that there is time for a checkpoint, due after so many events. */
const FEW = 500
const CHECKPOINT_AFTER = 500

const port = parentPort!
const reply = (message: WriterReply) => port.postMessage(message)

try {
  const options = workerData as DatabaseOptions
  const local = options.url.startsWith('file:')
  const client = await openDatabase(options)
  await migrate(client)
  stepBack()
  let unchecked = 0

  // Wall time in ms, so that versions go on growing over restarts.
  let version = 0
  const next = () => (version = Math.max(Date.now(), version + 1))

  /** A change that the database refuses is set aside: it must not block the others, now or when it is sent again. */
  const store = async (changes: Change[], setAside: SetAside[]): Promise<Applied> => {
    try {
      return await apply(client, changes, setAside, next())
    } catch (error) {
      if (!isAboutData(error)) throw error
      if (changes.length === 1) {
        setAside.push({
          uri: changes[0]!.type === 'account' ? changes[0]!.did : uriOf(changes[0]!),
          reason: `refused by the database: ${reasonOf(error)}`,
          event: JSON.stringify(changes[0]),
        })
        return apply(client, [], setAside, next())
      }
      const half = Math.ceil(changes.length / 2)
      const first = await store(changes.slice(0, half), setAside)
      return merge(first, await store(changes.slice(half), setAside))
    }
  }
  const handle = async ({
    n,
    messages = [],
    changes = [],
    probe: wanted,
    close,
  }: WriterRequest): Promise<void> => {
    if (close) {
      client.close()
      port.close()
      return
    }
    try {
      if (wanted) await probe(client)
      const ids: number[] = []
      const setAside: SetAside[] = []
      const all = [...changes]
      for (const event of messages.map(readEvent)) {
        if (event.id !== undefined) ids.push(event.id)
        if (event.change) all.push(event.change)
        if (event.setAside) setAside.push(event.setAside)
      }
      const applied = await store(all, setAside)
      reply({ n, applied, ids, setAside })
      unchecked += all.length
      if (local && all.length < FEW && unchecked >= CHECKPOINT_AFTER) {
        unchecked = 0
        await client.execute('PRAGMA wal_checkpoint(PASSIVE)')
      }
    } catch (error) {
      reply({ n, failed: reasonOf(error) })
    }
  }
  // One after the other: each batch is the only writer.
  let last = Promise.resolve()
  port.on('message', (request: WriterRequest) => (last = last.then(() => handle(request))))
  reply({ n: 0, ready: true })
} catch (error) {
  reply({ n: 0, failed: reasonOf(error) })
}

/** Where cores are few, whoever reads comes first: what waits to be stored waits safely in tap. */
function stepBack(): void {
  if (platform() !== 'linux') return
  // On Linux a thread has a priority of its own, by its own number.
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_BELOW_NORMAL)
}

/** Refused for what it says, not because the database is busy, full, broken or away. */
function isAboutData(error: unknown): boolean {
  return error instanceof LibsqlError
    ? /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(error.code)
    : error instanceof TypeError || error instanceof RangeError
}

function merge(first: Applied, second: Applied): Applied {
  return {
    tallies: new Map([...first.tallies, ...second.tallies]),
    polls: first.polls.union(second.polls),
    unknownAuthors: first.unknownAuthors.union(second.unknownAuthors),
    version: second.version,
  }
}
