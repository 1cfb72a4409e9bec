import { createClient } from '@libsql/client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newFile } from './database.ts'
import { LibsqlServer } from './libsql-server.ts'
import { holdLock } from './lock.ts'
import { libsqlServer } from './remote.ts'

test('of a file: nobody writes before it is let go', async () => {
  const url = newFile()
  const client = createClient({ url })
  await client.executeMultiple('PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)')
  const letGo = await holdLock({ url, authToken: undefined })
  await expect(client.execute('INSERT INTO t VALUES (1)')).rejects.toMatchObject({ code: 'SQLITE_BUSY' })
  expect((await client.execute('SELECT n FROM t')).rows).toEqual([])
  await letGo()
  await client.execute('INSERT INTO t VALUES (1)')
  expect((await client.execute('SELECT n FROM t')).rows).toMatchObject([{ n: 1 }])
  client.close()
})

describe.skipIf(libsqlServer === 'standin')('of a libSQL server', () => {
  let server: LibsqlServer

  beforeEach(async () => (server = await LibsqlServer.start()))
  afterEach(() => server.close())

  test.each(['let go', 'not let go'])(
    'who writes waits, %s',
    async (how) => {
      const client = createClient(server)
      await client.execute('CREATE TABLE t (n INTEGER)')
      const letGo = await holdLock(server)
      const order: string[] = []
      const written = client.execute('INSERT INTO t VALUES (1)').then(() => order.push('written'))
      // Readers don't wait.
      expect((await client.execute('SELECT n FROM t')).rows).toEqual([])
      if (how === 'let go') {
        order.push('let go')
        await letGo()
      }
      await written
      if (how === 'not let go') {
        order.push('let go')
        await letGo()
      }
      expect(order).toEqual(how === 'let go' ? ['let go', 'written'] : ['written', 'let go'])
      client.close()
    },
    20_000,
  )
})
