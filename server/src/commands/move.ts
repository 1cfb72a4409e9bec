/**
 * `npm run move -- FROM TO`: everything from one database into another, empty one, both as DATABASE_URL names them:
 * into a libSQL server and back, or out of a backup. The counts of both are compared, and the tallies recounted. Tokens:
 * FROM_AUTH_TOKEN and TO_AUTH_TOKEN. The server has to be stopped.
 */
import { reasonOf } from '../log.ts'
import { openDatabase } from '../store/database.ts'
import { copyDatabase } from '../store/copy.ts'

const [from, to] = process.argv.slice(2)
try {
  if (from === undefined || to === undefined)
    throw new Error('expected two databases: npm run move -- file:data/pollz.db libsql://…')
  const source = await openDatabase({ url: from, authToken: process.env['FROM_AUTH_TOKEN'] })
  const target = await openDatabase({ url: to, authToken: process.env['TO_AUTH_TOKEN'] })
  const counts = await copyDatabase(source, target, (message) => console.log(message))
  console.log(`moved, and counted the same in both: ${JSON.stringify(counts)}`)
  source.close()
  target.close()
} catch (error) {
  console.error(reasonOf(error))
  process.exit(2)
}
