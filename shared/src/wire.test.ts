import { expect, test } from 'vitest'
import { clientMessage, parseJson, serverMessage } from './wire.ts'

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
