/**
 * Random histories against the oracle, for every family: records of a few accounts, made, changed, moved, deleted, made
 * again, invalid, with one choice or several; polls of one family or several, whose options, end and kind change;
 * delivered in any order, late, twice, in batches of any size, with accounts that come and go.
 */
import type { Client } from '@libsql/client'
import { families, type Family } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyDatabase, isRemote } from '../../test/database.ts'
import { Oracle } from '../../test/oracle.ts'
import { CID, T0, identityMessage, iso, pollRecordIn, recordMessage } from '../../test/records.ts'
import { ACCOUNT_STATUSES, readEvent, uriOf, type Change } from '../ingest/events.ts'
import { apply } from './counting/apply.ts'
import { openDatabase } from './database.ts'
import { migrate } from './migrations.ts'
import { countedRecords, findPoll, historyOf, votesOf } from './queries.ts'
import { recount } from './recount.ts'

/** Enough for each rule, broken, to be caught. */
const HISTORIES = isRemote ? 1_000 : 10_000
const PER_RUN = 25

/** Times are steps of a second: ends fall on them and between them. */
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
      // of the family of another poll: then it names none
      collectionOf: fc.option(whichPoll, { freq: 2 }),
      // under some poll's own key, not always that of the poll it names, or one of its own
      key: fc.oneof(whichPoll, fc.constantFrom('a', 'zz')),
      // null: it is deleted
      choices: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }).map((option) => [option]) },
        { weight: 4, arbitrary: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 2, maxLength: 4 }) },
        fc.constantFrom(null, [300], [-1], [0, 11], [0, 1, -1]),
      ),
      // its options do not begin with its option
      misfit: fc.nat(9).map((n) => n === 0),
      createdAt: step,
      rev: step,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('poll' as const),
      poll: whichPoll,
      options: fc.constantFrom<string[] | null>(
        ['a', 'b'],
        ['a', 'b', 'c'],
        ['a', 'b', 'c'],
        ['c', 'd'],
        ['only one'],
        null,
      ),
      endsAt: fc.option(fc.tuple(step, fc.constantFrom(0, 500_000)), { freq: 2 }),
      multiple: fc.boolean(),
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

/** Of a poll; those with more to them more often. */
const family = fc.oneof(
  { weight: 4, arbitrary: fc.constant(families[0]!) },
  { weight: 4, arbitrary: fc.constantFrom(...families.filter(({ together }) => together)) },
  { weight: 2, arbitrary: fc.constantFrom(...families) },
)

/** Events in the order of delivery, each with the batch it ends, if it ends one. */
const history = fc.array(event, { minLength: 1, maxLength: 25, size: 'max' }).chain((events) =>
  fc.record({
    // late, twice, or not at all, on top of the random revs; the same content by another rev, live or by a proof
    delivered: fc.array(
      fc.record({ i: fc.nat(events.length - 1), rev: fc.option(step, { freq: 2 }), live: fc.boolean() }),
      { minLength: 1, maxLength: 30, size: 'max' },
    ),
    // of the polls, mostly the same
    of: fc.oneof(
      { weight: 3, arbitrary: family.map((it) => [it, it, it]) },
      { weight: 1, arbitrary: fc.tuple(family, family).map(([a, b]) => [a, a, b]) },
    ),
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

/** `of`: the polls' families */
type Names = { voters: string[]; author: string; polls: string[]; of: Family[] }

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
      const [, , did, collection, rkey] = names.polls[it.poll]!.split('/') as [
        string,
        string,
        string,
        string,
        string,
      ]
      const { options, multiple } = it
      const family = names.of[it.poll]!
      const endsAt = it.endsAt === null ? undefined : at(it.endsAt[0]) + it.endsAt[1]
      const record = options && pollRecordIn(family, { options, multiple, endsAt, time: at(it.rev) })
      const change = read(
        recordMessage({ did, collection, rkey, rev: tid(at(it.rev)), live, ...versionOf(record) }),
      )
      // No family has both, yet the rules have to bear one that does.
      if (family.together && change.type === 'poll' && change.poll && endsAt !== undefined)
        change.poll = { ...change.poll, endsAt: iso(endsAt) }
      return change
    }
    case 'vote': {
      const { collection, record } = voteIn(it, names)
      const rkey =
        typeof it.key === 'string'
          ? // Some records say by it when they were made.
            tid(at(it.createdAt), it.key === 'a' ? 0 : 1)
          : voteRkey(names.polls[it.key]!)
      const did = names.voters[it.voter]!
      const change = read(
        recordMessage({ did, collection, rkey, rev: tid(at(it.rev)), live, ...versionOf(record) }),
      )
      // What a proof says of a record that is gone.
      return change.type === 'account' || live || it.choices ? change : { ...change, onlyIfHeld: true }
    }
    default:
      return it satisfies never
  }
}

const versionOf = (record: unknown) =>
  record === null ? { action: 'delete' as const } : { action: 'create' as const, record }

/** A record as the family's clients write it, but for what is wrong with it. */
function voteIn(
  { choices, collectionOf, misfit, poll, createdAt }: Event & { type: 'vote' },
  { of, polls }: Names,
): { collection: string; record: object | null } {
  const family = of[collectionOf ?? poll]!
  const [first = 0] = choices ?? []
  const collection = family.together ? family.votes[Math.max(0, first) % 4]!.nsid : family.votes[0]!.nsid
  if (!choices) return { collection, record: null }
  const draft = {
    poll: { uri: polls[poll]!, cid: CID },
    choices: family.together ? [Math.max(0, first) % 4] : choices,
    createdAt: iso(at(createdAt)),
  }
  const { record } = family.writeVote(draft)[0]!
  return { collection, record: misfit ? { ...record, option: first + 1, options: [first] } : record }
}

test(`${HISTORIES} histories are counted as the oracle counts them`, { timeout: 600_000 }, async () => {
  // Several histories share a run, and so its batches: they have no account in common.
  const property = fc.asyncProperty(
    fc.array(history, { minLength: PER_RUN, maxLength: PER_RUN }),
    async (histories) => {
      const oracle = new Oracle()
      const all = histories.map(({ events, delivered, cuts, of }) => {
        run++
        const author = `did:plc:author${run}`
        const names = {
          author,
          voters: [0, 1, 2].map((i) => `did:plc:voter${run}x${i}`),
          polls: of.map((family, i) => `at://${author}/${family.poll}/${tid(at(i * 3))}`),
          of,
        }
        // One version of a record is one content: what has the same rev is the same event.
        const seen = new Map<string, Event>()
        const changes = delivered.map(({ i, rev, live }) => {
          const made = events[i]!
          const it = made.type === 'vote' && rev !== null ? { ...made, rev } : made
          const change = toChange(it, live, names)
          if (change.type === 'account') return change
          const version = `${uriOf(change)} ${change.rev}`
          const first = seen.get(version) ?? it
          seen.set(version, first)
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
          const { voters = found.poll.total } = found.poll
          expect({ poll, voters }).toEqual({ poll, voters: oracle.voters(poll).size })
          expect({ poll, edited: found.poll.edited }).toEqual({ poll, edited: oracle.edited(poll) })
          const history = await historyOf(client, poll)
          expect({ poll, last: history?.counts.at(-1) ?? found.poll.options.map(() => 0) }).toEqual({
            poll,
            last: counts,
          })
          const { records } = await countedRecords(client, poll, 100, 0)
          expect({
            poll,
            records: records.map(({ uri, castAt }) => `${uri} ${Date.parse(castAt)}`).toSorted(),
          }).toEqual({
            poll,
            records: oracle
              .choices(poll)
              .map(({ uri, cast }) => `${uri} ${Math.floor(cast / 1000)}`)
              .toSorted(),
          })
          const listed = (await votesOf(client, poll, 100, undefined, undefined)).items
          const expected = Map.groupBy(oracle.choices(poll), ({ voter }) => voter)
          expect(new Set(listed.map(({ uri, option, options = [option] }) => `${uri} ${options}`))).toEqual(
            new Set(
              [...expected.values()].map((choices) => {
                const sorted = choices.toSorted((a, b) => a.choices[0]! - b.choices[0]!)
                return `${sorted[0]!.uri} ${sorted.flatMap((it) => it.choices)}`
              }),
            ),
          )
          expect(listed).toHaveLength(expected.size)
        }
      }
    },
  )
  await fc.assert(property, { numRuns: HISTORIES / PER_RUN, endOnFailure: true })
  expect(await recount(client)).toEqual([])
})
