import { familyOfPoll, home } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import type { CountedRecord, CountedVotes } from '@pollz/shared/wire'
import { expect, test } from 'vitest'
import { judge, type Case } from './judge.ts'
import type { Evidence } from './repos.ts'

const author = 'did:plc:author'
/** Microseconds since 1970. */
const T0 = Date.parse('2026-01-01T00:00:00Z') * 1000
const iso = (time: number) => new Date(time / 1000).toISOString()
const revAt = (time: number) => tid(time)

type Cast = {
  voter: string
  options: number[]
  at?: number
  rev?: number
  rkey?: string
  collection?: string
}

/** A poll with votes, as a server that is right lists them, and the proofs of all. */
function honest(
  casts: Cast[],
  record: Record<string, unknown> = {},
  collection = home.poll,
): Case & { claim: CountedVotes; evidence: Map<string, Evidence> } {
  const poll = `at://${author}/${collection}/3kaaaaaaaaaa2`
  const content = {
    $type: collection,
    text: 'Tea?',
    options: ['yes', 'no', 'maybe'],
    createdAt: iso(T0),
    ...record,
  }
  const family = familyOfPoll.get(collection)!
  const read = family.readPoll(content, { did: author, collection, rkey: '3kaaaaaaaaaa2' })
  if (!read.ok) throw new Error(read.reason)
  const evidence = new Map<string, Evidence>([[poll, { ok: true, rev: revAt(T0), record: content }]])
  const votes: CountedRecord[] = []
  const counts = read.value.options.map(() => 0)
  for (const { voter, options, at = T0 + 1_000_000, rev = at + 1_000, ...more } of casts) {
    const [written] = family.writeVote({
      poll: { uri: poll, cid: 'bafyreib5akotkmkmtqrqhqqqwvwbqnyeqcvrqxzmdcmvgqzqb5phgyjyjm' },
      choices: options,
      createdAt: iso(at),
    })
    const { rkey = voteRkey(poll) } = more
    const uri = `at://${voter}/${written!.collection}/${rkey}`
    evidence.set(uri, { ok: true, rev: revAt(rev), record: written!.record })
    const sorted = options.toSorted((a, b) => a - b)
    votes.push({ voter, uri, options: sorted, createdAt: iso(at), castAt: iso(at), rev: revAt(rev) })
    for (const option of options) counts[option]!++
  }
  const { options, multiple, endsAt, text } = read.value
  const voters = new Set(casts.map(({ voter }) => voter)).size
  const claim: CountedVotes = {
    poll: {
      uri: poll,
      repo: author,
      collection,
      rkey: '3kaaaaaaaaaa2',
      text,
      options: options.map((it, i) => ({ text: it, count: counts[i]! })),
      createdAt: iso(T0),
      ...(endsAt === undefined ? {} : { endsAt }),
      ...(multiple ? { multiple, voters } : {}),
      total: counts.reduce((sum, n) => sum + n, 0),
      edited: false,
      version: 1,
    },
    votes,
    version: 1,
  }
  return { poll, claim, others: [], evidence }
}

test('C11: of several choices each counts, doubles once, and shares are of voters', () => {
  const it = honest(
    [
      { voter: 'did:plc:a', options: [0, 2] },
      { voter: 'did:plc:b', options: [2] },
    ],
    { multiple: true },
  )
  expect(judge(it)).toMatchObject({ verdict: 'right', counts: [1, 0, 2], voters: 2, findings: [] })
  // Where the poll allows one, a record that names several does not count.
  const single = { ...it.claim.poll, multiple: false }
  const poll = { $type: home.poll, text: 'Tea?', options: ['yes', 'no', 'maybe'], createdAt: iso(T0) }
  it.evidence.set(it.poll, { ok: true, rev: revAt(T0), record: poll })
  const { verdict, findings, counts } = judge({ ...it, claim: { ...it.claim, poll: single } })
  expect([verdict, counts]).toEqual(['wrong', [0, 0, 1]])
  expect(findings).toContainEqual({ fault: 'invalid', uri: it.claim.votes[0]!.uri })
})

test('C11: of a family with a record for each option a voter’s records are their set', () => {
  const reddwarf = 'app.reddwarf.embed.poll'
  const it = honest(
    [
      { voter: 'did:plc:a', options: [0], rkey: '3kaaaaaaaaaa2' },
      { voter: 'did:plc:a', options: [1], rkey: '3kaaaaaaaaaa3' },
    ],
    { a: 'yes', b: 'no', subject: undefined, expiry: undefined, text: undefined, options: undefined },
    reddwarf,
  )
  expect(judge(it)).toMatchObject({ verdict: 'right', counts: [1, 1], voters: 1 })
})

test('C7: a poll that was another at the last check, with nothing said about it', () => {
  const it = honest([{ voter: 'did:plc:a', options: [0] }])
  const { terms } = judge(it)
  expect(judge({ ...it, termsBefore: terms }).verdict).toBe('right')
  const before = terms!.replace('yes', 'never')
  expect(judge({ ...it, termsBefore: before }).findings).toEqual([{ fault: 'edited', uri: it.poll }])
  const said = { ...it.claim, poll: { ...it.claim.poll, edited: true } }
  expect(judge({ ...it, claim: said, termsBefore: before }).verdict).toBe('right')
})

test('C8: one that was dropped may have come too late, unless its repo shows that it was there before the end', () => {
  const end = T0 + 60_000_000
  const casts = [
    { voter: 'did:plc:a', options: [0] },
    { voter: 'did:plc:early', options: [1] },
    { voter: 'did:plc:perhaps', options: [1], rev: end + 5 },
  ]
  const it = honest(casts, { endsAt: iso(end) })
  const [kept, early, perhaps] = it.claim.votes
  const options = it.claim.poll.options.map(({ text }, i) => ({ text, count: i === 0 ? 1 : 0 }))
  const claim = { ...it.claim, votes: [kept!], poll: { ...it.claim.poll, options, total: 1 } }
  const judged = judge({ ...it, claim, others: [early!.uri, perhaps!.uri] })
  expect(judged).toMatchObject({
    verdict: 'wrong',
    findings: [{ fault: 'dropped', uri: early!.uri }],
    doubts: [{ uri: perhaps!.uri, why: 'perhapsLate' }],
  })
})

test('C2: a clock that is ahead makes nobody a liar, a date of years ago does', () => {
  const made = T0 + 1_000_000
  const it = honest([
    { voter: 'did:plc:a', options: [0], at: made + 3_600_000_000, rev: made + 7_200_000_000 },
  ])
  const [vote] = it.claim.votes
  vote!.createdAt = iso(made)
  expect(judge(it).verdict).toBe('right')
  vote!.createdAt = '2020-01-01T00:00:00.000Z'
  expect(judge(it).findings).toEqual([{ fault: 'backdated', uri: vote!.uri }])
})

test('C5: of an account that is not active nothing counts', () => {
  const it = honest([{ voter: 'did:plc:a', options: [0] }])
  const [{ uri }] = it.claim.votes as [CountedRecord]
  it.evidence.set(uri, { ok: false, why: 'inactive' })
  expect(judge(it).findings).toEqual([{ fault: 'inactive', uri }])
  // Of somebody whom only others know, nothing has to count.
  const none = { ...it.claim, votes: [], poll: honest([]).claim.poll }
  expect(judge({ ...it, claim: none, others: [uri] })).toMatchObject({
    verdict: 'right',
    listed: 1,
    proved: 0,
  })
})

test('while votes come nobody can tell whether the numbers are theirs', () => {
  const it = honest([{ voter: 'did:plc:a', options: [0] }])
  expect(judge({ ...it, claim: { ...it.claim, version: 2 } })).toMatchObject({
    verdict: 'unknown',
    findings: [],
  })
})

test('a poll that is not there, or can’t be read, has no right result', () => {
  const it = honest([{ voter: 'did:plc:a', options: [0] }])
  it.evidence.set(it.poll, { ok: true, rev: revAt(T0), record: null })
  expect(judge(it).findings).toContainEqual({ fault: 'poll', uri: it.poll })
  it.evidence.set(it.poll, { ok: false, why: 'unreachable' })
  expect(judge(it)).toMatchObject({ verdict: 'unknown', doubts: [{ uri: it.poll, why: 'unreachable' }] })
})
