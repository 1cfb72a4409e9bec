/** The counting rules by example; the property test beside this one tries everything else. */
import type { Client } from '@libsql/client'
import { families, familyOfPoll, home, type Family } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyDatabase } from '../../../test/database.ts'
import {
  CID,
  T0,
  identityMessage,
  iso,
  pollEvent,
  pollRecordIn,
  pollUri,
  recordMessage,
  voteEvent,
  voteRecord,
  type PollDraft,
  type RecordEvent,
} from '../../../test/records.ts'
import { readEvent, readRecord, type Change, type SetAside } from '../../ingest/events.ts'
import { apply, type Applied } from './apply.ts'
import { countRows } from '../copy.ts'
import { openDatabase } from '../database.ts'
import { migrate } from '../migrations.ts'
import { newsAfter, type News } from '../news.ts'
import { findPoll, newestPolls, votesOf } from '../queries.ts'
import { recount } from '../recount.ts'

const alice = 'did:plc:alice'
const bob = 'did:plc:bob'
const carol = 'did:plc:carol'
const tea = pollUri(alice, '3kaaaaaaaaaa2')
const sugar = pollUri(alice, '3kbbbbbbbbbb2')

let database: Awaited<ReturnType<typeof emptyDatabase>>
let client: Client

beforeEach(async () => {
  database = await emptyDatabase()
  client = await openDatabase(database)
  await migrate(client)
})
afterEach(async () => {
  client.close()
  await database.close()
})

/** Delivers events in one batch. @returns what was found out, and what whoever asks is then told */
function deliver(...events: (RecordEvent | string)[]): Promise<Applied & News> {
  const read = events.map((event) => readEvent(typeof event === 'string' ? event : recordMessage(event)))
  return store(
    read.flatMap(({ change }) => (change ? [change] : [])),
    read.flatMap(({ setAside }) => (setAside ? [setAside] : [])),
  )
}

async function store(changes: Change[], setAside: SetAside[] = []): Promise<Applied & News> {
  const { version } = await newsAfter(client, undefined, '')
  const applied = await apply(client, changes, setAside)
  return { ...applied, ...(await newsAfter(client, version, '')) }
}

async function counts(uri = tea): Promise<number[] | string> {
  const found = await findPoll(client, uri)
  return found.state === 'there' ? found.poll.options.map(({ count }) => count) : found.state
}

const make = (uri = tea) => deliver(pollEvent(uri, ['yes', 'no'], T0))

/** A version of a poll in any family, as tap sends it. */
function recordIn(family: Family, uri: string, draft: PollDraft, rev: number): RecordEvent {
  const [, , did, collection, rkey] = uri.split('/') as [string, string, string, string, string]
  const record = pollRecordIn(family, draft)
  return { did, collection, rkey, rev: tid(rev), action: 'create', live: true, record }
}

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

describe('C2: when a record was read never decides which one counts', () => {
  /** What a proof says of the same record: its rev is that of a later commit. */
  const proof = (event: RecordEvent, rev: number): Promise<News> => {
    const { change } = readRecord({ ...event, rev: tid(rev) }, event.record ?? null, false)
    return store([event.action === 'delete' ? { ...change, onlyIfHeld: true } : change])
  }
  // Dated far ahead, so its time is that of its commit.
  const first = voteEvent(bob, tea, 0, T0 + 5, { rkey: 'a', createdAt: T0 + 10 ** 12 })
  const second = voteEvent(bob, tea, 1, T0 + 7, { rkey: 'b', createdAt: T0 + 7 })

  test.each([
    ['read again later', [() => deliver(first), () => deliver(second), () => proof(first, T0 + 9)]],
    ['read late, then heard of', [() => proof(first, T0 + 9), () => deliver(second), () => deliver(first)]],
    [
      'heard of again, and read again and again',
      [
        () => deliver(first),
        () => proof(first, T0 + 9),
        () => deliver(second),
        () => deliver(first),
        () => proof(first, T0 + 11),
      ],
    ],
  ])('%s', async (_, steps) => {
    await make()
    for (const step of steps) await step()
    expect(await counts()).toEqual([0, 1])
  })

  test('another content is another time', async () => {
    await make()
    await deliver(first, second)
    await deliver(voteEvent(bob, tea, 1, T0 + 9, { rkey: 'a', createdAt: T0 + 10 ** 12 }))
    await deliver(voteEvent(bob, tea, 0, T0 + 8, { rkey: 'b', createdAt: T0 + 8 }))
    expect(await counts()).toEqual([0, 1])
  })

  test('that a record is not there is kept only where it was: what comes of it later counts', async () => {
    await make()
    await deliver(voteEvent(bob, sugar, 0, T0 + 1))
    const { tallies } = await proof(voteEvent(bob, tea, null, T0), T0 + 9)
    await proof(pollEvent(sugar, null, T0), T0 + 9)
    await proof(pollEvent(pollUri(carol, 'none'), null, T0), T0 + 9)
    expect(tallies.size).toBe(0)
    expect((await client.execute('SELECT count(*) AS n FROM votes')).rows[0]).toMatchObject({ n: 1 })
    expect((await client.execute('SELECT did FROM accounts ORDER BY did')).rows).toMatchObject([
      { did: alice },
      { did: bob },
    ])
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    expect(await counts()).toEqual([0, 1])
    // A poll that a vote names is held by that name: that it is not there is remembered.
    expect(await counts(sugar)).toBe('gone')
  })
})

test('times that no number holds exactly are clamped, and listed', async () => {
  const created = { createdAt: '0001-01-01T00:00:00Z' }
  const ancient = pollEvent(tea, ['yes', 'no'], T0)
  await deliver({ ...ancient, record: { ...(ancient.record as object), ...created } })
  const old = voteEvent(bob, tea, 1, T0 + 1)
  await deliver({ ...old, record: { ...(old.record as object), ...created } })
  const late = voteEvent(carol, tea, 1, T0 + 1)
  await deliver({ ...late, record: { ...(late.record as object), createdAt: '9999-12-31T23:59:59Z' } })
  expect(await counts()).toEqual([0, 2])
  expect((await newestPolls(client, 10, undefined)).items).toMatchObject([{ uri: tea, ...created }])
  expect((await votesOf(client, tea, 10, undefined, undefined)).items).toMatchObject([
    { voter: bob, createdAt: expect.stringMatching(/^1684-/) },
    { voter: carol, createdAt: expect.stringMatching(/^2026-/) },
  ])
})

test.each(['tech.tokimeki.poll.poll', 'app.reddwarf.embed.poll'])(
  'one voter with ten thousand records for a poll of %s holds nobody up',
  async (collection) => {
    const family = familyOfPoll.get(collection)!
    const uri = `at://${alice}/${collection}/3kaaaaaaaaaa2`
    await deliver(recordIn(family, uri, { options: ['yes', 'no'], time: T0 }, T0))
    const votes = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i): RecordEvent => {
        const time = T0 + 1 + from + i
        const vote = { poll: { uri, cid: CID }, choices: [0], createdAt: iso(time) }
        const [{ collection: of, record }] = family.writeVote(vote) as [
          { collection: string; record: object },
        ]
        return {
          did: bob,
          collection: of,
          rkey: tid(time),
          rev: tid(time),
          action: 'create',
          live: true,
          record,
        }
      })
    for (let n = 0; n < 10_000; n += 2_000) await deliver(...votes(n, n + 2_000))
    // Each touches all of them.
    for (let n = 10_000; n < 10_010; n++) await deliver(...votes(n, n + 1))
    expect(await counts(uri)).toEqual([1, 0])
    expect(await recount(client)).toEqual([])
  },
)

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

  test('what comes of it while it is deleted is dropped, what comes after its return counts', async () => {
    await make()
    await deliver(identityMessage(bob, 'deleted', 'bob.test'))
    const invalid = { ...voteEvent(bob, tea, 1, T0 + 6, { rkey: 'x' }), record: {} }
    await deliver(voteEvent(bob, tea, 1, T0 + 5), invalid)
    expect((await client.execute('SELECT * FROM set_aside')).rows).toEqual([])
    await deliver(identityMessage(bob, 'active'))
    expect(await counts()).toEqual([0, 0])
    await deliver(voteEvent(bob, tea, 1, T0 + 5))
    expect(await counts()).toEqual([0, 1])
  })

  test('a status alone leaves the handle, and says whose changed', async () => {
    await deliver(identityMessage(bob, 'active', 'bob.test'), voteEvent(bob, tea, 1, T0 + 5))
    const { statuses } = await apply(client, [{ type: 'account', did: bob, status: 'deactivated' }], [])
    expect([...statuses]).toEqual([bob])
    expect((await deliver(identityMessage(bob, 'deactivated', 'bob.test'))).statuses.size).toBe(0)
    expect((await client.execute('SELECT handle FROM accounts WHERE did = ?', [bob])).rows).toMatchObject([
      { handle: 'bob.test' },
    ])
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

describe('C7: only votes that count make a poll edited, and what is served follows at once', () => {
  const isEdited = async () => {
    const found = await findPoll(client, tea)
    return found.state === 'there' && found.poll.edited
  }
  const edit = () => deliver(pollEvent(tea, ['never', 'always'], T0 + 50))

  test.each([
    ['of no option', () => deliver(voteEvent(bob, tea, 7, T0 + 5))],
    ['older than the poll', () => deliver(voteEvent(bob, tea, 0, T0 + 60, { createdAt: T0 - 1 }))],
    [
      'of an account that is not active',
      () => deliver(voteEvent(bob, tea, 0, T0 + 5), identityMessage(bob, 'takendown')),
    ],
    ['that came after', () => deliver(voteEvent(bob, tea, 0, T0 + 60))],
    [
      'in whose place another one counts',
      () => deliver(voteEvent(bob, tea, 0, T0 + 5, { rkey: 'a' }), voteEvent(bob, tea, 0, T0 + 60)),
    ],
  ])('not a vote %s', async (_, vote) => {
    await make()
    await edit()
    await vote()
    expect(await isEdited()).toBe(false)
  })

  test('it becomes so, and ceases to be, with the votes, and who keeps the tally is told', async () => {
    await make()
    await edit()
    const told = async (...events: Parameters<typeof deliver>) => {
      const { tallies } = await deliver(...events)
      expect(tallies.get(tea)!.edited).toBe(await isEdited())
      return tallies.get(tea)!.edited
    }
    expect(await told(voteEvent(bob, tea, 0, T0 + 5))).toBe(true)
    expect(await told(voteEvent(carol, tea, 0, T0 + 6))).toBe(true)
    expect(await told(voteEvent(carol, tea, null, T0 + 60))).toBe(true)
    expect(await told(identityMessage(bob, 'deactivated'))).toBe(false)
    expect(await told(identityMessage(bob, 'active'))).toBe(true)
  })

  test('an author whose account goes and comes back hides nothing', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 0, T0 + 5))
    await edit()
    await deliver(identityMessage(alice, 'deleted'), identityMessage(alice, 'active'))
    await edit()
    expect(await isEdited()).toBe(true)
  })

  test('of what one batch does to it the end is told', async () => {
    await make()
    await deliver(voteEvent(bob, tea, 0, T0 + 5))
    await edit()
    const { tallies } = await deliver(identityMessage(bob, 'deactivated'), voteEvent(carol, tea, 0, T0 + 6))
    expect(tallies.get(tea)).toMatchObject({ edited: true })
    const found = await findPoll(client, tea)
    expect(found.state === 'there' && found.poll.version).toBe(tallies.get(tea)!.version)
  })

  test('an edit that dates the poll anew, in one batch with it, hides nothing', async () => {
    await deliver(
      pollEvent(tea, ['yes', 'no'], T0),
      voteEvent(bob, tea, 0, T0 + 5),
      pollEvent(tea, ['no', 'yes'], T0 + 50),
      pollEvent(tea, ['no', 'yes'], T0 + 70),
    )
    expect(await isEdited()).toBe(true)
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
    await apply(client, [poll(T0, END)], [])
    await apply(
      client,
      [vote('did:plc:early', 0, END - 1, END - 1, true), vote('did:plc:late', 0, END, END, true)],
      [],
    )
    expect(await counts()).toEqual([1, 0])
    // backdated, but seen when it was made
    await apply(client, [vote('did:plc:liar', 1, END + 5, T0, true)], [])
    // from history, where the commit is younger than the vote
    await apply(client, [vote('did:plc:old', 1, END + 5, END - 2, false)], [])
    expect(await counts()).toEqual([1, 1])
  })

  test('a late vote does not take the place of an early one, and an end that moves counts anew', async () => {
    await apply(
      client,
      [vote(bob, 0, T0 + 1, T0 + 1, true, 'a'), vote(bob, 1, END + 1, END + 1, true, 'b')],
      [],
    )
    await apply(client, [poll(T0, END)], [])
    expect(await counts()).toEqual([1, 0])
    await apply(client, [poll(T0 + 1, END + 2)], [])
    expect(await counts()).toEqual([0, 1])
    await apply(client, [poll(T0 + 2, T0)], [])
    expect(await counts()).toEqual([0, 0])
    await apply(client, [poll(T0 + 3, null)], [])
    expect(await counts()).toEqual([0, 1])
  })
})

describe('C8 ended: where the time of a commit is that of the record’s rev, and where it is not', () => {
  const END = T0 + 10
  const ending = (rev: number, endsAt?: number) =>
    recordIn(home, tea, { options: ['yes', 'no'], time: T0, endsAt }, rev)
  const proof = (event: RecordEvent, rev: number) =>
    apply(client, [readRecord({ ...event, rev: tid(rev) }, event.record ?? null, false).change], [])
  const late = voteEvent(bob, tea, 1, END + 1, { createdAt: END - 1 })
  const early = voteEvent(carol, tea, 0, END - 1)

  test.each([
    ['before the end was set', [() => deliver(late, early), () => deliver(ending(T0 + 100, END))]],
    ['read again later', [() => deliver(ending(T0, END), late, early), () => proof(early, END + 9)]],
    [
      'read late, then heard of',
      [() => deliver(ending(T0, END)), () => proof(early, END + 9), () => deliver(early, late)],
    ],
    [
      'heard of, read again and again, and then it ended',
      [
        () => deliver(late, early),
        () => proof(early, END + 9),
        () => proof(late, END + 9),
        () => proof(early, END + 12),
        () => deliver(early),
        () => deliver(ending(T0 + 100, END)),
      ],
    ],
  ])('%s', async (_, steps) => {
    for (const step of steps) await step()
    expect(await counts()).toEqual([1, 0])
  })

  test('an end before the poll was made is one, in the year 9999 it is far away, and no date is no poll', async () => {
    await deliver(early, ending(T0, T0 - 1))
    expect(await counts()).toEqual([0, 0])
    await deliver(ending(T0 + 100, -5_000_000))
    expect(await counts()).toEqual([0, 0])
    const never = ending(T0 + 200)
    const endingAt = (endsAt: unknown) => ({ ...never, record: { ...(never.record as object), endsAt } })
    await deliver(endingAt('9999-12-31T23:59:59Z'))
    expect(await counts()).toEqual([1, 0])
    await deliver({ ...endingAt('soon'), rev: tid(T0 + 300) })
    expect(await counts()).toBe('gone')
    await deliver({ ...endingAt(5), rev: tid(T0 + 400) })
    expect(await counts()).toBe('gone')
    expect((await client.execute('SELECT reason FROM set_aside')).rows.length).toBeGreaterThan(0)
  })
})

describe('C11 several choices', () => {
  const several = (rev: number, options = ['a', 'b', 'c'], multiple = true) =>
    recordIn(home, tea, { options, time: T0, multiple }, rev)
  const vote = (did: string, options: number[], rev: number, more: object = {}) => {
    const event = voteEvent(did, tea, options[0]!, rev)
    return { ...event, record: { ...(event.record as object), options, ...more } }
  }
  const tally = async (uri = tea) => {
    const found = await findPoll(client, uri)
    if (found.state !== 'there') return found.state
    const { options, total, voters } = found.poll
    return { counts: options.map(({ count }) => count), total, voters }
  }

  test('each named option gets one, doubles count once, and voters are counted', async () => {
    await deliver(
      several(T0),
      vote(bob, [2, 0], T0 + 1),
      vote(carol, [1, 1], T0 + 1),
      voteEvent(alice, tea, 1, T0 + 1),
    )
    expect(await tally()).toEqual({ counts: [1, 2, 1], total: 4, voters: 3 })
    expect(await countRows(client)).toMatchObject({ votes: 3, counted: 3 })
    expect((await votesOf(client, tea, 10, undefined, undefined)).items).toMatchObject([
      { voter: alice, option: 1 },
      { voter: bob, option: 0, options: [0, 2] },
      { voter: carol, option: 1 },
    ])
  })

  test('what a client writes that knows of one choice alone counts, as does the same in the other form', async () => {
    await deliver(several(T0, ['a', 'b'], false), vote(bob, [1], T0 + 1), voteEvent(carol, tea, 1, T0 + 1))
    expect(await tally()).toEqual({ counts: [0, 2], total: 2, voters: undefined })
  })

  test.each([
    ['where the poll allows one', () => [several(T0, ['a', 'b'], false), vote(bob, [0, 1], T0 + 2)], 'one'],
    ['with an option that the poll has not', () => [several(T0), vote(bob, [0, 3], T0 + 2)], 'one'],
    ['with an option that no poll has', () => [several(T0), vote(bob, [0, 300], T0 + 2)], 'one'],
    [
      'whose options do not begin with its option',
      () => [several(T0), vote(bob, [0, 1], T0 + 2, { option: 1 })],
      'none',
    ],
    ['with a negative one', () => [several(T0), vote(bob, [0, -1], T0 + 2)], 'none'],
    ['with thirty', () => [several(T0), vote(bob, Array<number>(30).fill(0), T0 + 2)], 'none'],
  ])('a record does not count %s', async (_, events, is) => {
    await deliver(voteEvent(bob, tea, 1, T0 + 1, { rkey: 'before' }), ...events())
    // One that fits its lexicon is the voter's choice (C2) and counts for nothing; else it is as good as not there (C1).
    const counted = (await counts()) as number[]
    expect(counted).toEqual(is === 'one' ? counted.map(() => 0) : [0, 1, 0])
  })

  test('a poll that changes what it allows counts anew, and says so', async () => {
    const edited = async () => {
      const found = await findPoll(client, tea)
      return found.state === 'there' && found.poll.edited
    }
    await deliver(several(T0), vote(bob, [0, 2], T0 + 1), voteEvent(carol, tea, 1, T0 + 1))
    const { tallies } = await deliver(several(T0 + 10, ['a', 'b', 'c'], false))
    expect(await tally()).toEqual({ counts: [0, 1, 0], total: 1, voters: undefined })
    expect(await edited()).toBe(true)
    expect(tallies.get(tea)?.counts).toEqual(
      new Map([
        [-1, 0],
        [0, 0],
        [1, 1],
        [2, 0],
      ]),
    )
    await deliver(several(T0 + 20))
    expect(await tally()).toEqual({ counts: [1, 1, 1], total: 3, voters: 2 })
    // Whoever voted in between may have read something else.
    expect(await edited()).toBe(true)
    // One option less: the set that names it counts no more, in any part.
    await deliver(several(T0 + 30, ['a', 'b']))
    expect(await tally()).toEqual({ counts: [0, 1], total: 1, voters: 1 })
    await deliver(pollEvent(tea, null, T0 + 40), several(T0 + 50))
    expect(await tally()).toEqual({ counts: [1, 1, 1], total: 3, voters: 2 })
  })

  test('an end that changes after a vote is an edit, the same end in other words is none', async () => {
    const isEdited = async () => {
      const found = await findPoll(client, tea)
      return found.state === 'there' && found.poll.edited
    }
    const ending = (rev: number, endsAt: string) => {
      const event = several(rev, ['a', 'b'])
      return { ...event, record: { ...(event.record as object), endsAt } }
    }
    await deliver(ending(T0, '2026-02-01T00:00:00Z'), vote(bob, [0, 1], T0 + 1))
    await deliver(ending(T0 + 10, '2026-02-01T01:00:00.000+01:00'))
    expect(await isEdited()).toBe(false)
    await deliver(ending(T0 + 20, '2026-02-02T00:00:00Z'))
    expect(await isEdited()).toBe(true)
    await deliver(ending(T0 + 30, '2026-02-01T00:00:00Z'))
    expect(await isEdited()).toBe(true)
  })

  test('a deleted account’s sets are gone, and so are the sets for its polls', async () => {
    await deliver(several(T0), vote(bob, [0, 1], T0 + 1), vote(carol, [0, 1], T0 + 1))
    await deliver(identityMessage(bob, 'deleted'))
    expect(await tally()).toEqual({ counts: [1, 1, 0], total: 2, voters: 1 })
    await deliver(identityMessage(alice, 'deleted'))
    expect(await recount(client)).toEqual([])
    expect((await client.execute('SELECT * FROM tallies WHERE n <> 0')).rows).toEqual([])
  })
})

describe.each(families)('$poll', (family) => {
  const uri = `at://${alice}/${family.poll}/${tid(T0)}`
  const poll = (rev: number, more: Partial<PollDraft> = {}) =>
    recordIn(family, uri, { options: ['a', 'b', 'c'], time: T0, ...more }, rev)
  const votes = (did: string, choices: number[], rev: number, key = tid(rev)): RecordEvent[] =>
    family
      .writeVote({ poll: { uri, cid: CID }, choices, createdAt: iso(rev) })
      .map(({ collection, record }) => ({
        did,
        collection,
        rkey: key,
        rev: tid(rev),
        action: 'create',
        live: true,
        record,
      }))

  test('is counted, listed, and counts its next best record after a delete', async () => {
    await deliver(poll(T0), ...votes(bob, [1], T0 + 1), ...votes(carol, [2], T0 + 1))
    expect(await counts(uri)).toEqual([0, 1, 1])
    const [second] = votes(bob, [1], T0 + 2) as [RecordEvent]
    await deliver(second)
    // Of one account, any number of them is one vote.
    expect(await counts(uri)).toEqual([0, 1, 1])
    const { items } = await votesOf(client, uri, 10, undefined, bob)
    expect(items).toMatchObject([{ uri: `at://${bob}/${second.collection}/${second.rkey}`, option: 1 }])
    await deliver({ ...second, action: 'delete', rev: tid(T0 + 3) })
    expect(await counts(uri)).toEqual([0, 1, 1])
    await deliver(
      ...votes(bob, [1], T0 + 1).map((it) => ({ ...it, action: 'delete' as const, rev: tid(T0 + 3) })),
    )
    expect(await counts(uri)).toEqual([0, 0, 1])
    expect(await recount(client)).toEqual([])
  })

  test('is there with what its record says, and with its cid', async () => {
    const post = `at://${alice}/app.bsky.feed.post/${tid(T0)}`
    await deliver({ ...poll(T0, { post, endsAt: T0 + 60_000_000 }), cid: CID })
    const found = await findPoll(client, uri)
    expect(found).toMatchObject({
      state: 'there',
      poll: { collection: family.poll, cid: CID, createdAt: iso(T0), options: [{ text: 'a' }, {}, {}] },
    })
    const { poll: it } = found as typeof found & { state: 'there' }
    const read = family.readPoll(poll(T0, { post, endsAt: T0 + 60_000_000 }).record, {
      did: alice,
      collection: family.poll,
      rkey: tid(T0),
    })
    const { endsAt, post: of, multiple } = (read as typeof read & { ok: true }).value
    expect([it.endsAt && Date.parse(it.endsAt), it.post, it.multiple]).toEqual([
      endsAt && Date.parse(endsAt),
      of,
      multiple,
    ])
  })
})

describe('C11: a record for each option', () => {
  const redDwarf = families.find(({ together }) => together)!
  const uri = `at://${alice}/${redDwarf.poll}/${tid(T0)}`
  const poll = (options: string[], rev: number) => recordIn(redDwarf, uri, { options, time: T0 }, rev)
  const vote = (did: string, option: number, rev: number, rkey = tid(rev)): RecordEvent => {
    const [{ collection, record }] = redDwarf.writeVote({
      poll: { uri, cid: CID },
      choices: [option],
      createdAt: iso(rev),
    }) as [{ collection: string; record: object }]
    return { did, collection, rkey, rev: tid(rev), action: 'create', live: true, record }
  }
  const tally = async () => {
    const found = await findPoll(client, uri)
    if (found.state !== 'there') return found.state
    return [found.poll.options.map(({ count }) => count), found.poll.voters]
  }

  test('a voter’s records together are their set, each option counts once', async () => {
    await deliver(poll(['a', 'b', 'c'], T0))
    await deliver(vote(bob, 0, T0 + 1), vote(bob, 2, T0 + 2), vote(bob, 2, T0 + 3), vote(carol, 2, T0 + 1))
    expect(await tally()).toEqual([[1, 0, 2], 2])
    expect((await votesOf(client, uri, 1, undefined, undefined)).items).toMatchObject([
      { voter: bob, option: 0, options: [0, 2], uri: `at://${bob}/app.reddwarf.poll.vote.a/${tid(T0 + 1)}` },
    ])
    await deliver({ ...vote(bob, 0, T0 + 1), action: 'delete', rev: tid(T0 + 4) })
    expect(await tally()).toEqual([[0, 0, 2], 2])
  })

  test('one key in several collections is several records', async () => {
    await deliver(poll(['a', 'b'], T0), vote(bob, 0, T0 + 1, 'x'), vote(bob, 1, T0 + 1, 'x'))
    expect(await tally()).toEqual([[1, 1], 1])
    await deliver({ ...vote(bob, 1, T0 + 1, 'x'), action: 'delete', rev: tid(T0 + 2) })
    expect(await tally()).toEqual([[1, 0], 1])
  })

  test('a record for an option that the poll has not is none of the set', async () => {
    await deliver(poll(['a', 'b'], T0), vote(bob, 1, T0 + 1), vote(bob, 3, T0 + 2), vote(carol, 3, T0 + 2))
    expect(await tally()).toEqual([[0, 1], 1])
    await deliver(poll(['a', 'b', 'c', 'd'], T0 + 10))
    expect(await tally()).toEqual([[0, 1, 0, 2], 2])
    expect(await recount(client)).toEqual([])
  })

  test('voters are listed in pages, each with all that they chose', async () => {
    await deliver(poll(['a', 'b', 'c'], T0))
    const voters = Array.from({ length: 4 }, (_, i) => `did:plc:voter${i}`)
    await deliver(
      ...voters.flatMap((did) => [vote(did, 0, T0 + 1), vote(did, 1, T0 + 2), vote(did, 2, T0 + 3)]),
    )
    const first = await votesOf(client, uri, 3, undefined, undefined)
    const second = await votesOf(client, uri, 3, first.cursor, undefined)
    expect([...first.items, ...second.items].map(({ voter, options }) => [voter, options])).toEqual(
      voters.map((did) => [did, [0, 1, 2]]),
    )
    expect(second.cursor).toBeUndefined()
  })
})

test('a strongRef whose cid is of an older poll counts (C7)', async () => {
  const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
  const uri = `at://${alice}/${tokimeki.poll}/${tid(T0)}`
  const cid = 'bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a'
  const [{ collection, record }] = tokimeki.writeVote({
    poll: { uri, cid },
    choices: [1],
    createdAt: iso(T0 + 1),
  }) as [{ collection: string; record: object }]
  await deliver(
    { ...recordIn(tokimeki, uri, { options: ['a', 'b'], time: T0 }, T0), cid: CID },
    {
      did: bob,
      collection,
      rkey: tid(T0 + 1),
      rev: tid(T0 + 1),
      action: 'create',
      live: true,
      record,
    },
  )
  expect(await counts(uri)).toEqual([0, 1])
})

test('versions grow, also where the clock went back', async () => {
  const { version } = await make()
  const ahead = Date.now() + 3_600_000
  await client.execute(`UPDATE state SET value = ${ahead} WHERE name = 'version'`)
  expect((await deliver(voteEvent(bob, tea, 0, T0 + 5))).version).toBe(ahead + 1)
  expect((await deliver(voteEvent(carol, tea, 0, T0 + 5))).version).toBe(ahead + 2)
  expect(version).toBeLessThan(ahead)
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
