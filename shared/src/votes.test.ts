import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { families, familyOfPoll, home } from './families.ts'
import { isTid, tid } from './tid.ts'
import { voteRkey, voteWrites } from './votes.ts'

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

describe('what is written', () => {
  const at = Date.UTC(2026, 10, 24)
  const createdAt = new Date(at).toISOString()
  const cid = 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
  const vote = (family: (typeof families)[number], choices: number[]) => ({
    poll: { uri: `at://did:plc:alice/${family.poll}/3kaaaaaaaaaa2`, cid },
    choices,
    createdAt,
  })

  test.each(families)(
    '$poll: the same key however often it is done, a TID where its clients write one',
    (family) => {
      const plan = { family, vote: vote(family, [1]), at, own: [] }
      const { put, delete: deleted } = voteWrites(plan)
      expect(voteWrites(plan)).toEqual({ put, delete: deleted })
      expect(deleted).toEqual([])
      const [{ rkey, collection }] = put as [(typeof put)[number]]
      expect(put).toHaveLength(1)
      expect(isTid(rkey)).toBe(family.key === 'tid')
      expect(family.votes.map(({ nsid }) => nsid)).toContain(collection)
    },
  )

  test.each(families.filter(({ together }) => !together))(
    '$poll: a change writes the same record, taking back deletes all that there are',
    (family) => {
      const { nsid } = family.votes[0]!
      const own = [`at://did:plc:bob/${nsid}/x`, `at://did:plc:bob/${nsid}/y`]
      const changed = voteWrites({ family, vote: vote(family, [0]), at, own })
      expect(changed.put).toMatchObject([{ collection: nsid, rkey: 'x' }])
      expect(changed.delete).toEqual([])
      const { put, delete: deleted } = voteWrites({ family, vote: vote(family, []), at, own })
      expect(put).toEqual([])
      expect(deleted.map(({ rkey }) => rkey).slice(0, 2)).toEqual(['x', 'y'])
    },
  )

  test('what could not be listed is under the usual key, where there is one', () => {
    const { delete: deleted } = voteWrites({ family: home, vote: vote(home, []), at, own: [] })
    expect(deleted).toEqual([{ collection: home.vote, rkey: voteRkey(vote(home, []).poll.uri) }])
    const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
    expect(voteWrites({ family: tokimeki, vote: vote(tokimeki, []), at, own: [] }).delete).toEqual([])
  })

  test('of records that count together only what changes is written or deleted', () => {
    const family = familyOfPoll.get('app.reddwarf.embed.poll')!
    const [a, b, c] = family.votes.map(({ nsid }) => nsid) as [string, string, string]
    const own = [a, b].map((nsid) => `at://did:plc:bob/${nsid}/x`)
    const { put, delete: deleted } = voteWrites({ family, vote: vote(family, [1, 2]), at, own })
    expect(put.map(({ collection, rkey }) => [collection, rkey])).toEqual([[c, tid(at * 1000)]])
    expect(deleted).toEqual([{ collection: a, rkey: 'x' }])
    expect(voteWrites({ family, vote: vote(family, []), at, own }).delete).toEqual([
      { collection: a, rkey: 'x' },
      { collection: b, rkey: 'x' },
    ])
  })
})
