import { describe, expect, test } from 'vitest'
import { MAX_AT_URI } from './at-uri.ts'
import { read, toEngine } from './engine.ts'
import { families, pollHosts } from './families.ts'
import { parsePollLink, pollLink, pollPath, readPollLink } from './links.ts'

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
    [
      `https://pollz.example/poll/${did}/pub.leaflet.poll.definition/3kabc`,
      `at://${did}/pub.leaflet.poll.definition/3kabc`,
    ],
    [`https://pollz.example/poll/a.b/tech.waow.poll/3kabc`, 'at://a.b/tech.waow.poll/3kabc'],
    [`https://poll.tokimeki.tech/p/${did}/3kabc?options=3`, `at://${did}/tech.tokimeki.poll.poll/3kabc`],
    [`https://poll.tokimeki.blue/p/${did}/3kabc/`, `at://${did}/tech.tokimeki.poll.poll/3kabc`],
    [`at://${did}/tech.tokimeki.poll.poll/3kabc`, `at://${did}/tech.tokimeki.poll.poll/3kabc`],
  ])('%s', (href, uri) => {
    expect(parsePollLink(href, hosts)).toBe(uri)
  })

  test.each([
    `http://pollz.example/poll/${did}/3kabc`,
    `https://elsewhere.example/poll/${did}/3kabc`,
    `https://pollz.example/poll/${did}`,
    `https://pollz.example/poll/${did}/3kabc/votes`,
    `https://pollz.example/x/poll/${did}/3kabc`,
    `https://pollz.example/poll/${did}/app.bsky.feed.post/3kabc`,
    `https://pollz.example/p/${did}/3kabc`,
    `https://pollz.waow.tech/poll/${did}/tech.waow.poll/3kabc`,
    `https://poll.tokimeki.tech/poll/${did}/3kabc`,
    `https://poll.tokimeki.tech/poll/${did}/tech.tokimeki.poll.poll/3kabc`,
    `https://poll.tokimeki.tech/p/${did}`,
    `http://poll.tokimeki.tech/p/${did}/3kabc`,
    `at://${did}/app.bsky.feed.post/3kabc`,
    `at://${did}/tech.tokimeki.poll.poll/3kabc/x`,
    `at://${did}/tech.tokimeki.poll.poll`,
    `at://${did}`,
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
    for (const { poll } of families) {
      const uri = `at://${did}/${poll}/3kabc`
      expect(parsePollLink(pollLink(uri, hosts, 'https://pollz.example'), hosts)).toBe(uri)
      const page = `https://pollz.example/poll/${pollPath(uri, hosts, 'https://pollz.example')}`
      expect(parsePollLink(page, hosts)).toBe(uri)
    }
  })

  test('a link that may lead to something else is said to, and is no poll for sure', () => {
    const href = `https://reddwarf.app/profile/${did}/post/3kabc`
    expect(parsePollLink(href, hosts)).toBeUndefined()
    expect(readPollLink(href, hosts)).toEqual({
      uri: `at://${did}/app.reddwarf.embed.poll/3kabc`,
      sure: false,
      asked: true,
    })
    expect(readPollLink(`https://reddwarf.app/profile/${did}`, hosts)).toBeUndefined()
    expect(readPollLink(`https://bsky.app/profile/${did}/post/3kabc`, hosts)).toBeUndefined()
    expect(readPollLink(`https://poll.tokimeki.tech/p/${did}/3kabc`, hosts)).toMatchObject({ sure: true })
  })

  test.each([
    [`https://poll.tokimeki.tech/p/${did}/3kabc`, true],
    [`at://${did}/tech.tokimeki.poll.poll/3kabc`, true],
    [`at://${did}/pub.leaflet.poll.definition/3kabc`, false],
    [`https://pollz.waow.tech/poll/${did}/3kabc`, false],
    // A companion server's page asks it itself.
    [`https://pollz.example/poll/${did}/tech.tokimeki.poll.poll/3kabc`, false],
  ])('whether the post around %s asks its question: %s', (href, asked) => {
    expect(readPollLink(href, hosts)).toMatchObject({ sure: true, asked })
  })

  test('a host with a collection alone has the usual links', () => {
    const plain = { 'plain.example': 'tech.waow.poll' }
    expect(parsePollLink(`https://PLAIN.example/poll/${did}/3kabc`, plain)).toBe(
      `at://${did}/tech.waow.poll/3kabc`,
    )
  })
})
