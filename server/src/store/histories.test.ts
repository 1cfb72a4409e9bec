/**
 * Random histories against the oracle: records of a few accounts, made, changed, moved, deleted, made again, invalid;
 * delivered in any order, late, twice, in batches of any size, with accounts that come and go.
 */
import type { Client } from '@libsql/client'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyDatabase, isRemote } from '../../test/database.ts'
import { Oracle } from '../../test/oracle.ts'
import { T0, identityMessage, iso, pollEvent, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { ACCOUNT_STATUSES, readEvent, type Change } from '../ingest/events.ts'
import { apply } from './counting/apply.ts'
import { openDatabase } from './database.ts'
import { migrate } from './migrations.ts'
import { findPoll, votesOf } from './queries.ts'
import { recount } from './recount.ts'

/** Enough for each rule, broken, to be caught. */
const HISTORIES = isRemote ? 1_000 : 10_000
const PER_RUN = 25

/** Times are steps of a second, so that ends in whole milliseconds fall between them. */
const at = (step: number) => T0 + step * 1_000_000

const step = fc.integer({ min: 0, max: 12 })
const voter = fc.integer({ min: 0, max: 2 })
const whichPoll = fc.integer({ min: 0, max: 2 })

const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('vote' as const),
      voter,
      poll: whichPoll,
      // under some poll's own key, not always that of the poll it names, or one of its own
      key: fc.oneof(whichPoll, fc.constantFrom('a', 'zz')),
      option: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }) },
        fc.constantFrom(null, 300, -1),
      ),
      createdAt: step,
      rev: step,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('poll' as const),
      poll: whichPoll,
      options: fc.constantFrom<string[] | null>(['a', 'b'], ['a', 'b', 'c'], ['c', 'd'], ['only one'], null),
      endsAt: fc.option(step),
      rev: step,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('account' as const),
      // authors are accounts as well
      account: fc.constantFrom(0, 1, 2, 'author'),
      status: fc.constantFrom(...ACCOUNT_STATUSES, 'deleted', 'active', 'active'),
    }),
  },
)

/** Events in the order of delivery, each with the batch it ends, if it ends one. */
const history = fc.array(event, { minLength: 1, maxLength: 25, size: 'max' }).chain((events) =>
  fc.record({
    // late, twice, or not at all, on top of the random revs; the same content by another rev, live or by a proof
    delivered: fc.array(
      fc.record({ i: fc.nat(events.length - 1), rev: fc.option(step, { freq: 2 }), live: fc.boolean() }),
      { minLength: 1, maxLength: 30, size: 'max' },
    ),
    // Votes by a family whose polls can end.
    ends: fc.boolean(),
    cuts: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
    events: fc.constant(events),
  }),
)

let database: Awaited<ReturnType<typeof emptyDatabase>>
let client: Client
let run = 0

beforeAll(async () => {
  database = await emptyDatabase()
  client = await openDatabase(database)
  await migrate(client)
  // A test of counting, not of the disk.
  if (!isRemote) await client.execute('PRAGMA synchronous = OFF')
})
afterAll(async () => {
  client.close()
  await database.close()
})

type Event = typeof event extends fc.Arbitrary<infer T> ? T : never

type Names = { voters: string[]; author: string; polls: string[]; ends: boolean }

function toChange(it: Event, live: boolean, names: Names): Change {
  const read = (message: string) => {
    const { change } = readEvent(message)
    if (!change) throw new Error(`no change: ${message}`)
    return change
  }
  switch (it.type) {
    case 'account':
      return read(
        identityMessage(
          it.account === 'author' ? names.author : names.voters[it.account as number]!,
          it.status,
        ),
      )
    case 'poll': {
      const change = read(recordMessage(pollEvent(names.polls[it.poll]!, it.options, at(it.rev))))
      if (change.type === 'poll' && change.poll && it.endsAt !== null && names.ends)
        change.poll = { ...change.poll, endsAt: iso(at(it.endsAt) + 500_000) }
      return change
    }
    case 'vote': {
      const { rkey } = voteEvent(
        '',
        names.polls[typeof it.key === 'number' ? it.key : 0]!,
        0,
        0,
        typeof it.key === 'string' ? { rkey: it.key } : {},
      )
      const voting = voteEvent(names.voters[it.voter]!, names.polls[it.poll]!, it.option, at(it.rev), {
        rkey,
        createdAt: at(it.createdAt),
      })
      const change = read(recordMessage(voting))
      if (change.type !== 'vote') return change
      if (change.vote) change.vote = { ...change.vote, seenLive: live, ends: names.ends }
      // What a proof says of a record that is gone.
      return change.vote || live ? change : { ...change, onlyIfHeld: true }
    }
    default:
      return it satisfies never
  }
}

test(`${HISTORIES} histories are counted as the oracle counts them`, { timeout: 600_000 }, async () => {
  // Several histories share a run, and so its batches: they have no account in common.
  const property = fc.asyncProperty(
    fc.array(history, { minLength: PER_RUN, maxLength: PER_RUN }),
    async (histories) => {
      const oracle = new Oracle()
      const all = histories.map(({ events, delivered, cuts, ends }) => {
        run++
        const author = `did:plc:author${run}`
        const names = {
          author,
          voters: [0, 1, 2].map((i) => `did:plc:voter${run}x${i}`),
          polls: [0, 1, 2].map((i) => pollUri(author, `poll${i}`)),
          ends,
        }
        // One version of a record is one content: what has the same rev is the same event.
        const seen = new Map<string, Event>()
        const changes = delivered.map(({ i, rev, live }) => {
          const made = events[i]!
          if (made.type === 'account') return toChange(made, live, names)
          const it = made.type === 'vote' && rev !== null ? { ...made, rev } : made
          const id = it.type === 'vote' ? `${it.voter} ${it.key} ${it.rev}` : `${it.poll} ${it.rev}`
          const first = seen.get(`${it.type} ${id}`) ?? it
          seen.set(`${it.type} ${id}`, first)
          return toChange(first, live, names)
        })
        return { names, changes, cuts }
      })

      for (let i = 0; i < 30; i++) {
        const batch: Change[] = []
        for (const { changes, cuts } of all) {
          // Each history takes its next events up to its next cut.
          do {
            const change = changes.shift()
            if (!change) break
            oracle.deliver(change)
            batch.push(change)
          } while (!cuts.shift())
        }
        if (batch.length > 0) await apply(client, batch, [])
      }

      for (const { names } of all) {
        for (const poll of names.polls) {
          const found = await findPoll(client, poll)
          const counts = found.state === 'there' ? found.poll.options.map(({ count }) => count) : found.state
          expect({ poll, counts }).toEqual({ poll, counts: oracle.counts(poll) })
          if (found.state !== 'there') continue
          expect({ poll, edited: found.poll.edited }).toEqual({ poll, edited: oracle.edited(poll) })
          const listed = (await votesOf(client, poll, 100, undefined, undefined)).items
          const expected = [...oracle.choices(poll).values()].filter(({ option }) => option < counts.length)
          expect(new Set(listed.map(({ uri, option }) => `${uri} ${option}`))).toEqual(
            new Set(expected.map((it) => `at://${it.voter}/tech.waow.vote/${it.rkey} ${it.option}`)),
          )
        }
      }
    },
  )
  await fc.assert(property, { numRuns: HISTORIES / PER_RUN, endOnFailure: true })
  expect(await recount(client)).toEqual([])
})
