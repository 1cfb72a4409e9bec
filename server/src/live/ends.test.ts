import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Ends } from './ends.ts'

const T = Date.UTC(2026, 0, 1)
const iso = (ms: number) => new Date(T + ms).toISOString()
const DAY = 24 * 3_600_000

let ended: string[]
let ends: Ends

beforeEach(() => {
  vi.useFakeTimers({ now: T })
  ended = []
  ends = new Ends((uri) => ended.push(uri))
})
afterEach(() => vi.useRealTimers())

test('tells of each end once, when it is there', () => {
  ends.expect('a', iso(2_000))
  ends.expect('b', iso(1_000))
  ends.expect('a', iso(2_000))
  vi.advanceTimersByTime(999)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(1)
  expect(ended).toEqual(['b'])
  vi.advanceTimersByTime(DAY)
  expect(ended).toEqual(['b', 'a'])
})

test('an end that is over, moves, goes, or is of nobody’s interest', () => {
  ends.expect('over', iso(-1))
  ends.expect('moved', iso(1_000))
  ends.expect('moved', iso(3_000))
  ends.expect('gone', iso(1_000))
  ends.expect('gone', undefined)
  ends.expect('unwatched', iso(1_000))
  ends.forget('unwatched')
  vi.advanceTimersByTime(2_000)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(1_000)
  expect(ended).toEqual(['moved'])
  expect(vi.getTimerCount()).toBe(0)
})

test('an end that is further away than a timer can wait', () => {
  ends.expect('far', iso(60 * DAY))
  vi.advanceTimersByTime(60 * DAY - 1)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(1)
  expect(ended).toEqual(['far'])
})

test('a clock that is put back makes no end come early', () => {
  ends.expect('a', iso(2_000))
  vi.setSystemTime(T - 5_000)
  vi.advanceTimersByTime(2_000)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(5_000)
  expect(ended).toEqual(['a'])
  ends.expect('b', iso(DAY))
  ends.stop()
  expect(vi.getTimerCount()).toBe(0)
})
