/** `npm start`: the server alone, configured by the environment. */
import './small.ts'
import { ConfigError, readConfig } from './config.ts'
import { createLog, reasonOf } from './log.ts'
import { STOPPING, startServer } from './server.ts'

const stop = new AbortController()
let started = false
for (const name of ['SIGTERM', 'SIGINT'] as const)
  process.once(name, () => {
    stop.abort()
    // Not at once: it may be inside the database, where a process that exits aborts.
    if (!started) setTimeout(() => process.exit(0), STOPPING)
  })

try {
  const config = readConfig(process.env)
  const { done } = await startServer(config, createLog(config.logLevel), stop.signal)
  started = true
  await done
  process.exit(0)
} catch (error) {
  if (error !== stop.signal.reason) process.stderr.write(`${reasonOf(error)}\n`)
  process.exit(stop.signal.aborted ? 0 : error instanceof ConfigError ? 2 : 1)
}
