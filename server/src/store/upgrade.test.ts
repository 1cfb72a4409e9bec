/** A newer server takes over the database of every release before it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { tid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import { emptyDatabase, loadRelease, releases } from '../../test/database.ts'
import { T0, iso, pollEvent, pollUri, recordMessage, voteEvent } from '../../test/records.ts'
import { CHOICES, IS_EARLY } from './counting/rules.ts'
import { openDatabase } from './database.ts'
import { hiddenAfter } from './hidden.ts'
import { SCHEMA, migrate } from './migrations.ts'
import { busiestPolls, findPoll, newestPolls, votesOf } from './queries.ts'
import { recount } from './recount.ts'
import { Writer } from '../writer.ts'

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
const edited = pollUri('did:plc:bob', '3kcccccccccc2')

let database: Awaited<ReturnType<typeof emptyDatabase>>

beforeEach(async () => (database = await emptyDatabase()))
afterEach(() => database.close())

describe.each(releases)('%s', (release) => {
  test('is taken over with every count as it was, and goes on', async () => {
    await loadRelease(release, database)
    const store = await Writer.open(database)
    const counts = async (uri: string) => {
      const found = await findPoll(store.reader, uri)
      return found.state === 'there' ? found.poll.options.map(({ count }) => count) : found.state
    }
    expect(await counts(tea)).toEqual([5, 6])
    expect(await counts(edited)).toEqual([7, 6])
    expect(await findPoll(store.reader, edited)).toMatchObject({
      poll: { edited: true, handle: 'bob.example' },
    })
    expect(await recount(store.reader)).toEqual([])
    expect((await votesOf(store.reader, tea, 100, undefined, undefined)).items).toHaveLength(11)
    await store.storeMessages([recordMessage(voteEvent('did:plc:new', tea, 0, T0 + 1_000_000))])
    expect(await counts(tea)).toEqual([6, 6])
    await store.close()
  })
})

describe('what only release 0.2.0 has', () => {
  /** The polls of its fixture, by what became of them. */
  const polls = {
    tea,
    edited,
    deleted: pollUri('did:plc:alice', '3kbbbbbbbbbb2'),
    editedBeforeItsFirstVote: pollUri('did:plc:alice', '3kdddddddddd2'),
    /** its votes before that are deleted, moved, made anew, of no option, older than the poll, of nobody active */
    editedAfterWhatDoesNotCount: pollUri('did:plc:alice', '3keeeeeeeeee2'),
    editedWithItsTime: pollUri('did:plc:alice', '3kffffffffff2'),
    /** and before that a vote that says it is from the year 1 */
    editedWithItsTimeAfterAnAncientVote: pollUri('did:plc:alice', '3kgggggggggg2'),
    ended: pollUri('did:plc:bob', '3khhhhhhhhhh2'),
    endsIn9999: pollUri('did:plc:bob', '3kiiiiiiiiii2'),
    madeInTheYear1: pollUri('did:plc:carol', '3kjjjjjjjjjj2'),
    ofSomebodyInactive: pollUri('did:plc:dave', '3kkkkkkkkkkk2'),
    ofSomebodyDeleted: pollUri('did:plc:erin', '3kllllllllll2'),
    neverSeen: pollUri('did:plc:carol', '3kmmmmmmmmmm2'),
    /** of the years 1, 2, 2090 and 2300, some by the same voter */
    withVotesOfAnyTime: pollUri('did:plc:alice', '3knnnnnnnnnn2'),
    ofAnotherFamily: 'at://did:plc:carol/tech.waow.pollz.poll/3koooooooooo2',
  }
  const versionsSql = `SELECT p.uri, max(p.version, coalesce((SELECT max(version) FROM tallies WHERE poll = p.id), 0)) AS version FROM polls p`

  let store: Writer
  let before: Map<string, number>

  const versions = async () => {
    const { rows } = await store.reader.execute(versionsSql)
    return new Map(rows.map((row) => [String(row['uri']), Number(row['version'])]))
  }

  beforeEach(async () => {
    await loadRelease('release-0.2.0-of-any-time.sql', database)
    const client = await openDatabase(database)
    const { rows } = await client.execute(versionsSql)
    before = new Map(rows.map((row) => [String(row['uri']), Number(row['version'])]))
    client.close()
    store = await Writer.open(database)
  })
  afterEach(() => store.close())

  test('every poll is what it was, and edited is what C7 says', async () => {
    const found: Record<string, unknown> = {}
    for (const [name, uri] of Object.entries(polls)) {
      const { poll, ...state } = { poll: undefined, ...(await findPoll(store.reader, uri)) }
      found[name] = poll ? [poll.options.map(({ count }) => count), poll.edited] : state
    }
    expect(found).toEqual({
      tea: [[5, 6], false],
      edited: [[7, 6], true],
      deleted: { state: 'gone', deleted: true },
      editedBeforeItsFirstVote: [[1, 2], false],
      editedAfterWhatDoesNotCount: [[1, 1], false],
      editedWithItsTime: [[1, 1], true],
      // How old it is nothing says any more.
      editedWithItsTimeAfterAnAncientVote: [[1, 1], expect.any(Boolean)],
      ended: [[1, 2], false],
      endsIn9999: [[1, 0], false],
      madeInTheYear1: [[1, 1], false],
      ofSomebodyInactive: { state: 'inactive', status: 'deactivated' },
      ofSomebodyDeleted: { state: 'inactive', status: 'deleted' },
      neverSeen: { state: 'unknown' },
      // The years 1 and 2 are the same time now: of that voter's two votes the greater key counts (C2).
      withVotesOfAnyTime: [[1, 3], false],
      ofAnotherFamily: [[0, 1], false],
    })
    const { rows } = await store.reader.execute(
      `SELECT t.poll, t.option, t.early, (
          SELECT count(*) FROM polls p CROSS JOIN ${CHOICES} c ON c.poll = p.id
          WHERE p.id = t.poll AND c.option = t.option AND ${IS_EARLY}) AS rule FROM tallies t`,
    )
    expect(rows.filter((row) => row['early'] !== row['rule'])).toEqual([])
    expect(rows.some((row) => Number(row['early']) > 0)).toBe(true)
    expect(await recount(store.reader)).toEqual([])
  })

  test('its times can be read, all of them, and so can its lists', async () => {
    const { items } = await newestPolls(store.reader, 100, undefined)
    expect(items).toHaveLength(11)
    expect(items.at(-1)).toMatchObject({ uri: polls.madeInTheYear1, createdAt: '0001-01-01T00:00:00Z' })
    expect(items.find(({ uri }) => uri === polls.endsIn9999)).toMatchObject({
      endsAt: expect.stringMatching(/^2255-/),
    })
    const pages: string[] = []
    for (let cursor: string | undefined; ;) {
      const page = await newestPolls(store.reader, 3, cursor)
      pages.push(...page.items.map(({ uri }) => uri))
      if ((cursor = page.cursor) === undefined) break
    }
    expect(pages).toEqual(items.map(({ uri }) => uri))
    expect((await busiestPolls(store.reader, 100, T0 - 1)).map(({ uri }) => uri)).toContain(edited)
    const { items: votes } = await votesOf(store.reader, polls.withVotesOfAnyTime, 100, undefined, undefined)
    expect(votes.map(({ createdAt }) => createdAt.slice(0, 4))).toEqual(['2026', '1684', '1684', '2255'])
    // Nor is there any other number that can't be: whoever moves the database reads them all.
    for (const table of ['accounts', 'polls', 'votes', 'tallies', 'state'])
      await store.reader.execute(`SELECT * FROM ${table}`)
    expect(await hiddenAfter(store.reader, 0)).toMatchObject([
      { subject: polls.withVotesOfAnyTime, hidden: true, reason: "it's against the rules" },
      { subject: 'did:plc:voter9', hidden: true },
      { subject: 'did:plc:voter9', hidden: false },
    ])
  })

  test('versions go on growing, also after a clock that was ahead', async () => {
    const taken = await versions()
    for (const [uri, version] of before) expect(taken.get(uri)).toBeGreaterThanOrEqual(version)
    // Somebody may have the counts of before.
    const changed = polls.withVotesOfAnyTime
    expect(taken.get(changed)).toBeGreaterThan(before.get(changed)!)
    const greatest = Math.max(...taken.values())
    expect(greatest).toBeGreaterThan(Date.now())
    await store.storeMessages([
      recordMessage(voteEvent('did:plc:new', polls.ended, 0, T0 + 1)),
      recordMessage(voteEvent('did:plc:new', tea, 0, T0 + 1_000_000)),
    ])
    const after = await versions()
    for (const uri of [polls.ended, tea]) expect(after.get(uri)).toBeGreaterThan(greatest)
  })
})

test('what only release 0.5.0 has: several choices, records for each, other families', async () => {
  await loadRelease('release-0.5.0.sql', database)
  const store = await Writer.open(database)
  const told = async (nsid: string, rkey: string) => {
    const found = await findPoll(store.reader, `at://did:plc:carol/${nsid}/${rkey}`)
    return found.state === 'there'
      ? [found.poll.options.map(({ count }) => count), found.poll.voters]
      : found.state
  }
  expect(await told('app.reddwarf.embed.poll', '3kttttttttttt')).toEqual([[6, 3, 3], 6])
  expect(await told('tech.tokimeki.poll.poll', '3kuuuuuuuuuuu')).toEqual([[2, 2, 2], undefined])
  expect(await recount(store.reader)).toEqual([])
  await store.close()
})

describe('what only release 0.3.0 has', () => {
  /** Polls of its fixture. It took any text in a poll's `endsAt` for its end, which no lexicon had. */
  const ended = pollUri('did:plc:carol', '3kppppppppppp')
  const endless = pollUri('did:plc:carol', '3kqqqqqqqqqqq')
  const editedWithAnEnd = pollUri('did:plc:carol', '3krrrrrrrrrrr')

  const END = T0 + 20_000_000

  const poll = (uri: string, options: string[], time: number, more: object = {}) => {
    const event = pollEvent(uri, options, time)
    return recordMessage({ ...event, record: { ...(event.record as object), ...more } })
  }

  test('polls that end have the counts that they had, and go on', async () => {
    await loadRelease('release-0.3.0.sql', database)
    const store = await Writer.open(database)
    const told = async (uri: string) => {
      const found = await findPoll(store.reader, uri)
      return found.state === 'there'
        ? [found.poll.options.map(({ count }) => count), found.poll.edited]
        : found.state
    }
    expect(await told(ended)).toEqual([[2, 2], false])
    expect(await told(endless)).toEqual([[1, 1, 1], false])
    expect(await told(editedWithAnEnd)).toEqual([[1, 0], true])
    expect(await recount(store.reader)).toEqual([])

    // A vote that is too late, the poll again, and the same end in other words: nothing of that is an edit.
    await store.storeMessages([
      recordMessage(voteEvent('did:plc:late', ended, 0, END + 1)),
      poll(ended, ['yes', 'no'], T0 + 60_000_000, {
        createdAt: iso(T0),
        endsAt: '2026-01-01T01:00:20+01:00',
      }),
    ])
    expect(await told(ended)).toEqual([[2, 2], false])
    // Where no end was known, when a vote was cast is known from its commit, or from its date.
    await store.storeMessages([
      poll(endless, ['yes', 'no', 'perhaps'], T0 + 60_000_000, {
        createdAt: iso(T0),
        endsAt: iso(T0 + 9_500_000),
      }),
    ])
    expect(await told(endless)).toEqual([[0, 0, 0], false])
    await store.storeMessages([
      poll(endless, ['yes', 'no', 'perhaps'], T0 + 61_000_000, {
        createdAt: iso(T0),
        endsAt: iso(T0 + 11_000_000),
      }),
    ])
    expect(await told(endless)).toEqual([[1, 0, 1], true])
    expect(await recount(store.reader)).toEqual([])
    await store.close()
  })
})

test('a vote that schema 3 read again by a later proof is in time for an end that its poll gets afterwards', async () => {
  const DAY = 86_400_000_000
  const poll = (rev: number, endsAt: number) => {
    const event = pollEvent(tea, ['yes', 'no'], rev)
    const record = { ...(event.record as object), createdAt: iso(T0), endsAt: iso(endsAt) }
    return recordMessage({ ...event, record })
  }
  const client = await openDatabase(database)
  await migrate(client, 3)
  await client.batch(
    [
      `INSERT INTO accounts (id, did) VALUES (1, 'did:plc:alice'), (2, 'did:plc:early'), (3, 'did:plc:live')`,
      {
        sql: `INSERT INTO polls (id, uri, vote_rkey, author, rev, text, options, created_at, made, options_hash, first_made)
          VALUES (1, ?, ?, 1, ?, '"?"', '["yes","no"]', ?, ?, 'h', ?)`,
        args: [tea, voteRkey(tea), tid(T0), iso(T0), T0, T0],
      },
      {
        // Both were seen live, a second after they were made; the first was read again on day 10.
        sql: `INSERT INTO votes (poll, voter, family, rkey, option, made, rev, cast_at)
          VALUES (1, 2, 0, '', 0, ?1, ?2, 0), (1, 3, 0, '', 1, ?1, ?3, 0)`,
        args: [T0 + DAY, tid(T0 + 10 * DAY), tid(T0 + DAY + 1_000_000)],
      },
      `INSERT INTO tallies (poll, option, n, version) VALUES (1, 0, 1, 1), (1, 1, 1, 1)`,
    ],
    'write',
  )
  client.close()
  const store = await Writer.open(database)
  const told = async () => {
    const found = await findPoll(store.reader, tea)
    return found.state === 'there' && [found.poll.options.map(({ count }) => count), found.poll.edited]
  }
  await store.storeMessages([poll(T0 + 20 * DAY, T0 + 5 * DAY)])
  expect(await told()).toEqual([[1, 1], true])
  // Of the other one the time of its commit is still known.
  await store.storeMessages([poll(T0 + 21 * DAY, T0 + DAY + 500_000)])
  expect(await told()).toEqual([[1, 0], true])
  expect(await recount(store.reader)).toEqual([])
  await store.close()
})

test('a server that is older than its database says so, and touches nothing', async () => {
  const store = await Writer.open(database)
  await store.close()
  const client = await openDatabase(database)
  await client.execute({ sql: 'INSERT INTO migrations VALUES (?)', args: [SCHEMA + 1] })
  client.close()
  await expect(Writer.open(database)).rejects.toThrow(`has schema ${SCHEMA + 1}`)
})
