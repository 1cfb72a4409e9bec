import { expect, test } from 'vitest'
import { readHosts, readServer } from './check.ts'

test.each([
  ['https://pollz.example', 'https://pollz.example'],
  [' pollz.example/ ', 'https://pollz.example'],
  ['https://Pollz.example:8443', 'https://pollz.example:8443'],
  ['http://127.0.0.1:3000', 'http://127.0.0.1:3000'],
  ['http://localhost:3000/', 'http://localhost:3000'],
])('a server: %s', (typed, server) => {
  expect(readServer(typed)).toBe(server)
})

test.each([
  '',
  'http://pollz.example',
  'ftp://pollz.example',
  'javascript:alert(1)',
  'https://pollz.example/path',
  'https://user@pollz.example',
  'https://pollz.example?x',
  'not a host',
  'not%20a%20host',
])('no server: “%s”', (typed) => {
  expect(readServer(typed)).toBeUndefined()
})

test('hosts, one in each line', () => {
  expect(readHosts('a.example\n\n b.example:8443 \na.example')).toEqual({
    hosts: ['a.example', 'b.example:8443'],
  })
  expect(readHosts('a.example\nnot a host')).toEqual({ wrong: 'not a host' })
})
