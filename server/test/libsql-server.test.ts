import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { afterEach, expect, test, vi } from 'vitest'
import { LibsqlServer } from './libsql-server.ts'

let server: LibsqlServer

afterEach(() => server?.close())

test('killed and restarted, it has what was committed, for whoever has the token', async () => {
  server = await LibsqlServer.start()
  const client = createClient({ url: server.url, authToken: server.authToken })
  await client.batch(['CREATE TABLE t (n INTEGER)', 'INSERT INTO t VALUES (7)'], 'write')
  await server.kill()
  await expect(client.execute('SELECT n FROM t')).rejects.toThrow('fetch failed')
  await server.restart()
  expect((await client.execute('SELECT n FROM t')).rows).toMatchObject([{ n: 7 }])
  client.close()
  const stranger = createClient({ url: server.url, authToken: 'wrong' })
  await expect(stranger.execute('SELECT n FROM t')).rejects.toThrow(/401|UNAUTHORIZED/)
  stranger.close()
})

test('it does not outlive a process that is killed', async () => {
  const module = JSON.stringify(join(import.meta.dirname, 'libsql-server.ts'))
  const owner = spawn('node', [
    '--input-type=module',
    '-e',
    `import { LibsqlServer } from ${module}; console.log((await LibsqlServer.start()).url)`,
  ])
  const [line] = (await once(owner.stdout, 'data')) as [Buffer]
  const answers = () =>
    fetch(line.toString().trim()).then(
      () => true,
      () => false,
    )
  expect(await answers()).toBe(true)
  owner.kill('SIGKILL')
  await vi.waitUntil(async () => !(await answers()), 5000)
})
