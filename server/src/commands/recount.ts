/** `npm run recount`: checks the tallies of DATABASE_URL while the server runs. Exits 1 where they differ. */
import { VOTERS } from '../store/counting/rules.ts'
import { recount } from '../store/recount.ts'
import { runCommand } from './open.ts'

await runCommand(async (client) => {
  const started = performance.now()
  const { rows } = await client.execute(`SELECT coalesce(${VOTERS}, 0) AS n FROM tallies t`)
  const differences = await recount(client)
  const ms = Math.round(performance.now() - started)
  for (const { poll, option, tally, recount: n } of differences)
    console.error(`${poll} option ${option}: the tally says ${tally}, a recount ${n}`)
  console.log(`${rows[0]!['n']} votes counted anew in ${ms} ms: ${differences.length} differences`)
  return differences.length > 0 ? 1 : 0
})
