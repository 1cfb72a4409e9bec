/** The thread that reads tap's messages and owns the store, so that storing at full speed leaves reads alone. */
import { readlinkSync } from 'node:fs'
import { constants, platform, setPriority } from 'node:os'
import { basename } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { readEvent, type Change, type SetAside } from './ingest/events.ts'
import { reasonOf } from './log.ts'
import type { DatabaseOptions } from './store/database.ts'
import type { News } from './store/news.ts'
import { Store, type Outcome, type Task } from './store/store.ts'

/**
 * `messages`: as tap sent them. `changes`: checked already. `fence`: of the lease by which they are stored. `ask`: see
 * `Question`. `close`: end, once all before it is done, and say so in the
 * database as this process.
 */
export type WriterRequest = { n: number } & (
  | { messages: string[]; fence: number | undefined }
  | { changes: Change[]; fence: number | undefined }
  | { task: Task }
  | { ask: Question }
  | { close: string }
)

/** What is read here, because it would hold up the main thread. */
export type Question =
  | { news: { after: number | undefined; id: string } }
  | { busiest: { since: number; limit: number } }

/** `stopping`: its first element is 1 once nothing more is to be begun. */
export type WriterData = { options: DatabaseOptions; stopping: Int32Array }

export type Busy = { uri: string; votes: number }

export type WriterReply =
  | { n: 0; ready: true }
  | { n: 0; failed: string }
  | { n: 0; waits: string }
  | { n: number; answer: News | Busy[] }
  | { n: number; noAnswer: string }
  | {
      n: number
      outcome: Outcome
      /** of the messages: what tap wants acked once they are committed */ ids: number[]
    }

/** For how long it is tried to say that the process ends, in ms. */
const LEAVING = 500

const port = parentPort!
const reply = (message: WriterReply) => port.postMessage(message)

try {
  const { options, stopping } = workerData as WriterData
  const store = await Store.open(options, (waits) => reply({ n: 0, waits }))
  stepBack()

  const answer = (n: number, ask: Question) => {
    const found: Promise<News | Busy[]> =
      'news' in ask
        ? store.news(ask.news.after, ask.news.id)
        : store.scan(ask.busiest.since, ask.busiest.limit)
    void found.then(
      (it) => reply({ n, answer: it }),
      (error: unknown) => reply({ n, noAnswer: reasonOf(error) }),
    )
  }
  const handle = async (request: Exclude<WriterRequest, { ask: unknown }>): Promise<void> => {
    if ('close' in request) {
      // A database that is away is not waited for: the lease ends by itself.
      await Promise.race([store.do({ leave: request.close }), setTimeout(LEAVING)])
      store.close()
      port.close()
      return
    }
    const { n } = request
    if (Atomics.load(stopping, 0) === 1)
      return reply({ n, outcome: { outcome: 'unknown', reason: 'the server is stopping' }, ids: [] })
    if ('task' in request) return reply({ n, outcome: await store.do(request.task), ids: [] })
    const { ids, changes, setAside } =
      'messages' in request ? read(request.messages) : { ids: [], changes: request.changes, setAside: [] }
    reply({ n, outcome: await store.store(changes, setAside, request.fence), ids })
    await store.tidy(changes.length)
  }
  // One after the other: each batch is the only writer.
  let last = Promise.resolve()
  port.on('message', (request: WriterRequest) => {
    // Whoever reads does not wait for what waits to be stored.
    if ('ask' in request) return answer(request.n, request.ask)
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
