import type { Engine } from '@pollz/engine/engine'
import { beforeEach, expect, test, vi } from 'vitest'
import { closed, navigated } from './signin.ts'

/** Tabs that were closed. */
const removed = vi.hoisted((): number[] => [])
vi.mock('wxt/browser', () => ({
  browser: { tabs: { update: async () => {}, remove: async (tab: number) => void removed.push(tab) } },
}))

const url = 'https://pollz.test/oauth/callback#code=x'
/** Addresses whose sign-in was finished. */
let finished: string[]
/** Tabs whose sign-in came to an end, and how. */
let told: [number, unknown][]
let waiting: Set<number>
let engine: Engine

beforeEach(() => {
  removed.length = 0
  finished = []
  told = []
  waiting = new Set([1])
  engine = {
    accounts: {
      isReturn: (it: string) => it === url,
      finish: async (it: string) => {
        finished.push(it)
        return { did: 'did:plc:a' }
      },
    },
    acts: {
      waitingFor: async (tab: number) => (waiting.has(tab) ? { page: 7 } : undefined),
      signedIn: async (tab: number, result: unknown) => void told.push([tab, result]),
    },
  } as unknown as Engine
})

test('a tab that comes back signs somebody in once, however often the browser says so', async () => {
  const answers = await Promise.all([navigated(engine, 1, url), navigated(engine, 1, url)])
  expect(answers).toEqual([true, false])
  expect(finished).toEqual([url])
  // It was closed because it had come back.
  await closed(engine, 1)
  expect(told).toEqual([[1, { did: 'did:plc:a' }]])
})

test('a tab for which nobody waits is left alone', async () => {
  expect(await navigated(engine, 2, url)).toBe(false)
  expect(removed).toEqual([])
  // Perhaps somebody is to sign in there later.
  await closed(engine, 2)
  expect(told).toEqual([[2, { failed: { name: 'notFinished' } }]])
})
