/** `npm start`: the server alone, configured by the environment. */
import { ConfigError, readConfig } from './config.ts'
import { createLog, reasonOf } from './log.ts'
import { startServer } from './server.ts'

/** A server that is still starting stops within this time, in ms. */
const STOPPING = 4_500

const stop = new AbortController()
let started = false
for (const name of ['SIGTERM', 'SIGINT'] as const)
  process.once(name, () => {
    stop.abort()
    // It may be at the database, and a process that exits inside of it aborts: it is given the time to come back.
    if (!started) setTimeout(() => process.exit(0), STOPPING)
  })

try {
  const config = readConfig(process.env)
  const { done } = await startServer(config, createLog(config.logLevel), stop.signal)
  started = true
  await done
  process.exit(0)
} catch (error) {
  if (stop.signal.aborted) process.exit(0)
  process.stderr.write(`${reasonOf(error)}\n`)
  process.exit(error instanceof ConfigError ? 2 : 1)
}
