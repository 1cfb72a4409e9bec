/** The counting rules by example; the property test beside this one tries everything else. */
import type { Client } from '@libsql/client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyDatabase } from '../../test/database.ts'
import {
  T0,
  identityMessage,
  iso,
  pollEvent,
  pollUri,
  recordMessage,
  voteEvent,
  voteRecord,
  type RecordEvent,
} from '../../test/records.ts'
import { readEvent } from '../ingest/events.ts'
import { apply, type Applied } from './counting.ts'
import { openDatabase } from './database.ts'
import { migrate } from './migrations.ts'
import { findPoll, newestPolls, votesOf } from './queries.ts'

const alice = 'did:plc:alice'
const bob = 'did:plc:bob'
const carol = 'did:plc:carol'
const tea = pollUri(alice, '3kaaaaaaaaaa2')
const sugar = pollUri(alice, '3kbbbbbbbbbb2')

let database: Awaited<ReturnType<typeof emptyDatabase>>
let client: Client
let version = 0

beforeEach(async () => {
  database = await emptyDatabase()
  client = await openDatabase(database)
  await migrate(client)
})
afterEach(async () => {
  client.close()
  await database.close()
})

/** Delivers events in one batch. */
function deliver(...events: (RecordEvent | string)[]): Promise<Applied> {
  const read = events.map((event) => readEvent(typeof event === 'string' ? event : recordMessage(event)))
  return apply(
    client,
    read.flatMap(({ change }) => (change ? [change] : [])),
    read.flatMap(({ setAside }) => (setAside ? [setAside] : [])),
    ++version,
  )
}

async function counts(uri = tea): Promise<number[] | string> {
  const found = await findPoll(client, uri)
  return found.state === 'there' ? found.poll.options.map(({ count }) => count) : found.state
}

const make = (uri = tea) => deliver(pollEvent(uri, ['yes', 'no'], T0))

describe('C1 valid', () => {
  test('only options of the poll count', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 2, T0 + 1), voteEvent(carol, tea, 2 ** 31, T0 + 1))
    expect(await counts()).toEqual([0, 0])
    expect((await votesOf(client, tea, 10, undefined, undefined)).items).toEqual([])
  })

  test('a record whose newest version is invalid is as good as not there', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 1, T0 + 1))
    const invalid = { ...voteRecord(tea, 1, T0 + 2), option: '1' }
    await deliver({ ...voteEvent(bob, tea, 1, T0 + 2), record: invalid })
    expect(await counts()).toEqual([0, 0])
    // and stays so when the valid one before it comes again (C3)
    await deliver(voteEvent(bob, tea, 1, T0 + 1))
    expect(await counts()).toEqual([0, 0])
  })

  test('a deleted or invalid poll is gone, its votes wait', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 1, T0 + 1))
    await deliver(pollEvent(tea, null, T0 + 2))
    expect(await counts()).toBe('gone')
    await deliver(pollEvent(tea, ['yes', 'no'], T0 + 3))
    expect(await counts()).toEqual([0, 1])
    await deliver(pollEvent(tea, ['only one'], T0 + 4))
    expect(await counts()).toBe('gone')
  })
})

describe('C2 one vote each', () => {
  test('the latest createdAt counts, whatever came last', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 0, T0 + 9, { rkey: 'a', createdAt: T0 + 5 }))
    await deliver(voteEvent(bob, tea, 1, T0 + 10, { rkey: 'b', createdAt: T0 + 4 }))
    expect(await counts()).toEqual([1, 0])
  })

  test('on a tie the greater rkey, also against the key that votes usually have', async () => {
    await make()
    await deliver(
      voteEvent(bob, tea, 0, T0 + 5),
      voteEvent(bob, tea, 1, T0 + 6, { rkey: 'zz', createdAt: T0 + 5 }),
    )
    expect(await counts()).toEqual([0, 1])
    await deliver(
      voteEvent(carol, tea, 0, T0 + 5),
      voteEvent(carol, tea, 1, T0 + 6, { rkey: '1', createdAt: T0 + 5 }),
    )
    expect(await counts()).toEqual([1, 1])
  })

  test('a date in the future wins nothing', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 0, T0 + 5, { rkey: 'a', createdAt: T0 + 10 ** 15 }))
    await deliver(voteEvent(bob, tea, 1, T0 + 6, { rkey: 'b' }))
    expect(await counts()).toEqual([0, 1])
  })
})

describe('C3 newest version', () => {
  test('older and equal versions change nothing', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    await deliver(voteEvent(bob, tea, 0, T0 + 4), voteEvent(bob, tea, 0, T0 + 5))
    expect(await counts()).toEqual([0, 1])
  })

  test('a create that comes after the delete that followed it stays deleted', async () => {
    await make()
    await deliver(voteEvent(bob, tea, null, T0 + 6))
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    expect(await counts()).toEqual([0, 0])
    await deliver(pollEvent(sugar, null, T0 + 6))
    await deliver(pollEvent(sugar, ['yes', 'no'], T0 + 5))
    expect(await counts(sugar)).toBe('gone')
  })
})

describe('C4 delete, move', () => {
  test('a record that names another poll counts there and no longer here', async () => {
    await make(tea)
    await make(sugar)
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    // under the key of its first poll, then moved back
    await deliver({ ...voteEvent(bob, tea, 1, T0 + 6), record: voteRecord(sugar, 0, T0 + 6) })
    expect([await counts(tea), await counts(sugar)]).toEqual([
      [0, 0],
      [1, 0],
    ])
    await deliver(voteEvent(bob, tea, 0, T0 + 7))
    expect([await counts(tea), await counts(sugar)]).toEqual([
      [1, 0],
      [0, 0],
    ])
  })

  test('after a delete the voter’s next best record counts again', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 0, T0 + 5, { rkey: 'a' }), voteEvent(bob, tea, 1, T0 + 6))
    expect(await counts()).toEqual([0, 1])
    await deliver(voteEvent(bob, tea, null, T0 + 7))
    expect(await counts()).toEqual([1, 0])
  })
})

describe('C5 accounts', () => {
  test('votes of an account that is not active do not count until it is active again', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    await deliver(identityMessage(bob, 'takendown'))
    await deliver(voteEvent(carol, tea, 0, T0 + 5))
    expect(await counts()).toEqual([1, 0])
    await deliver(identityMessage(bob, 'deactivated'))
    await deliver(identityMessage(bob, 'active', 'bob.test'))
    expect(await counts()).toEqual([1, 1])
  })

  test('a deleted account leaves nothing behind', async () => {
    await make()
    await deliver(identityMessage(bob, 'active', 'bob.test'), identityMessage(alice, 'active', 'alice.test'))
    await deliver(voteEvent(bob, tea, 1, T0 + 5), {
      ...voteEvent(bob, tea, 1, T0 + 6, { rkey: 'x' }),
      record: {},
    })
    await deliver(identityMessage(bob, 'deleted', 'bob.test'))
    await deliver(identityMessage(alice, 'deleted', 'alice.test'))
    // what comes late is erased as well
    await deliver(voteEvent(bob, tea, 1, T0 + 7), pollEvent(tea, ['yes', 'no'], T0 + 7))
    const left = async (sql: string) => (await client.execute(sql)).rows
    expect(await left('SELECT * FROM votes')).toEqual([])
    expect(await left('SELECT * FROM set_aside')).toEqual([])
    expect(await left('SELECT * FROM accounts WHERE handle IS NOT NULL')).toEqual([])
    expect(await left('SELECT * FROM polls WHERE text IS NOT NULL OR options IS NOT NULL')).toEqual([])
    expect(await left('SELECT * FROM tallies WHERE n <> 0')).toEqual([])
  })

  test('an account that comes back within one batch has what it wrote since', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    await deliver(
      identityMessage(bob, 'deleted'),
      identityMessage(bob, 'active'),
      voteEvent(bob, tea, 0, T0 + 5),
    )
    expect(await counts()).toEqual([1, 0])
  })

  test('polls of an account that is not active say so', async () => {
    await make()
    await deliver(identityMessage(alice, 'suspended'))
    expect(await findPoll(client, tea)).toEqual({ state: 'inactive', status: 'suspended' })
    expect((await newestPolls(client, 10, undefined)).items).toEqual([])
    await deliver(identityMessage(alice, 'active'))
    expect(await counts()).toEqual([0, 0])
  })
})

test('C6 order: a vote may come before its poll, and its author has to be tracked', async () => {
  const { unknownAuthors } = await deliver(voteEvent(bob, tea, 1, T0 + 5))
  expect([...unknownAuthors]).toEqual([alice])
  expect(await counts()).toBe('unknown')
  await make()
  expect(await counts()).toEqual([0, 1])
})

describe('C7 edits', () => {
  const edited = async () => {
    const found = await findPoll(client, tea)
    return found.state === 'there' && found.poll.edited
  }

  test('counts stay with the option’s index; options that changed after the first vote are said', async () => {
    await make()
    await deliver(pollEvent(tea, ['yes', 'no', 'perhaps'], T0 + 1))
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    expect(await edited()).toBe(false)
    await deliver(pollEvent(tea, ['never', 'always'], T0 + 6))
    expect(await edited()).toBe(true)
    expect(await counts()).toEqual([0, 1])
  })

  test('another text alone is no such edit, deleting in between is no way around it', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    await deliver({
      ...pollEvent(tea, ['yes', 'no'], T0 + 6),
      record: { ...(pollEvent(tea, ['yes', 'no'], T0 + 6).record as object), text: 'Another' },
    })
    expect(await edited()).toBe(false)
    await deliver(pollEvent(tea, null, T0 + 7))
    await deliver(pollEvent(tea, ['no', 'yes'], T0 + 8))
    expect(await edited()).toBe(true)
  })
})

describe('C8 ended', () => {
  const END = T0 + 10
  const poll = (rev: number, endsAt: number | null) => {
    const { change } = readEvent(recordMessage(pollEvent(tea, ['yes', 'no'], rev)))
    if (change?.type !== 'poll' || !change.poll) throw new Error('no poll')
    return { ...change, poll: { ...change.poll, ...(endsAt === null ? {} : { endsAt: iso(endsAt) }) } }
  }
  const vote = (
    did: string,
    option: number,
    rev: number,
    createdAt: number,
    seenLive: boolean,
    rkey?: string,
  ) => {
    const { change } = readEvent(
      recordMessage(voteEvent(did, tea, option, rev, { createdAt, ...(rkey ? { rkey } : {}) })),
    )
    if (change?.type !== 'vote' || !change.vote) throw new Error('no vote')
    return { ...change, vote: { ...change.vote, seenLive } }
  }

  test('a vote counts if it was made before the end: by its commit if seen live, else by C2’s time', async () => {
    await apply(client, [poll(T0, END)], [], ++version)
    await apply(
      client,
      [vote('did:plc:early', 0, END - 1, END - 1, true), vote('did:plc:late', 0, END, END, true)],
      [],
      ++version,
    )
    expect(await counts()).toEqual([1, 0])
    // backdated, but seen when it was made
    await apply(client, [vote('did:plc:liar', 1, END + 5, T0, true)], [], ++version)
    // from history, where the commit is younger than the vote
    await apply(client, [vote('did:plc:old', 1, END + 5, END - 2, false)], [], ++version)
    expect(await counts()).toEqual([1, 1])
  })

  test('a late vote does not take the place of an early one, and an end that moves counts anew', async () => {
    await apply(
      client,
      [vote(bob, 0, T0 + 1, T0 + 1, true, 'a'), vote(bob, 1, END + 1, END + 1, true, 'b')],
      [],
      ++version,
    )
    await apply(client, [poll(T0, END)], [], ++version)
    expect(await counts()).toEqual([1, 0])
    await apply(client, [poll(T0 + 1, END + 2)], [], ++version)
    expect(await counts()).toEqual([0, 1])
    await apply(client, [poll(T0 + 2, T0)], [], ++version)
    expect(await counts()).toEqual([0, 0])
    await apply(client, [poll(T0 + 3, null)], [], ++version)
    expect(await counts()).toEqual([0, 1])
  })
})

test('any text comes back as it was', async () => {
  const text = 'NUL \0, half a pair \ud83d, "quotes", \u202eright to left'
  const event = pollEvent(tea, [text, '🙂'], T0)
  await deliver({ ...event, record: { ...(event.record as object), text } })
  expect(await findPoll(client, tea)).toMatchObject({
    poll: { text, options: [{ text }, { text: '🙂' }] },
  })
})

test('votes that count are listed in pages', async () => {
  await make()
  const voters = Array.from({ length: 5 }, (_, i) => `did:plc:voter${i}`)
  await deliver(...voters.map((did, i) => voteEvent(did, tea, i % 2, T0 + i)))
  const first = await votesOf(client, tea, 2, undefined, undefined)
  const second = await votesOf(client, tea, 10, first.cursor, undefined)
  expect([...first.items, ...second.items].map(({ voter }) => voter)).toEqual(voters)
  expect(second.cursor).toBeUndefined()
  expect((await votesOf(client, tea, 10, undefined, voters[3])).items).toMatchObject([
    { voter: voters[3], option: 1 },
  ])
})

test('polls are listed in pages, the newest first', async () => {
  const uris = Array.from({ length: 5 }, (_, i) => pollUri(alice, `poll${i}`))
  await deliver(...uris.map((uri, i) => pollEvent(uri, ['yes', 'no'], T0 + i)))
  const first = await newestPolls(client, 3, undefined)
  const second = await newestPolls(client, 3, first.cursor)
  expect([...first.items, ...second.items].map(({ uri }) => uri)).toEqual(uris.toReversed())
  expect(second.cursor).toBeUndefined()
})
