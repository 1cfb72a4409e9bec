import { expect, test } from 'vitest'
import { covers, neededPatterns, originPattern, siteOr, sitesOf } from './sites.ts'

const sister = 'https://sister.example'

test('patterns take no port', () => {
  expect(originPattern('http://127.0.0.1:3000')).toBe('http://127.0.0.1/*')
})

test('access is needed to bsky.app, to the sites that are on, and to the server, once each', () => {
  const server = 'https://pollz.example'
  expect(neededPatterns({ server, sites: [] })).toEqual(['https://bsky.app/*', 'https://pollz.example/*'])
  expect(neededPatterns({ server, sites: [sister, 'https://pollz.example:8443'] })).toEqual([
    'https://bsky.app/*',
    'https://sister.example/*',
    'https://pollz.example/*',
  ])
})

test('a site that is not on (any more) is bsky.app', () => {
  expect(sitesOf({ sites: [sister] })).toEqual(['https://bsky.app', sister])
  expect(siteOr(sister, { sites: [sister] })).toBe(sister)
  expect(siteOr(sister, { sites: [] })).toBe('https://bsky.app')
  expect(siteOr(undefined, { sites: [sister] })).toBe('https://bsky.app')
})

test.each([
  [['https://sister.example/*'], true],
  [['https://other.example/*', 'https://*/*'], true],
  [['*://*/*'], true],
  [['<all_urls>'], true],
  [['http://*/*'], false],
  [['https://sister.example.org/*'], false],
  [[], false],
])('%j covers it: %s', (patterns, expected) => {
  expect(covers(patterns, sister)).toBe(expected)
})
