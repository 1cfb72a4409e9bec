/** A stand-in for tap with a backlog, in a thread that steps back: what is measured is the server, not its load. */
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { TapStandIn } from '../test/tap-standin.ts'

if (process.platform === 'linux') setPriority(Number(basename(readlinkSync('/proc/thread-self'))), 10)
const { messages } = workerData as { messages: string[] }
const tap = await TapStandIn.listen()
parentPort!.on('message', () => {
  for (const [id, message] of messages.entries()) tap.send(message, id)
})
parentPort!.postMessage(tap.url)
