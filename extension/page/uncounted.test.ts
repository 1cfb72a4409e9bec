import { expect, test } from 'vitest'
import { uncountedPoll } from './uncounted.ts'

test.each([
  'https://poll.blue/p/AbC123',
  'https://poll.blue/p/AbC123/',
  'https://poll.blue/p/AbC123?utm=x#results',
])('a poll of poll.blue: %s', (href) => {
  expect(uncountedPoll(href)).toBe(href)
})

test.each([
  'https://poll.blue/',
  'https://poll.blue/p/',
  'https://poll.blue/p/?x',
  'https://poll.blue/post',
  'http://poll.blue/p/AbC123',
  'https://poll.blue.example/p/AbC123',
  'https://example.com/?u=https://poll.blue/p/AbC123',
  'https://pollz.waow.tech/poll/did:plc:yk4dd2qkboz2yv6tpubpc6co/3k',
])('none: %s', (href) => {
  expect(uncountedPoll(href)).toBeUndefined()
})
