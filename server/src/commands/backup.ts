/** `npm run backup -- FILE`: a copy of DATABASE_URL while the server runs, as of one moment, checked by a recount. */
import { existsSync } from 'node:fs'
import { openDatabase } from '../store/database.ts'
import { copyDatabase, countRows } from '../store/copy.ts'
import { recount } from '../store/recount.ts'
import { runCommand } from './open.ts'

await runCommand(async (client, { databaseUrl }, [file]) => {
  if (file === undefined) throw new Error('expected a file to write: npm run backup -- FILE')
  if (existsSync(file)) throw new Error(`${file} is there already`)
  const local = databaseUrl.startsWith('file:')
  if (local) await client.execute({ sql: 'VACUUM INTO ?', args: [file] })
  const backup = await openDatabase({ url: `file:${file}`, authToken: undefined })
  // A server has no such command: what is stored there meanwhile would be half in the copy, so it is refused.
  if (!local) await copyDatabase(client, backup, (message) => console.log(message))
  const { rows } = await backup.execute('PRAGMA integrity_check')
  if (rows[0]?.['integrity_check'] !== 'ok') throw new Error(`${file}: ${JSON.stringify(rows)}`)
  const differences = await recount(backup)
  const counts = await countRows(backup)
  // One file to keep: without a log beside it, until it is opened again.
  await backup.execute('PRAGMA journal_mode = DELETE')
  backup.close()
  console.log(`${file}: ${JSON.stringify(counts)}, ${differences.length} differences in a recount`)
  return differences.length > 0 ? 1 : 0
})
