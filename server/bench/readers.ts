/** Readers with a connection each, asking again as soon as they are answered. */
import { Agent, request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const { url, ms, headers } = workerData as { url: string; ms: number; headers: Record<string, string> }
const CONNECTIONS = 8

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
const until = Date.now() + ms
let requests = 0

const once = () =>
  new Promise<void>((resolve, reject) => {
    request(url, { agent, headers }, (response) => {
      response.resume()
      response.on('end', resolve)
    })
      .on('error', reject)
      .end()
  })

await Promise.all(
  Array.from({ length: CONNECTIONS }, async () => {
    while (Date.now() < until) {
      await once()
      requests++
    }
  }),
)
parentPort!.postMessage(requests)
agent.destroy()
