/** `npm start`: the server alone, configured by the environment. */
import { ConfigError, readConfig } from './config.ts'
import { createLog, reasonOf } from './log.ts'
import { startServer } from './server.ts'

const stop = new AbortController()
let started = false
for (const name of ['SIGTERM', 'SIGINT'] as const)
  process.once(name, () => (started ? stop.abort() : process.exit(0)))

try {
  const config = readConfig(process.env)
  const { done } = await startServer(config, createLog(config.logLevel), stop.signal)
  started = true
  await done
  process.exit(0)
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`)
  process.exit(error instanceof ConfigError ? 2 : 1)
}
