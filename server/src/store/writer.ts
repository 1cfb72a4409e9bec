/** The thread that owns the one writing connection, so that storing at full speed leaves reads alone. */
import { parentPort, workerData } from 'node:worker_threads'
import { readEvent, type Change, type SetAside } from '../ingest/events.ts'
import { reasonOf } from '../log.ts'
import { apply, type Applied } from './counting.ts'
import { openDatabase, type DatabaseOptions } from './database.ts'
import { migrate } from './migrations.ts'

/** `messages`: as tap sent them. `changes`: checked already. */
export type WriterRequest = { n: number; messages?: string[]; changes?: Change[] }

export type WriterReply =
  | { n: 0; ready: true }
  | { n: number; applied: Applied; /** ids to ack */ ids: number[]; setAside: SetAside[] }
  | { n: number; failed: string }

const port = parentPort!
const reply = (message: WriterReply) => port.postMessage(message)

try {
  const client = await openDatabase(workerData as DatabaseOptions)
  await migrate(client)

  // Wall time in ms, so that versions go on growing over restarts.
  let version = 0
  port.on('message', async ({ n, messages = [], changes = [] }: WriterRequest) => {
    try {
      const ids: number[] = []
      const setAside: SetAside[] = []
      const all = [...changes]
      for (const event of messages.map(readEvent)) {
        if (event.id !== undefined) ids.push(event.id)
        if (event.change) all.push(event.change)
        if (event.setAside) setAside.push(event.setAside)
      }
      version = Math.max(Date.now(), version + 1)
      const applied = await apply(client, all, setAside, version)
      reply({ n, applied, ids, setAside })
    } catch (error) {
      reply({ n, failed: reasonOf(error) })
    }
  })
  reply({ n: 0, ready: true })
} catch (error) {
  reply({ n: 0, failed: reasonOf(error) })
}
