import type { PollView } from '@pollz/shared/wire'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { Busiest } from './busiest.ts'

/** Polls as a database has them: votes, by at-uri. */
type Votes = Map<string, number>

const most = (votes: Votes, limit: number, uris: Iterable<string> = votes.keys()) =>
  [...uris]
    .flatMap((uri) => (votes.get(uri) ? [{ uri, votes: votes.get(uri)! }] : []))
    .toSorted((a, b) => b.votes - a.votes || (a.uri < b.uri ? 1 : -1))
    .slice(0, limit)

function busiestOf(votes: Votes) {
  const looks = { all: 0 }
  const busiest = new Busiest({
    scan: async (_, limit) => {
      looks.all++
      return most(votes, limit)
    },
    read: async (limit, _, uris) =>
      most(votes, limit, uris).map(({ uri, votes: total }) => ({ uri, total }) as PollView),
  })
  const change = (uri: string, n: number) => {
    votes.set(uri, n)
    busiest.apply({ tallies: new Map([[uri, { counts: new Map([[0, n]]), edited: false, version: 1 }]]) })
  }
  return { busiest, change, looks }
}

const uriOf = (i: number) => `at://did:plc:a/tech.waow.poll/${String(i).padStart(5, '0')}`

test('the list is the one that all polls give, whatever changes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(2_999), fc.nat(5_000)), { minLength: 1, maxLength: 60 }),
      async (changes) => {
        const votes: Votes = new Map(Array.from({ length: 3_000 }, (_, i) => [uriOf(i), i]))
        const { busiest, change, looks } = busiestOf(votes)
        for (const [i, n] of [[0, 0] as const, ...changes]) {
          change(uriOf(i), n)
          const listed = (await busiest.list(10, 0)).map(({ uri, total }) => ({ uri, votes: total }))
          expect(listed.map((it) => it.votes)).toEqual(most(votes, 10).map((it) => it.votes))
        }
        expect(looks.all).toBe(1)
      },
    ),
    { numRuns: 50 },
  )
})

test('a poll that grows while all are looked at is among them', async () => {
  const votes: Votes = new Map(Array.from({ length: 3_000 }, (_, i) => [uriOf(i), i]))
  let go = () => {}
  const waits = new Promise<void>((resolve) => (go = resolve))
  const busiest = new Busiest({
    scan: async (_, limit) => {
      const found = most(votes, limit)
      await waits
      return found
    },
    read: async (limit, _, uris) =>
      most(votes, limit, uris).map(({ uri, votes: total }) => ({ uri, total }) as PollView),
  })
  const listed = busiest.list(10, 0)
  votes.set(uriOf(1), 9_000)
  busiest.apply({
    tallies: new Map([[uriOf(1), { counts: new Map([[0, 9_000]]), edited: false, version: 1 }]]),
  })
  go()
  expect((await listed)[0]).toMatchObject({ uri: uriOf(1) })
})

test('where those that had the most lose them, all are looked at again, after a minute', async () => {
  vi.useFakeTimers()
  try {
    const votes: Votes = new Map(Array.from({ length: 3_000 }, (_, i) => [uriOf(i), i]))
    const { busiest, change, looks } = busiestOf(votes)
    await busiest.list(10, 0)
    for (let i = 1_900; i < 3_000; i++) change(uriOf(i), 0)
    vi.advanceTimersByTime(61_000)
    expect((await busiest.list(10, 0)).map(({ total }) => total)).toEqual(
      most(votes, 10).map((it) => it.votes),
    )
    expect(looks.all).toBe(2)
  } finally {
    vi.useRealTimers()
  }
})

test('of few polls all are known, also when one of them gets its first vote', async () => {
  const { busiest, change, looks } = busiestOf(new Map())
  expect(await busiest.list(10, 0)).toEqual([])
  change(uriOf(1), 1)
  expect(await busiest.list(10, 0)).toMatchObject([{ uri: uriOf(1), total: 1 }])
  expect(looks.all).toBe(1)
})
