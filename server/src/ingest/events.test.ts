import { describe, expect, test } from 'vitest'
import { tid, timeOfTid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import {
  CID,
  T0,
  identityMessage,
  iso,
  pollEvent,
  pollUri,
  recordMessage,
  voteEvent,
} from '../../test/records.ts'
import { NO_OPTION, optionsOf } from './choices.ts'
import { microseconds } from '@pollz/shared/counting'
import { readEvent } from './events.ts'

const poll = pollUri('did:plc:alice', '3kaaaaaaaaaa2')

describe('readEvent', () => {
  test('a vote', () => {
    expect(readEvent(recordMessage(voteEvent('did:plc:bob', poll, 1, T0), 7))).toEqual({
      id: 7,
      change: {
        type: 'vote',
        did: 'did:plc:bob',
        collection: 'tech.waow.vote',
        rkey: voteRkey(poll),
        rev: tid(T0),
        vote: { subject: poll, choice: 1, createdAt: T0, seenLive: true },
      },
    })
  })

  test('a deleted poll', () => {
    expect(readEvent(recordMessage(pollEvent(poll, null, T0)))).toMatchObject({
      change: { type: 'poll', poll: null },
    })
  })

  test('an account, by a status of the protocol or one that only says whether it is active', () => {
    expect(readEvent(identityMessage('did:plc:bob', 'takendown', 'Bob.test'))).toEqual({
      id: 0,
      change: { type: 'account', did: 'did:plc:bob', status: 'takendown', handle: 'Bob.test' },
    })
    const unheard = { did: 'did:plc:bob', handle: '', is_active: false, status: 'desynchronized' }
    expect(readEvent(JSON.stringify({ id: 1, type: 'identity', identity: unheard }))).toMatchObject({
      change: { status: 'deactivated', handle: null },
    })
  })

  const vote = voteEvent('did:plc:bob', poll, 1, T0)
  const record = vote.record as Record<string, unknown>

  test.each([
    ['no JSON', '{"id":12,"type":"rec', 12, 'not JSON'],
    ['nothing at all', '', undefined, 'not JSON'],
    ['another type', '{"id":12,"type":"commit"}', 12, 'type: expected record or identity'],
    ['no record', '{"id":12,"type":"record"}', 12, 'record: expected an object'],
    ['no DID', recordMessage({ ...vote, did: 'bob.test' }, 12), 12, 'did: expected a DID'],
    ['no TID', recordMessage({ ...vote, rev: '1' }, 12), 12, 'rev: expected a TID'],
    ['no record key', recordMessage({ ...vote, rkey: 'a/b' }, 12), 12, 'rkey: expected a record key'],
    [
      'another collection',
      recordMessage({ ...vote, collection: 'app.bsky.feed.post' }, 12),
      12,
      'collection: expected',
    ],
    ['no action', recordMessage({ ...vote, action: 'upsert' as 'create' }, 12), 12, 'action: expected'],
    ['no status', '{"id":12,"type":"identity","identity":{"did":"did:plc:a"}}', 12, 'status: expected'],
  ])('an event that does not fit is set aside and acked: %s', (_, message, id, reason) => {
    const read = readEvent(message)
    expect(read).toMatchObject({ id, setAside: { reason: expect.stringContaining(reason) } })
    expect(read.change).toBeUndefined()
  })

  test.each([
    ['an option that is no integer', { ...record, option: 1.5 }, 'option'],
    ['no subject', { ...record, subject: undefined }, 'subject'],
    ['a subject by handle', { ...record, subject: 'at://alice.test/tech.waow.poll/1' }, 'subject'],
    ['a poll of another family', { ...record, subject: 'at://did:plc:a/tech.waow.pollz.poll/1' }, 'subject'],
    ['a post', { ...record, subject: 'at://did:plc:a/app.bsky.feed.post/1' }, 'subject'],
    ['no date', { ...record, createdAt: 'soon' }, 'createdAt'],
    ['a record that tap could not decode', undefined, 'record'],
    [
      'C11: options that begin with another than its option',
      { ...record, options: [0, 1] },
      'options: the first',
    ],
    ['C11: no options', { ...record, options: [] }, 'options'],
    ['C11: one of its options that is no integer', { ...record, options: [1, 0.5] }, 'options'],
    ['C11: a negative one of its options', { ...record, options: [1, -1] }, 'options'],
    ['C11: thirty options', { ...record, options: Array<number>(30).fill(1) }, 'options'],
  ])('C1: a record that is invalid is set aside and as good as not there: %s', (_, invalid, field) => {
    expect(readEvent(recordMessage({ ...vote, record: invalid }))).toMatchObject({
      change: { type: 'vote', rev: tid(T0), vote: null },
      setAside: {
        uri: `at://did:plc:bob/tech.waow.vote/${vote.rkey}`,
        reason: expect.stringContaining(field),
      },
    })
  })
})

test('C2: a rev more than five minutes ahead of this clock is refused', () => {
  const at = (ahead: number) => {
    const rev = tid((Date.now() + ahead) * 1000)
    return readEvent(recordMessage({ ...voteEvent('did:plc:bob', poll, 1, T0), rev }, 7))
  }
  expect(at(6 * 60_000)).toMatchObject({
    id: 7,
    setAside: { reason: expect.stringMatching(/^rev: .*ahead/) },
  })
  expect(at(6 * 60_000).change).toBeUndefined()
  expect(at(4 * 60_000).change).toMatchObject({ vote: { choice: 1 } })
})

test('what is nested thousands of times is set aside and acked', () => {
  const deep = `${'['.repeat(9000)}${']'.repeat(9000)}`
  for (const field of ['subject', 'extra']) {
    const event = voteEvent('did:plc:bob', poll, 1, T0)
    const message = recordMessage({ ...event, record: { ...(event.record as object), [field]: 'DEEP' } }, 7)
    const read = readEvent(message.replace('"DEEP"', deep))
    expect([field, read.id, read.change !== undefined || read.setAside !== undefined]).toEqual([
      field,
      7,
      true,
    ])
  }
  expect(readEvent(`{"id":7,"type":${deep}}`)).toMatchObject({ id: 7, setAside: {} })
})

test('what a record has beside its lexicon’s fields is no part of it', () => {
  const event = pollEvent(poll, ['a', 'b'], T0)
  const extended = { ...event, record: { ...(event.record as object), post: 5, cid: 5 } }
  expect(readEvent(recordMessage(extended)).change).toEqual({
    type: 'poll',
    did: 'did:plc:alice',
    collection: 'tech.waow.poll',
    rkey: '3kaaaaaaaaaa2',
    rev: tid(T0),
    poll: { text: expect.any(String), options: ['a', 'b'], createdAt: iso(T0) },
  })
})

describe('C11: the options that a record names', () => {
  const choiceIn = (options: number[]) => {
    const event = voteEvent('did:plc:bob', poll, options[0]!, T0)
    const { change, setAside } = readEvent(
      recordMessage({ ...event, record: { ...(event.record as object), options } }),
    )
    expect(setAside).toBeUndefined()
    return change?.type === 'vote' ? change.vote?.choice : undefined
  }

  test('one is one, doubles are one, several are a set, in whatever order', () => {
    expect(choiceIn([3])).toBe(3)
    expect(choiceIn([3, 3, 3])).toBe(3)
    expect(optionsOf(choiceIn([3, 0, 3])!)).toEqual([0, 3])
    expect(choiceIn([3, 0])).toBe(choiceIn([0, 3]))
    expect(optionsOf(choiceIn([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])!)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('with one that no poll has they are none of a poll', () => {
    for (const option of [10, 300, 2 ** 40]) expect(choiceIn([0, option])).toBe(NO_OPTION)
  })
})

describe('C8: a poll’s end', () => {
  const readWith = (endsAt: unknown) => {
    const event = pollEvent(poll, ['yes', 'no'], T0)
    return readEvent(recordMessage({ ...event, record: { ...(event.record as object), endsAt } }))
  }

  test.each(['2020-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '2026-01-01T01:00:00.5+01:00'])(
    'is what its author says: %s',
    (endsAt) => expect(readWith(endsAt)).toMatchObject({ change: { poll: { endsAt } } }),
  )

  test.each([['soon'], [5], [null], [{}], ['2026-02-30T25:00:00Z']])(
    'C1: a poll whose end is no date is none: %j',
    (endsAt) =>
      expect(readWith(endsAt)).toMatchObject({
        change: { poll: null },
        setAside: { reason: expect.stringContaining('endsAt') },
      }),
  )

  test('of a family that has none it means nothing, whatever it is', () => {
    const record = { text: 'Tea?', options: ['a', 'b'], createdAt: iso(T0), endsAt: 5, multiple: true }
    const collection = 'tech.waow.pollz.poll'
    const event = { ...pollEvent(poll, null, T0), collection, action: 'create' as const }
    const { change, setAside } = readEvent(
      recordMessage({ ...event, record: { $type: collection, ...record } }),
    )
    expect(setAside).toBeUndefined()
    expect(change).toMatchObject({ poll: { text: 'Tea?' } })
    expect(change?.type === 'poll' && change.poll).not.toHaveProperty('endsAt')
  })
})

test('a cid is the event’s, or that of the proof, and only where it looks like one', () => {
  const read = (cid: unknown) =>
    readEvent(recordMessage({ ...pollEvent(poll, ['yes', 'no'], T0), cid: cid as string }))
  expect(read(CID)).toMatchObject({ change: { poll: { cid: CID } } })
  for (const cid of ['<b>', '', 5, undefined]) {
    const { change } = read(cid)
    expect(change?.type === 'poll' && change.poll).not.toHaveProperty('cid')
  }
})

test('an option that no poll has is read as one', () => {
  const { change } = readEvent(recordMessage(voteEvent('did:plc:bob', poll, 2 ** 40, T0)))
  expect(change).toMatchObject({ vote: { choice: NO_OPTION } })
})

test('times keep their microseconds', () => {
  expect(timeOfTid(tid(T0 + 123_457))).toBe(T0 + 123_457)
  expect(microseconds(iso(T0 + 123_457))).toBe(T0 + 123_457)
  expect(microseconds('2026-01-01T00:00:00Z')).toBe(T0)
  expect(microseconds('2026-01-01T01:00:00.5+01:00')).toBe(T0 + 500_000)
  expect(microseconds('2026-01-01T00:00:00.1234567890Z')).toBe(T0 + 123_456)
  // What no number holds exactly.
  expect(microseconds('0001-01-01T00:00:00Z')).toBe(-Number.MAX_SAFE_INTEGER)
  expect(microseconds('9999-12-31T23:59:59.999999Z')).toBe(Number.MAX_SAFE_INTEGER)
  expect(microseconds('2026-02-30T25:00:00Z')).toBeNaN()
})
