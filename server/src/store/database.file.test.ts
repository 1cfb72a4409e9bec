/** Connections to a database file. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newFile } from '../../test/database.ts'
import { filePath, openDatabase } from './database.ts'

test('statements that come at once all run with its settings', async () => {
  const client = await openDatabase({ url: newFile(), authToken: undefined })
  const results = await Promise.all(Array.from({ length: 30 }, () => client.execute('PRAGMA busy_timeout')))
  client.close()
  expect(new Set(results.map(({ rows }) => rows[0]?.[0]))).toEqual(new Set([2000]))
})

/** Recovers or closes a file, as it were: for 300 ms it is nobody else's. */
const HOLDER = `
import { DatabaseSync } from 'node:sqlite'
const db = new DatabaseSync(process.argv[1])
db.exec('PRAGMA locking_mode = EXCLUSIVE')
db.exec('BEGIN EXCLUSIVE')
console.log('held')
setTimeout(() => db.close(), 300)
`

test('somebody who closes the file at this moment is waited for', async () => {
  const url = newFile()
  ;(await openDatabase({ url, authToken: undefined })).close()
  const holder = spawn('node', ['--input-type=module', '-e', HOLDER, filePath(url)!], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  const client = await openDatabase({ url, authToken: undefined })
  expect((await client.execute('PRAGMA journal_mode')).rows[0]?.[0]).toBe('wal')
  client.close()
})

/**
 * glibc fills freed memory with SQLite's mark of an open connection, so that closing one again, after it was freed, always
 * crashes; otherwise it does where another thread has reused the memory, or it was given back. Elsewhere this has no effect.
 */
const GLIBC_TUNABLES = 'glibc.malloc.perturb=118:glibc.malloc.tcache_count=0'

function node(args: string[], env: Record<string, string> = {}) {
  const { signal, status, stderr } = spawnSync('node', args, {
    // Where a core may be left.
    cwd: tmpdir(),
    encoding: 'utf8',
    env: { ...process.env, GLIBC_TUNABLES, ...env },
  })
  return { signal, status, stderr }
}

/** @param way as test/closing.ts has them */
const close = (way: string, url: string) =>
  node(['--expose-gc', join(import.meta.dirname, '../../test/closing.ts'), way, url])

test.each([
  'a reader of many at once',
  'a store',
  'a writer',
  'a writer that fails',
  'a database of a release to come',
])('a connection is closed once: of %s', (way) => {
  expect(close(way, newFile())).toMatchObject({ signal: null, status: 0 })
})

test('a connection is closed once: of what is no database', () => {
  const url = newFile()
  writeFileSync(filePath(url)!, 'no database'.repeat(1000))
  expect(close('what is no database', url)).toMatchObject({ signal: null, status: 0 })
})

test('a connection is closed once: of a server that can’t listen', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const env = { DATABASE_URL: newFile(), HOST: '127.0.0.1', PORT: String(port), TAP_URL: '' }
  expect(node([join(import.meta.dirname, '../main.ts')], env)).toMatchObject({
    signal: null,
    status: 1,
    stderr: expect.stringContaining('EADDRINUSE'),
  })
  other.close()
})

const { glibcVersionRuntime } = (process.report.getReport() as { header: { glibcVersionRuntime?: string } })
  .header

test.runIf(glibcVersionRuntime)('closed twice, as libsql does by itself, it would crash', () => {
  // Once this fails, libsql is mended: `closeOnce` in database.ts can go.
  expect(close('a bare client', newFile())).toMatchObject({ signal: 'SIGSEGV' })
})
