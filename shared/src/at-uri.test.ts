import { expect, test, vi } from 'vitest'
import { formatAtUri, parseAtUri } from './at-uri.ts'
import { read, toEngine } from './engine.ts'

const did = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'

test.each([
  [`at://${did}/tech.waow.poll/3kabc`, { repo: did, collection: 'tech.waow.poll', rkey: '3kabc' }],
  [
    'at://alice.test/tech.waow.vote/a:b~c',
    { repo: 'alice.test', collection: 'tech.waow.vote', rkey: 'a:b~c' },
  ],
])('%s', (uri, parts) => {
  expect(parseAtUri(uri)).toEqual(parts)
  expect(formatAtUri(parts)).toBe(uri)
})

test.each([
  `at://${did}`,
  `at://${did}/tech.waow.poll`,
  `at://${did}/tech.waow.poll/`,
  `at://${did}/tech.waow.poll/3kabc/`,
  `at://${did}/tech.waow.poll/3kabc/more`,
  `at://${did}/tech.waow.poll/3kabc?a=b`,
  `at://${did}/tech.waow.poll/3kabc#/text`,
  `at://${did}/poll/3kabc`,
  `at://${did}/tech.waow.poll/..`,
  'at://nodots/tech.waow.poll/3kabc',
  'at:///tech.waow.poll/3kabc',
  `https://${did}/tech.waow.poll/3kabc`,
  '',
])('is no record’s: %s', (uri) => {
  expect(parseAtUri(uri)).toBeUndefined()
})

test('a page can name nothing else to the engine', () => {
  vi.spyOn(console, 'warn').mockImplementation(() => {})
  const retry = (uri: string) => read(toEngine, { type: 'retry', uri })
  expect(retry(`at://${did}/tech.waow.poll/3kabc`)).toBeDefined()
  expect(retry(`at://${did}/tech.waow.poll/../../../oauth`)).toBeUndefined()
  expect(retry(`at://${did}/tech.waow.poll/${'a'.repeat(1024)}`)).toBeUndefined()
})
