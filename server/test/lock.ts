/** Somebody else who holds the write lock of a database until told to let go. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createClient } from '@libsql/client'
import type { DatabaseOptions } from '../src/store/database.ts'

/** Ends, and lets go, when its input does. */
const HOLDER = `
import { DatabaseSync } from 'node:sqlite'
const db = new DatabaseSync(process.argv[1], { timeout: 5000 })
db.exec('BEGIN IMMEDIATE')
console.log('held')
process.stdin.resume()
`

/**
 * Takes the write lock: of a file from another process, of a libSQL server on a stream of its own. sqld takes it back
 * after 5 s; until then whoever wants to write waits there. The stand-in does not serve anybody while one waits: it
 * answers SQLITE_BUSY after 5 s.
 *
 * @returns what lets go of it
 */
export async function holdLock({ url, authToken }: DatabaseOptions): Promise<() => Promise<void>> {
  if (!url.startsWith('file:')) {
    const client = createClient({ url, authToken })
    const transaction = await client.transaction('write')
    // It begins with its first statement.
    await transaction.execute('SELECT 1')
    return async () => {
      // Where sqld has taken the lock back, there is nothing to roll back.
      await transaction.rollback().catch(() => {})
      client.close()
    }
  }
  const holder = spawn('node', ['--input-type=module', '-e', HOLDER, url.slice('file:'.length)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(holder, 'exit')
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the lock was not taken'))),
  ])
  return async () => {
    holder.stdin.end()
    await ended
  }
}
