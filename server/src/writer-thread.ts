/** The thread that reads tap's messages and owns the store, so that storing at full speed leaves reads alone. */
import { readlinkSync } from 'node:fs'
import { constants, platform, setPriority } from 'node:os'
import { basename } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { readEvent, type Change, type SetAside } from './ingest/events.ts'
import { reasonOf } from './log.ts'
import type { DatabaseOptions } from './store/database.ts'
import { Store, type Outcome } from './store/store.ts'

/**
 * `messages`: as tap sent them. `changes`: checked already. `remember`: a number of the database as a whole. `probe`: see
 * whether the database can be written. `close`: end, once all before it is done.
 */
export type WriterRequest = { n: number } & (
  | { messages: string[] }
  | { changes: Change[] }
  | { remember: { name: string; value: number } }
  | { probe: true }
  | { close: true }
)

/** `stopping`: its first element is 1 once nothing more is to be begun. */
export type WriterData = { options: DatabaseOptions; stopping: Int32Array }

export type WriterReply =
  | { n: 0; ready: true }
  | { n: 0; failed: string }
  | {
      n: number
      outcome: Outcome
      /** of the messages: what tap wants acked once they are committed */ ids: number[]
    }

const port = parentPort!
const reply = (message: WriterReply) => port.postMessage(message)

try {
  const { options, stopping } = workerData as WriterData
  const store = await Store.open(options)
  stepBack()

  const handle = async (request: WriterRequest): Promise<void> => {
    if ('close' in request) {
      store.close()
      port.close()
      return
    }
    const { n } = request
    if (Atomics.load(stopping, 0) === 1)
      return reply({ n, outcome: { outcome: 'unknown', reason: 'the server is stopping' }, ids: [] })
    if ('remember' in request) return reply({ n, outcome: await store.remember(request.remember), ids: [] })
    if ('probe' in request) return reply({ n, outcome: await store.probe(), ids: [] })
    const { ids, changes, setAside } =
      'messages' in request ? read(request.messages) : { ids: [], changes: request.changes, setAside: [] }
    reply({ n, outcome: await store.store(changes, setAside), ids })
    await store.tidy(changes.length)
  }
  // One after the other: each batch is the only writer.
  let last = Promise.resolve()
  port.on('message', (request: WriterRequest) => {
    last = last.then(() => handle(request))
    // Whoever waits must not wait for ever: the thread ends, and with it the server, which is started anew.
    last.catch((error: unknown) => {
      store.close()
      throw error
    })
  })
  reply({ n: 0, ready: true })
} catch (error) {
  reply({ n: 0, failed: reasonOf(error) })
}

function read(messages: string[]) {
  const ids: number[] = []
  const changes: Change[] = []
  const setAside: SetAside[] = []
  for (const event of messages.map((message) => readEvent(message))) {
    if (event.id !== undefined) ids.push(event.id)
    if (event.change) changes.push(event.change)
    if (event.setAside) setAside.push(event.setAside)
  }
  return { ids, changes, setAside }
}

/** Where cores are few, whoever reads comes first: what waits to be stored waits safely in tap. */
function stepBack(): void {
  if (platform() !== 'linux') return
  // On Linux a thread has a priority of its own, by its own number.
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_BELOW_NORMAL)
}
