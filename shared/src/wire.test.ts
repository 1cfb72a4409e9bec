import { l } from '@atproto/lex'
import { describe, expect, test } from 'vitest'
import { clientMessage, parseJson, serverMessage, voteView } from './wire.ts'

test.each([
  ['not JSON', '{'],
  ['another type', '{"type":"shout","uris":["at://a"]}'],
  ['no uris', '{"type":"watch","uris":[]}'],
  ['too many uris', JSON.stringify({ type: 'watch', uris: Array(51).fill('at://a') })],
  ['uris that are none', '{"type":"watch","uris":[1]}'],
  ['nothing', 'null'],
])('a client’s message is refused with a reason: %s', (_, text) => {
  expect(parseJson(clientMessage, text)).toMatchObject({ ok: false, reason: expect.any(String) })
})

test('messages are read as they are written', () => {
  const watch = { type: 'watch', uris: ['at://did:plc:a/tech.waow.poll/1'] }
  expect(parseJson(clientMessage, JSON.stringify(watch))).toEqual({ ok: true, message: watch })
  const tally = {
    type: 'tally',
    uri: 'at://did:plc:a/tech.waow.poll/1',
    counts: [1, 2],
    total: 3,
    version: 4,
  }
  expect(parseJson(serverMessage, JSON.stringify(tally))).toEqual({ ok: true, message: tally })
})

test('a server’s dates are dates', () => {
  const poll = {
    uri: 'at://did:plc:a/tech.waow.poll/1',
    repo: 'did:plc:a',
    rkey: '1',
    text: '?',
    options: [],
    createdAt: '2026-11-23T20:15:00.000Z',
    endsAt: '2026-11-24T20:15:00.000+01:00',
    total: 0,
    edited: false,
    version: 1,
  }
  const isRead = (changed: object) =>
    parseJson(
      serverMessage,
      JSON.stringify({ type: 'snapshot', uri: poll.uri, poll: { ...poll, ...changed } }),
    ).ok
  expect(isRead({})).toBe(true)
  expect([isRead({ createdAt: 'never' }), isRead({ endsAt: 'never' })]).toEqual([false, false])
  const vote = { voter: 'did:plc:a', option: 0, uri: 'at://did:plc:a/tech.waow.vote/1' }
  const [good, bad] = [poll.createdAt, 'never'].map((createdAt) => voteView.safeParse({ ...vote, createdAt }))
  expect([good!.success, bad!.success]).toEqual([true, false])
})

describe('releases understand each other', () => {
  /** What 0.4 sends, and what it reads. */
  const old = {
    uri: 'at://did:plc:a/tech.waow.poll/1',
    repo: 'did:plc:a',
    rkey: '1',
    text: '?',
    options: [{ text: 'yes', count: 1 }],
    createdAt: '2026-11-23T20:15:00.000Z',
    total: 1,
    edited: false,
    version: 1,
  }
  const count = l.integer({ minimum: 0 })
  const oldPoll = l.object({
    uri: l.string(),
    repo: l.string(),
    rkey: l.string(),
    text: l.string(),
    options: l.array(l.object({ text: l.string(), count })),
    createdAt: l.string(),
    handle: l.optional(l.string()),
    endsAt: l.optional(l.string()),
    total: count,
    edited: l.boolean(),
    version: count,
  })
  const oldMessage = l.discriminatedUnion('type', [
    l.object({ type: l.literal('snapshot'), uri: l.string(), poll: oldPoll }),
    l.object({
      type: l.literal('tally'),
      uri: l.string(),
      counts: l.array(count),
      total: count,
      version: count,
    }),
  ])

  test('an older server’s messages are read', () => {
    const { uri } = old
    for (const message of [
      { type: 'snapshot', uri, poll: old },
      { type: 'tally', uri, counts: [1], total: 1, version: 1 },
    ])
      expect(parseJson(serverMessage, JSON.stringify(message))).toEqual({ ok: true, message })
    const vote = { voter: 'did:plc:b', option: 1, uri, createdAt: old.createdAt }
    expect(parseJson(voteView, JSON.stringify(vote))).toEqual({ ok: true, message: vote })
  })

  test('what is new is read by an older client, which counts as it did', () => {
    const { uri } = old
    const poll = {
      ...old,
      collection: 'tech.waow.poll',
      multiple: true,
      endsAt: '2026-11-24T20:15:00.000Z',
      cid: 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
      post: 'at://did:plc:a/app.bsky.feed.post/1',
      options: [
        { text: 'yes', count: 2 },
        { text: 'no', count: 1 },
      ],
      total: 3,
      voters: 2,
    }
    for (const message of [
      { type: 'snapshot', uri, poll, now: 1 },
      { type: 'tally', uri, counts: [2, 1], total: 3, voters: 2, version: 1 },
    ]) {
      const text = JSON.stringify(message)
      expect(parseJson(serverMessage, text)).toEqual({ ok: true, message })
      expect(parseJson(oldMessage, text)).toMatchObject({ ok: true })
    }
    // To it the total is what all counts add up to, as it was.
    expect(poll.options.reduce((sum, it) => sum + it.count, 0)).toBe(poll.total)
  })
})
