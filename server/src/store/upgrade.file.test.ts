/** Taking over a database can be killed at any moment. Of a database file: it is the server's own process that is killed. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadRelease, newFile } from '../../test/database.ts'
import { SCHEMA } from './migrations.ts'
import { recount } from './recount.ts'
import { Writer } from '../writer.ts'

const main = join(import.meta.dirname, '../main.ts')

test('killed again and again while it takes over, it takes over', { timeout: 120_000 }, async () => {
  for (let i = 0; i < 15; i++) {
    const file = { url: newFile(), authToken: undefined }
    await loadRelease('release-0.1.0.sql', file)
    // From its first instruction to when it serves.
    const server = spawn('node', [main], {
      env: {
        ...process.env,
        DATABASE_URL: file.url,
        TAP_URL: '',
        PORT: '0',
        HOST: '127.0.0.1',
        LOG_LEVEL: 'error',
      },
      stdio: 'ignore',
    })
    const ended = new Promise((resolve) => server.once('exit', resolve))
    setTimeout(() => server.kill('SIGKILL'), 150 + i * 50)
    await ended
    const store = await Writer.open(file)
    const { rows } = await store.reader.execute('PRAGMA integrity_check')
    expect(rows[0]!['integrity_check']).toBe('ok')
    const { rows: done } = await store.reader.execute('SELECT n FROM migrations ORDER BY n')
    expect(done.map((row) => Number(row['n']))).toEqual(Array.from({ length: SCHEMA }, (_, n) => n + 1))
    expect(await recount(store.reader)).toEqual([])
    await store.close()
  }
})
