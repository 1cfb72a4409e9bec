/** Connections to a database file. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { newFile } from '../../test/database.ts'
import { filePath, openDatabase } from './database.ts'

test('statements that come at once all run with its settings', async () => {
  const client = await openDatabase({ url: newFile(), authToken: undefined })
  const results = await Promise.all(Array.from({ length: 30 }, () => client.execute('PRAGMA busy_timeout')))
  client.close()
  expect(new Set(results.map(({ rows }) => rows[0]?.[0]))).toEqual(new Set([2000]))
})

/**
 * glibc fills freed memory with SQLite's mark of an open connection, so that closing one again, after it was freed, always
 * crashes; otherwise it does where another thread has reused the memory, or it was given back. Elsewhere this has no effect.
 */
const GLIBC_TUNABLES = 'glibc.malloc.perturb=118:glibc.malloc.tcache_count=0'

/** @param way as test/closing.ts has them */
function close(way: string, url: string) {
  const script = join(import.meta.dirname, '../../test/closing.ts')
  const { signal, status, stderr } = spawnSync('node', ['--expose-gc', script, way, url], {
    // Where a core may be left.
    cwd: dirname(filePath(url)!),
    encoding: 'utf8',
    env: { ...process.env, GLIBC_TUNABLES },
  })
  return { signal, status, stderr }
}

test.each(['a reader of many at once', 'a store', 'a writer', 'a database of a release to come'])(
  'a connection is closed once: of %s',
  (way) => {
    expect(close(way, newFile())).toMatchObject({ signal: null, status: 0 })
  },
)

test('a connection is closed once: of what is no database', () => {
  const url = newFile()
  writeFileSync(filePath(url)!, 'no database'.repeat(1000))
  expect(close('what is no database', url)).toMatchObject({ signal: null, status: 0 })
})

const { glibcVersionRuntime } = (process.report.getReport() as { header: { glibcVersionRuntime?: string } })
  .header

test.runIf(glibcVersionRuntime)('closed twice, as libsql does by itself, it would crash', () => {
  // Once this fails, libsql is mended: `closeOnce` in database.ts can go.
  expect(close('a bare client', newFile())).toMatchObject({ signal: 'SIGSEGV' })
})
