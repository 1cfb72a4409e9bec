/** When votes may be missing, and for which families. */
import { families, familyOfPoll, home, type Family } from '@pollz/shared/families'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Coverage, type CoverageOptions } from './coverage.ts'

const others = families.filter(({ poll }) => poll !== home.poll)
const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
const MINUTE = 60_000

let stop: AbortController
/** what was kept, one after the other */
let kept: [Family, boolean][]
let jetstream: { since: number; until: number | undefined }
/** ms since 1970; undefined: a walk never ended */
let known: number | undefined
let connected: boolean

beforeEach(() => {
  vi.useFakeTimers()
  stop = new AbortController()
  kept = []
  jetstream = { since: Date.now() * 1000, until: undefined }
  known = undefined
  connected = true
})

afterEach(() => {
  stop.abort()
  vi.useRealTimers()
})

function cover(more: Partial<CoverageOptions> = {}): Coverage {
  const coverage = new Coverage({
    jetstream,
    history: { knownUntil: (family) => (family === families[0] ? Number.POSITIVE_INFINITY : known) },
    tapConnected: () => connected,
    remember: async (...it) => kept.push(it) > 0,
    ...more,
  })
  coverage.follow(stop.signal)
  return coverage
}

const incomplete = (coverage: Coverage) => families.filter((family) => coverage.isIncomplete(family))

/** Jetstream told something a moment ago, and a relay named who had voted before. */
async function complete(coverage: Coverage): Promise<void> {
  jetstream.until = Date.now() * 1000
  known = Date.now()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(incomplete(coverage)).toEqual([])
}

test('the other families are complete once Jetstream has told something and a relay has named the rest', async () => {
  const coverage = cover()
  expect(incomplete(coverage)).toEqual(others)
  known = Date.now()
  await vi.advanceTimersByTimeAsync(1_000)
  // A connection on which nothing was told does not count.
  expect(incomplete(coverage)).toEqual(others)
  await complete(coverage)
  // Said once of each state, and at first of all.
  expect(kept).toEqual([
    ...families.map((family) => [family, family.poll === home.poll]),
    ...others.map((family) => [family, true]),
  ])
})

test('hints that wait, or an instance that falls silent, make them incomplete after a moment', async () => {
  const coverage = cover()
  await complete(coverage)
  await vi.advanceTimersByTimeAsync(4 * MINUTE)
  expect(incomplete(coverage)).toEqual([])
  await vi.advanceTimersByTimeAsync(2 * MINUTE)
  expect(incomplete(coverage)).toEqual(others)
  expect(kept.slice(-others.length)).toEqual(others.map((family) => [family, false]))
})

test('a walk that began before a gap names nobody who voted in it', async () => {
  const coverage = cover()
  await complete(coverage)
  jetstream.since = (known! + 1) * 1000
  await vi.advanceTimersByTimeAsync(1_000)
  expect(incomplete(coverage)).toEqual(others)
  known = jetstream.since / 1000
  await vi.advanceTimersByTimeAsync(1_000)
  expect(incomplete(coverage)).toEqual([])
})

test('a family is complete by itself', async () => {
  const coverage = cover({
    history: { knownUntil: (family) => (family === tokimeki ? undefined : Date.now()) },
  })
  jetstream.until = Date.now() * 1000
  await vi.advanceTimersByTimeAsync(1_000)
  expect(incomplete(coverage)).toEqual([tokimeki])
})

test('with no tap, and with one that is away for more than a minute, votes may be missing in all', async () => {
  const none = cover({ tapConnected: undefined })
  expect(incomplete(none)).toEqual(families)
  const coverage = cover()
  await complete(coverage)
  expect(incomplete(none)).toEqual(families)
  connected = false
  await vi.advanceTimersByTimeAsync(MINUTE - 2_000)
  expect(incomplete(coverage)).toEqual([])
  await vi.advanceTimersByTimeAsync(4_000)
  expect(incomplete(coverage)).toEqual(families)
  connected = true
  await vi.advanceTimersByTimeAsync(1_000)
  expect(incomplete(coverage)).toEqual([])
})

test('without a relay nobody knows who had voted before', async () => {
  const coverage = cover({ history: undefined })
  jetstream.until = Date.now() * 1000
  await vi.advanceTimersByTimeAsync(1_000)
  expect(incomplete(coverage)).toEqual(others)
})

test('what could not be kept is kept later', async () => {
  let fails = true
  cover({ remember: async (...it) => !fails && kept.push(it) > 0 })
  await vi.advanceTimersByTimeAsync(3_000)
  expect(kept).toEqual([])
  fails = false
  await vi.advanceTimersByTimeAsync(1_000)
  expect(kept.map(([family]) => family)).toEqual(families)
})
