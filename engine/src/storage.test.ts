import 'fake-indexeddb/auto'
import { forceCloseDatabase } from 'fake-indexeddb'
import { openDB, unwrap } from 'idb'
import { expect, onTestFinished, test, vi } from 'vitest'
import { reasonOf } from './reasons.ts'
import { databaseOf, keepServerDb, openServerDb } from './storage.ts'

const alice = { did: 'did:plc:a', usedAt: 1 }

test('a connection that the browser closes is opened anew, until its engine ends', async () => {
  const stop = new AbortController()
  const db = keepServerDb('https://closed.test', stop.signal)
  const first = await db
  await first.put('people', alice, alice.did)
  expect(await db).toBe(first)
  forceCloseDatabase(unwrap(first) as unknown as Parameters<typeof forceCloseDatabase>[0])
  await expect(first.get('people', alice.did)).rejects.toHaveProperty('name', 'InvalidStateError')
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

const STORES_BEFORE = ['states', 'sessions', 'people', 'tabs', 'client']

/** As pollz 0.3 made it. */
const openBefore = (server: string) =>
  openDB(`pollz ${server}`, 1, {
    upgrade(db) {
      for (const name of STORES_BEFORE) db.createObjectStore(name)
      db.createObjectStore('polls').createIndex('at', 'at')
    },
  })

test('who was signed in stays so, whatever page of the version before is open', async () => {
  const server = 'https://before.test'
  const before = await openBefore(server)
  await before.put('people', alice, alice.did)
  await before.put('sessions', { tokenSet: { sub: alice.did } }, alice.did)
  const db = await openServerDb(server)
  onTestFinished(() => db.close())
  expect(await db.getAll('people')).toEqual([alice])
  expect(await db.get('sessions', alice.did)).toEqual({ tokenSet: { sub: alice.did } })
  expect(await before.count('sessions')).toBe(0)
  before.close()
  const names = async () => (await indexedDB.databases()).map(({ name }) => name)
  await vi.waitUntil(async () => !(await names()).includes(`pollz ${server}`), { interval: 1 })
})

test('what there was before is taken over once, and is not made where it is missing', async () => {
  const server = 'https://new.test'
  ;(await openServerDb(server)).close()
  expect((await indexedDB.databases()).map(({ name }) => name)).not.toContain(`pollz ${server}`)
  const before = await openBefore(server)
  await before.put('people', alice, alice.did)
  before.close()
  const db = await openServerDb(server)
  onTestFinished(() => db.close())
  expect(await db.count('people')).toBe(0)
})

test('an update waits for no page', async () => {
  const stop = new AbortController()
  const server = 'https://update.test'
  await keepServerDb(server, stop.signal)
  const updated = await openDB(databaseOf(server), 2)
  expect(updated.version).toBe(2)
  updated.close()
  stop.abort()
})
