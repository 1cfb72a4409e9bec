/** `npm run recount -w server`: checks the tallies of DATABASE_URL while the server runs. Exits 1 where they differ. */
import { isAbsolute, resolve } from 'node:path'
import { readConfig } from './config.ts'
import { reasonOf } from './log.ts'
import { openDatabase } from './store/database.ts'
import { recount } from './store/recount.ts'

try {
  const { databaseUrl, databaseAuthToken } = readConfig(process.env)
  const started = performance.now()
  const client = await openDatabase({ url: fromRoot(databaseUrl), authToken: databaseAuthToken })
  const { rows } = await client.execute('SELECT coalesce(sum(n), 0) AS n FROM tallies')
  const differences = await recount(client)
  const ms = Math.round(performance.now() - started)
  for (const { poll, option, tally, recount: n } of differences)
    console.error(`${poll} option ${option}: the tally says ${tally}, a recount ${n}`)
  console.log(`${rows[0]!['n']} votes counted anew in ${ms} ms: ${differences.length} differences`)
  process.exit(differences.length > 0 ? 1 : 0)
} catch (error) {
  console.error(reasonOf(error))
  process.exit(2)
}

/** `npm run -w` starts in the workspace, the server in the project: the same DATABASE_URL means the same file. */
function fromRoot(url: string): string {
  const path = /^file:(?!\/)(.*)$/.exec(url)?.[1]
  return path === undefined || isAbsolute(path) ? url : `file:${resolve(import.meta.dirname, '../..', path)}`
}
