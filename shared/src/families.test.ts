import { describe, expect, test } from 'vitest'
import { collections, families, home, pollHosts } from './families.ts'

const createdAt = '2026-11-23T20:00:00.000Z'

describe.each(families)('$poll', (family) => {
  const poll = { $type: family.poll, text: 'Tea?', options: ['yes', 'no'], createdAt }
  const subject = `at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/${family.poll}/3kabc`

  test('reads what it writes', () => {
    const vote = { subject, option: 1, createdAt }
    expect(family.readVote(family.writeVote(vote))).toMatchObject({ ok: true, value: vote })
  })

  test('reads a poll, with fields that the lexicon does not know', () => {
    expect(family.readPoll({ ...poll, extra: { deep: 1 } })).toMatchObject({ ok: true })
  })

  test.each([
    ['text is too long in bytes', { ...poll, text: '🙂'.repeat(76) }],
    ['one option', { ...poll, options: ['yes'] }],
    ['eleven options', { ...poll, options: Array.from({ length: 11 }, String) }],
    ['an option that is no string', { ...poll, options: ['yes', 2] }],
    ['a long option', { ...poll, options: ['yes', 'n'.repeat(101)] }],
    ['no date', { ...poll, createdAt: 'yesterday' }],
    ['another type', { ...poll, $type: 'app.bsky.feed.post' }],
    ['no object', 'poll'],
    ['nothing', undefined],
  ])('refuses a poll: %s', (_, record) => {
    expect(family.readPoll(record)).toMatchObject({ ok: false, reason: expect.any(String) })
  })

  test.each([
    ['a negative option', { subject, option: -1, createdAt }],
    ['half an option', { subject, option: 0.5, createdAt }],
    ['an option as text', { subject, option: '1', createdAt }],
    ['no at-uri', { subject: 'https://example.com', option: 1, createdAt }],
  ])('refuses a vote: %s', (_, vote) => {
    expect(family.readVote({ $type: family.vote, ...vote })).toMatchObject({ ok: false })
  })
})

test('every collection and every number belongs to one family', () => {
  expect(new Set(collections).size).toBe(collections.length)
  expect(new Set(families.map(({ id }) => id)).size).toBe(families.length)
})

test('a companion server’s links mean the home family', () => {
  expect(pollHosts('https://pollz.example:8443')).toEqual({
    'pollz.waow.tech': 'tech.waow.pollz.poll',
    'pollz.example:8443': home.poll,
  })
})
