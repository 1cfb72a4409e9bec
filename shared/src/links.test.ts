import { describe, expect, test } from 'vitest'
import { MAX_AT_URI } from './at-uri.ts'
import { read, toEngine } from './engine.ts'
import { pollHosts } from './families.ts'
import { parsePollLink, pollLink } from './links.ts'

const hosts = pollHosts('https://pollz.example', 'http://127.0.0.1:3000')
const did = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'

describe('parsePollLink', () => {
  test.each([
    [`https://pollz.example/poll/${did}/3kabc`, `at://${did}/tech.waow.poll/3kabc`],
    [`https://pollz.example/poll/${encodeURIComponent(did)}/3kabc/`, `at://${did}/tech.waow.poll/3kabc`],
    [`https://pollz.example/poll/Alice.Example/3kabc?x=1#y`, 'at://alice.example/tech.waow.poll/3kabc'],
    [`https://pollz.waow.tech/poll/${did}/3kabc`, `at://${did}/tech.waow.pollz.poll/3kabc`],
    [`http://127.0.0.1:3000/poll/${did}/3kabc`, `at://${did}/tech.waow.poll/3kabc`],
    [
      'https://pollz.example/poll/did:web:localhost%253A8080/x',
      'at://did:web:localhost%3A8080/tech.waow.poll/x',
    ],
  ])('%s', (href, uri) => {
    expect(parsePollLink(href, hosts)).toBe(uri)
  })

  test.each([
    `http://pollz.example/poll/${did}/3kabc`,
    `https://elsewhere.example/poll/${did}/3kabc`,
    `https://pollz.example/poll/${did}`,
    `https://pollz.example/poll/${did}/3kabc/votes`,
    `https://pollz.example/x/poll/${did}/3kabc`,
    `https://pollz.example/poll/${did}/..`,
    'https://pollz.example/poll/%FF/3kabc',
    'https://pollz.example/poll/nodots/3kabc',
    'https://pollz.example/poll/a.b/%3Cscript%3E',
    'javascript:alert(1)//poll/a.b/c',
    'https://constructor/poll/a.b/c',
    '/poll/a.b/c',
    '',
  ])('is none: %s', (href) => {
    expect(parsePollLink(href, hosts)).toBeUndefined()
  })

  test('is none that the engine would not take: what shows it would wait for ever', () => {
    const name = (length: number) => `did:web:${'a'.repeat(length)}`
    const rest = '/tech.waow.poll/3kabc'.length + 'at://'.length + name(0).length
    const uris = [MAX_AT_URI - rest, MAX_AT_URI - rest + 1].map((length) => {
      const uri = parsePollLink(`https://pollz.example/poll/${name(length)}/3kabc`, hosts)
      return [uri?.length, uri !== undefined && read(toEngine, { type: 'unwatch', uri }) !== undefined]
    })
    expect(uris).toEqual([
      [MAX_AT_URI, true],
      [undefined, false],
    ])
  })

  test('is on the server, whatever other hosts mean its polls too', () => {
    const more = { 'a.example': 'tech.waow.poll', ...hosts }
    expect(pollLink(`at://${did}/tech.waow.poll/3kabc`, more, 'https://pollz.example')).toBe(
      `https://pollz.example/poll/${did}/3kabc`,
    )
  })

  test('there and back', () => {
    for (const collection of ['tech.waow.poll', 'tech.waow.pollz.poll']) {
      const uri = `at://${did}/${collection}/3kabc`
      expect(parsePollLink(pollLink(uri, hosts, 'https://pollz.example'), hosts)).toBe(uri)
    }
  })
})
