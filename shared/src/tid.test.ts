import { expect, test } from 'vitest'
import { datetimeOfTid, isTid, tid, timeOfTid } from './tid.ts'

test('tells its time, and sorts by it', () => {
  const time = Date.UTC(2026, 10, 24) * 1000 + 7
  const made = tid(time, 1023)
  expect(isTid(made)).toBe(true)
  expect(timeOfTid(made)).toBe(time)
  expect(datetimeOfTid(made)).toBe('2026-11-24T00:00:00.000007Z')
  expect(tid(time, 0) < made && made < tid(time + 1, 0)).toBe(true)
})

test.each(['', '3kabc', 'zzzzzzzzzzzzz', '3kaaaaaaaaaa1', 3])('is none: %s', (value) => {
  expect(isTid(value)).toBe(false)
})
