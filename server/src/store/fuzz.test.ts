/** A hundred thousand messages that nobody should send: each is stored or set aside, none is in the way. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { emptyDatabase, isRemote } from '../../test/database.ts'
import { families } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
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
} from '../../test/records.ts'
import { readEvent } from '../ingest/events.ts'
import { recount } from './recount.ts'
import { Writer } from '../writer.ts'

/** The parser is the same in front of any database. */
const MESSAGES = isRemote ? 10_000 : 100_000

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
const valid = [
  recordMessage(voteEvent('did:plc:bob', tea, 1, T0), 12),
  recordMessage(voteEvent('did:plc:bob', tea, null, T0), 12),
  recordMessage(pollEvent(tea, ['yes', 'no'], T0), 12),
  identityMessage('did:plc:bob', 'deleted', 'bob.test', 12),
  ...families.flatMap((family) => {
    const [did, rkey, rev] = ['did:plc:alice', tid(T0), tid(T0 + 1)]
    const at = { rkey, rev, action: 'create' as const, live: true }
    const poll = pollRecordIn(family, {
      options: ['yes', 'no', 'perhaps'],
      time: T0,
      endsAt: T0 + 60_000_000,
      multiple: true,
      post: `at://${did}/app.bsky.feed.post/${rkey}`,
    })
    const votes = family.writeVote({
      poll: { uri: `at://${did}/${family.poll}/${rkey}`, cid: CID },
      choices: [2, 0],
      createdAt: iso(T0 + 1),
    })
    return [
      recordMessage({ ...at, did, collection: family.poll, record: poll, cid: CID }, 12),
      ...votes.map((vote) => recordMessage({ ...at, did: 'did:plc:bob', ...vote }, 12)),
    ]
  }),
]

/** Bytes of a real event with some of them replaced, taken out or doubled. */
const mangledBytes = fc
  .tuple(
    fc.constantFrom(...valid),
    fc.array(fc.tuple(fc.nat(400), fc.nat(3), fc.uint8Array({ maxLength: 4 })), {
      minLength: 1,
      maxLength: 5,
    }),
  )
  .map(([message, edits]) => {
    let bytes = Buffer.from(message)
    for (const [at, cut, put] of edits) {
      const from = at % (bytes.length + 1)
      bytes = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + cut)])
    }
    return bytes.toString()
  })

/** A real event with some value in it replaced by any other. */
const mangledValues = fc
  .tuple(fc.constantFrom(...valid), fc.nat(30), fc.jsonValue({ maxDepth: 3 }))
  .map(([message, which, value]) => {
    let n = 0
    return JSON.stringify(JSON.parse(message, (_, old: unknown) => (n++ === which ? value : old)) as unknown)
  })

const messages = fc.oneof(
  { weight: 5, arbitrary: mangledBytes },
  { weight: 5, arbitrary: mangledValues },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string() },
)

test(`${MESSAGES} mangled messages`, { timeout: 300_000 }, async () => {
  const database = await emptyDatabase()
  const writer = await Writer.open(database)
  const all = fc.sample(messages, MESSAGES)
  let changes = 0
  for (let i = 0; i < all.length; i += 500) {
    const batch = all.slice(i, i + 500)
    const read = batch.map((message) => readEvent(message))
    // Each is a change, or set aside, or both: nothing is lost without a word.
    expect(read.every(({ change, setAside }) => change ?? setAside)).toBe(true)
    changes += read.filter(({ change }) => change).length
    const { outcome, ids } = await writer.storeMessages(batch)
    expect(outcome.outcome).toBe('committed')
    expect(ids).toEqual(read.flatMap(({ id }) => (id === undefined ? [] : [id])))
  }
  // The mangling is neither too mild nor too wild to try both.
  expect(changes).toBeGreaterThan(MESSAGES / 50)
  expect(changes).toBeLessThan((MESSAGES * 9) / 10)
  expect(await recount(writer.reader)).toEqual([])
  await writer.close()
  await database.close()
})
