import { home } from '@pollz/shared/families'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../log.ts'
import type { News } from '../store/news.ts'
import { steadyNow } from '../steady.ts'
import { Feed } from './feed.ts'

const other = 'tech.tokimeki.poll.poll'

let stop: AbortController
let feed: Feed
/** What the database says; undefined: nothing. */
let news: News | undefined
let asked: (number | undefined)[]
let told: number[]
let replaced: number[]
let states: (string[] | undefined)[]

beforeEach(() => {
  vi.useFakeTimers()
  stop = new AbortController()
  news = {
    version: 5,
    tallies: new Map(),
    polls: new Map(),
    isTooMuch: false,
    beat: undefined,
    until: 0,
    complete: new Map(),
  }
  asked = []
  told = []
  replaced = []
  states = []
  feed = new Feed({
    read: async (after) => {
      asked.push(after)
      if (!news) throw new Error('it is away')
      return { ...news }
    },
    onNews: ({ version }) => told.push(version),
    onReplaced: (version) => replaced.push(version),
    onState: (collections) => states.push(collections && [...collections]),
    log: createLog('error'),
  })
  feed.follow(stop.signal)
})
afterEach(() => {
  stop.abort()
  vi.useRealTimers()
})

/** Lets the database say for so many ms that this process and whoever ingests are there. */
async function alive(ms: number): Promise<void> {
  for (let gone = 0; gone < ms; gone += 1_000) {
    if (news) news = { ...news, beat: steadyNow(), until: news.until + 1 }
    await vi.advanceTimersByTimeAsync(1_000)
  }
}

test('what is newer is asked for four times a second, and told once', async () => {
  await vi.advanceTimersByTimeAsync(1_000)
  expect(asked.slice(0, 5)).toEqual([undefined, 5, 5, 5, 5])
  news!.version = 8
  await vi.advanceTimersByTimeAsync(1_000)
  expect(told).toEqual([5, 8])
  expect(asked.at(-1)).toBe(8)
})

test('what was committed here after a quiet moment is told at once', async () => {
  await vi.advanceTimersByTimeAsync(1_000)
  news!.version = 6
  feed.hurry()
  await vi.advanceTimersByTimeAsync(0)
  expect(told.at(-1)).toBe(6)
  // Then the next waits for its turn.
  const looks = asked.length
  feed.hurry()
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toHaveLength(looks)
})

test('a commit is waited for until it can be read, or for three seconds', async () => {
  await vi.advanceTimersByTimeAsync(100)
  const reached = feed.reached(9)
  await vi.advanceTimersByTimeAsync(50)
  news!.version = 9
  await vi.advanceTimersByTimeAsync(20)
  expect(await reached).toBe(true)
  expect(told.at(-1)).toBe(9)
  const never = feed.reached(10)
  await vi.advanceTimersByTimeAsync(3_100)
  expect(await never).toBe(false)
})

test('a replica that is behind the one before is waited for; a database that stays behind was put back', async () => {
  await alive(1_000)
  news!.version = 3
  await alive(9_000)
  expect([told, replaced]).toEqual([[5], []])
  // Nothing that it says meanwhile is news of what is committed.
  expect(feed.staleSince).toBeDefined()
  news!.version = 6
  await alive(1_000)
  expect(told).toEqual([5, 6])
  expect(feed.staleSince).toBeUndefined()
  news!.version = 2
  await alive(12_000)
  expect(replaced).toEqual([2])
  news!.version = 7
  await alive(1_000)
  expect(told).toEqual([5, 6, 7])
})

test('it says since when the tallies may be old, and when they no longer are', async () => {
  await alive(3_000)
  const last = news!.beat
  const kept = news!
  news = undefined
  await vi.advanceTimersByTimeAsync(8_000)
  expect(feed.staleSince).toBe(last)
  expect(states).toEqual([undefined])
  news = { ...kept, version: 9 }
  await alive(1_000)
  expect(feed.staleSince).toBeUndefined()
  expect(states).toEqual([undefined, undefined])
  expect(told.at(-1)).toBe(9)
})

test('an answer that is a replica’s from before is old, however often it comes', async () => {
  await alive(3_000)
  const last = news!.beat
  await vi.advanceTimersByTimeAsync(8_000)
  expect(feed.staleSince).toBe(last)
})

test('votes may be missing where whoever ingests says so, or nobody does for a minute', async () => {
  await alive(1_000)
  expect([home.poll, other].map((it) => feed.isIncomplete(it))).toEqual([false, true])
  news!.complete = new Map([[other, true]])
  await alive(1_000)
  expect([home.poll, other].map((it) => feed.isIncomplete(it))).toEqual([false, false])
  expect(states).toEqual([[other]])
  news!.complete = new Map([
    [other, true],
    [home.poll, false],
  ])
  await alive(1_000)
  expect([home.poll, other].map((it) => feed.isIncomplete(it))).toEqual([true, false])
  news!.complete = new Map([[other, true]])
  // The lease is not renewed any more.
  const { until } = news!
  for (let s = 0; s < 65; s++) {
    await alive(1_000)
    news!.until = until
  }
  expect([home.poll, other].map((it) => feed.isIncomplete(it))).toEqual([true, true])
})

test('after so much news any poll may be another, and it goes on', async () => {
  await alive(1_000)
  news = { ...news!, version: 8, isTooMuch: true }
  await alive(1_000)
  news = { ...news!, version: 9, isTooMuch: false }
  await alive(1_000)
  expect([told, replaced]).toEqual([[5, 9], [8]])
})
