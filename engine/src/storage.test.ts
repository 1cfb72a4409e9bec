import 'fake-indexeddb/auto'
import { forceCloseDatabase } from 'fake-indexeddb'
import { unwrap } from 'idb'
import { expect, test } from 'vitest'
import { reasonOf } from './reasons.ts'
import { keepServerDb } from './storage.ts'

const alice = { did: 'did:plc:a', usedAt: 1 }

test('a connection that the browser closes is opened anew, until its engine ends', async () => {
  const stop = new AbortController()
  const db = keepServerDb('https://closed.test', stop.signal)
  const first = await db
  await first.put('people', alice, alice.did)
  expect(await db).toBe(first)
  forceCloseDatabase(unwrap(first) as unknown as Parameters<typeof forceCloseDatabase>[0])
  await expect(first.get('people', alice.did)).rejects.toThrow()
  expect(await (await db).get('people', alice.did)).toEqual(alice)
  stop.abort()
  await expect(Promise.resolve(db)).rejects.toThrow('aborted')
})

test('a transaction that was aborted says nothing of anybody’s server', async () => {
  const stop = new AbortController()
  const tx = (await keepServerDb('https://aborted.test', stop.signal)).transaction('people', 'readwrite')
  const done = tx.done.catch(reasonOf)
  tx.abort()
  expect(await done).toMatchObject({ name: 'fault' })
  stop.abort()
})
