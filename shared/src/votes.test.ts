import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { voteRkey } from './votes.ts'

const poll = 'at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/tech.waow.poll/3kabc'

test('is the first 130 bits of SHA-256 in base32-sortable', () => {
  const bits = [...createHash('sha256').update(poll).digest()]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
  const expected = bits
    .slice(0, 130)
    .match(/.{5}/g)!
    .map((five) => '234567abcdefghijklmnopqrstuvwxyz'[Number.parseInt(five, 2)])
    .join('')
  expect(voteRkey(poll)).toBe(expected)
})

test('is one key for each poll', () => {
  const keys = Array.from({ length: 1000 }, (_, i) => voteRkey(`${poll}${i}`))
  expect(new Set(keys).size).toBe(1000)
})
