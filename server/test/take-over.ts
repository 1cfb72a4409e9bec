/**
 * Takes over a database file and kills itself before its n-th statement, counted from 0: `node take-over.ts URL N`. Says
 * which one that is; exits with 0 where there are no more than n.
 */
import { writeSync } from 'node:fs'
import Database from 'libsql'
import { openDatabase } from '../src/store/database.ts'
import { migrate } from '../src/store/migrations.ts'

const [url, n] = process.argv.slice(2)
let left = Number(n)

// Below @libsql/client, so that it does not matter how it is called.
const methods = Database.prototype as unknown as Record<string, (sql: string) => unknown>
for (const name of ['prepare', 'exec']) {
  const original = methods[name]!
  methods[name] = function (this: unknown, sql) {
    if (left-- === 0) {
      writeSync(1, sql)
      process.kill(process.pid, 'SIGKILL')
    }
    return original.call(this, sql)
  }
}

const client = await openDatabase({ url: url!, authToken: undefined })
await migrate(client)
client.close()
