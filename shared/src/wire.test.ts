import { expect, test } from 'vitest'
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

test('messages of servers before 0.5 are read', () => {
  const uri = 'at://did:plc:a/tech.waow.poll/1'
  const poll = {
    uri,
    repo: 'did:plc:a',
    rkey: '1',
    text: '?',
    options: [{ text: 'yes', count: 1 }],
    createdAt: '2026-11-23T20:15:00.000Z',
    total: 1,
    edited: false,
    version: 1,
  }
  for (const message of [
    { type: 'snapshot', uri, poll },
    { type: 'tally', uri, counts: [1], total: 1, version: 1 },
  ])
    expect(parseJson(serverMessage, JSON.stringify(message))).toEqual({ ok: true, message })
  const vote = { voter: 'did:plc:b', option: 1, uri, createdAt: poll.createdAt }
  expect(parseJson(voteView, JSON.stringify(vote))).toEqual({ ok: true, message: vote })
})
