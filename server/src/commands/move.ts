/**
 * `npm run move -- FROM TO`: everything from one database into another, empty one, both as DATABASE_URL names them:
 * into a libSQL server and back, or out of a backup. The counts of both are compared, and the tallies recounted. Tokens:
 * FROM_AUTH_TOKEN and TO_AUTH_TOKEN. The server has to be stopped.
 */
import { about, reasonOf } from '../log.ts'
import { databaseUrl } from '../config.ts'
import { copyDatabase } from '../store/copy.ts'
import { openDatabase } from '../store/database.ts'
import { checkSchema } from '../store/migrations.ts'

const [from, to] = process.argv.slice(2)
try {
  if (from === undefined || to === undefined)
    throw new Error('expected two databases: npm run move -- file:data/pollz.db libsql://…')
  const open = (name: 'FROM' | 'TO', value: string) => {
    const url = databaseUrl(name, value, `${name}_AUTH_TOKEN`)
    return about(name, openDatabase({ url, authToken: process.env[`${name}_AUTH_TOKEN`] }))
  }
  const source = await open('FROM', from)
  await about('FROM', checkSchema(source))
  const target = await open('TO', to)
  const counts = await copyDatabase(source, target, (message) => console.log(message))
  console.log(`moved, and counted the same in both: ${JSON.stringify(counts)}`)
  source.close()
  target.close()
} catch (error) {
  console.error(reasonOf(error))
  process.exit(2)
}
