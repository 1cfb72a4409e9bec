import 'fake-indexeddb/auto'
import { IDBFactory } from 'fake-indexeddb'
import { openDB } from 'idb'
import { beforeEach, expect, test } from 'vitest'
import { defaults } from '../settings.ts'
import { SettingsStore } from './settings.ts'

const sister = 'https://sister.example'

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory()
})

test('sites are off by default; one that is switched on is kept, once', async () => {
  const store = await SettingsStore.open(defaults)
  expect(store.settings.sites).toEqual([])
  await store.setSite(sister, true)
  await store.setSite(sister, true)
  const again = await SettingsStore.open(defaults)
  expect(again.settings.sites).toEqual([sister])
  expect(again.isShownOn(sister)).toBe(true)
  await again.setSite(sister, false)
  expect((await SettingsStore.open(defaults)).isShownOn(sister)).toBe(false)
})

test('bsky.app is always one', async () => {
  const store = await SettingsStore.open(defaults)
  expect(store.isShownOn('https://bsky.app')).toBe(true)
  expect(store.isShownOn(sister)).toBe(false)
})

test('the site that was used last is kept, and is bsky.app while it is off', async () => {
  const store = await SettingsStore.open(defaults)
  expect(store.site).toBe('https://bsky.app')
  await store.setSite(sister, true)
  await store.used(sister)
  await store.used('https://elsewhere.example')
  expect((await SettingsStore.open(defaults)).site).toBe(sister)
  await store.setSite(sister, false)
  expect(store.site).toBe('https://bsky.app')
})

test('settings of a version before are taken over', async () => {
  const before = await openDB('settings', 1, {
    upgrade(db) {
      for (const name of ['settings', 'facts', 'offTabs']) db.createObjectStore(name)
    },
  })
  const { sites: _, ...old } = { ...defaults, resultsFirst: true }
  await before.put('settings', old, 'settings')
  await before.put('facts', true, 'hasVoted')
  before.close()
  const store = await SettingsStore.open(defaults)
  expect(store.settings).toEqual({ ...defaults, resultsFirst: true })
  expect(store.is('hasVoted')).toBe(true)
})
