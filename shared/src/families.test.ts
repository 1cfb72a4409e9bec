import { describe, expect, test } from 'vitest'
import {
  collections,
  families,
  familyOfPoll,
  familyOfVote,
  home,
  pollHosts,
  voteCollectionWithId,
  type Family,
} from './families.ts'
import { OAUTH_SCOPE } from './oauth.ts'

const createdAt = '2026-11-23T20:00:00.000Z'
const endsAt = '2026-11-24T20:00:00.000Z'
const did = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'
const cid = 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
/** A TID, and when it was made. */
const rkey = '3m6cabcdefg22'
const rkeyTime = '2025-11-23T11:43:34.885740Z'
const postUri = `at://${did}/app.bsky.feed.post/${rkey}`
const at = { did, collection: '', rkey }

const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
const leaflet = familyOfPoll.get('pub.leaflet.poll.definition')!
const redDwarf = familyOfPoll.get('app.reddwarf.embed.poll')!

/** Of each family: a poll as its clients write it, and as what it is read. */
const polls: Record<string, { record: Record<string, unknown>; content: unknown }> = {
  'tech.waow.poll': {
    record: { text: 'Tea?', options: ['yes', 'no'], createdAt, endsAt, multiple: true },
    content: { text: 'Tea?', options: ['yes', 'no'], createdAt, endsAt, multiple: true },
  },
  'tech.waow.pollz.poll': {
    record: { text: 'Tea?', options: ['yes', 'no'], createdAt },
    content: { text: 'Tea?', options: ['yes', 'no'], createdAt },
  },
  'tech.tokimeki.poll.poll': {
    record: { subject: { uri: postUri, cid }, options: ['yes', 'no'], createdAt, endsAt },
    content: { text: '', options: ['yes', 'no'], createdAt, endsAt, post: postUri },
  },
  'pub.leaflet.poll.definition': {
    record: { name: 'Tea?', options: [{ text: 'yes' }, { text: 'no' }], endDate: endsAt },
    content: { text: 'Tea?', options: ['yes', 'no'], createdAt: rkeyTime, endsAt },
  },
  'app.reddwarf.embed.poll': {
    record: {
      subject: { uri: postUri, cid },
      a: 'yes',
      b: 'no',
      c: 'perhaps',
      multiple: true,
      expiry: endsAt,
      createdAt,
    },
    content: { text: '', options: ['yes', 'no', 'perhaps'], createdAt, multiple: true, post: postUri },
  },
}

const pollUri = ({ poll }: Family) => `at://${did}/${poll}/${rkey}`
const votes: Record<string, Record<string, unknown>> = {
  'tech.waow.vote': { subject: pollUri(home), option: 1, createdAt },
  'tech.waow.pollz.vote': {
    subject: pollUri(familyOfPoll.get('tech.waow.pollz.poll')!),
    option: 1,
    createdAt,
  },
  'tech.tokimeki.poll.vote': { poll: { uri: pollUri(tokimeki), cid }, optionIndex: 1, createdAt },
  'pub.leaflet.poll.vote': { poll: { uri: pollUri(leaflet), cid }, option: ['1'] },
  'app.reddwarf.poll.vote.b': { subject: { uri: pollUri(redDwarf), cid }, createdAt },
}

describe.each(families)('$poll', (family) => {
  const { record, content } = polls[family.poll]!
  const poll: Record<string, unknown> = { $type: family.poll, ...record }
  const draft = { poll: { uri: pollUri(family), cid }, choices: [1], createdAt }

  test('reads a poll as its clients write it, also with fields that the lexicon does not know', () => {
    expect(family.readPoll(poll, at)).toEqual({ ok: true, value: content })
    expect(family.readPoll({ ...poll, text: poll['text'] ?? 5, ends_at: 1, extra: { deep: 1 } }, at)).toEqual(
      { ok: true, value: content },
    )
  })

  test('writes a vote field by field as its clients do, and reads it', () => {
    const [{ collection, record: vote }, ...more] = family.writeVote(draft) as [
      { collection: string; record: object },
    ]
    expect(more).toEqual([])
    expect(vote).toEqual({ $type: collection, ...votes[collection] })
    expect(family.readVote(vote, { did, collection, rkey })).toEqual({
      ok: true,
      value: { subject: pollUri(family), choices: [1], createdAt: family === leaflet ? rkeyTime : createdAt },
    })
  })

  test.each([
    ['another type', { ...poll, $type: 'app.bsky.feed.post' }],
    ['no options', { $type: family.poll, text: 'Tea?', createdAt }],
    ['no object', 'poll'],
    ['nothing', undefined],
  ])('refuses a poll: %s', (_, it) => {
    expect(family.readPoll(it, at)).toMatchObject({ ok: false, reason: expect.any(String) })
  })

  test('refuses a vote that names no record', () => {
    for (const { nsid } of family.votes)
      for (const subject of ['https://example.com', { uri: 'https://example.com', cid }])
        expect(
          family.readVote(
            { $type: nsid, ...votes[nsid], subject, poll: subject },
            { did, collection: nsid, rkey },
          ),
        ).toMatchObject({ ok: false })
  })
})

describe('tech.waow.poll', () => {
  const poll = { $type: home.poll, text: 'Tea?', options: ['yes', 'no'], createdAt }

  test('has no end and takes one choice unless it says so', () => {
    const { $type: _, ...content } = poll
    expect(home.readPoll(poll, at)).toEqual({ ok: true, value: content })
    expect(home.readPoll({ ...poll, multiple: false }, at)).toEqual({ ok: true, value: content })
  })

  test.each([
    ['text is too long in bytes', { ...poll, text: '🙂'.repeat(76) }],
    ['one option', { ...poll, options: ['yes'] }],
    ['eleven options', { ...poll, options: Array.from({ length: 11 }, String) }],
    ['an option that is no string', { ...poll, options: ['yes', 2] }],
    ['a long option', { ...poll, options: ['yes', 'n'.repeat(101)] }],
    ['no date', { ...poll, createdAt: 'yesterday' }],
    ['an end that is no date', { ...poll, endsAt: 'tomorrow' }],
    ['an end that is a number', { ...poll, endsAt: 5 }],
    ['multiple as text', { ...poll, multiple: 'true' }],
  ])('refuses a poll: %s', (_, record) => {
    expect(home.readPoll(record, at)).toMatchObject({ ok: false, reason: expect.any(String) })
  })

  const vote = { $type: home.vote, ...votes[home.vote], option: 2 }

  test('reads and writes several choices, so that who does not know of them counts the first', () => {
    const draft = { poll: { uri: pollUri(home) }, choices: [2, 0], createdAt }
    const [{ record }] = home.writeVote(draft) as [{ collection: string; record: object }]
    expect(record).toEqual({ ...vote, options: [2, 0] })
    expect(home.readVote(record, at)).toMatchObject({ ok: true, value: { choices: [2, 0] } })
    expect(home.readVote({ ...vote, options: [2, 2, 0] }, at)).toMatchObject({ value: { choices: [2, 0] } })
    expect(home.readVote({ ...vote, options: [2] }, at)).toMatchObject({ value: { choices: [2] } })
  })

  test.each([
    ['a negative option', { ...vote, option: -1 }],
    ['half an option', { ...vote, option: 0.5 }],
    ['an option as text', { ...vote, option: '1' }],
    ['another first than option', { ...vote, options: [0, 2] }],
    ['none', { ...vote, options: [] }],
    ['thirty', { ...vote, options: Array.from({ length: 30 }, () => 2) }],
    ['a negative one', { ...vote, options: [2, -1] }],
    ['one as text', { ...vote, options: [2, '0'] }],
  ])('refuses a vote: %s', (_, record) => {
    expect(home.readVote(record, at)).toMatchObject({ ok: false, reason: expect.any(String) })
  })
})

describe('what only some families have', () => {
  test('fields of other families mean nothing', () => {
    const pollz = familyOfPoll.get('tech.waow.pollz.poll')!
    const { record, content } = polls[pollz.poll]!
    const more = { $type: pollz.poll, ...record, endsAt: 5, multiple: true }
    expect(pollz.readPoll(more, at)).toEqual({ ok: true, value: content })
  })

  test('the question is a post of the poll’s own author, or none', () => {
    for (const family of [tokimeki, redDwarf]) {
      const poll = { $type: family.poll, ...polls[family.poll]!.record }
      const others = { subject: { uri: postUri.replace(did, 'did:plc:bob'), cid } }
      for (const record of [
        { ...poll, ...others },
        { ...poll, subject: undefined },
      ]) {
        const read = family.readPoll(record, at)
        expect(read).toMatchObject({ ok: true, value: { text: '' } })
        expect(read.ok && read.value.post).toBeUndefined()
      }
    }
  })

  test('a strongRef has its type or not', () => {
    const [{ collection, record }] = tokimeki.writeVote({
      poll: { uri: pollUri(tokimeki), cid },
      choices: [1],
      createdAt,
    }) as [{ collection: string; record: object }]
    const poll = { $type: 'com.atproto.repo.strongRef', uri: pollUri(tokimeki), cid }
    expect(tokimeki.readVote({ ...record, poll }, { did, collection, rkey })).toMatchObject({ ok: true })
    expect(
      tokimeki.readVote({ ...record, poll: { ...poll, cid: 'x' } }, { did, collection, rkey }),
    ).toMatchObject({ ok: false })
    expect(() => tokimeki.writeVote({ poll: { uri: pollUri(tokimeki) }, choices: [1], createdAt })).toThrow(
      pollUri(tokimeki),
    )
  })

  test('a record without a date was made when its key was, which has to be a TID', () => {
    const noTid = { did, collection: 'pub.leaflet.poll.vote', rkey: 'self' }
    const vote = { $type: noTid.collection, ...votes[noTid.collection] }
    expect(leaflet.readVote(vote, noTid)).toMatchObject({ ok: false })
    expect(leaflet.readPoll({ $type: leaflet.poll, ...polls[leaflet.poll]!.record }, noTid)).toMatchObject({
      ok: false,
    })
    const b = { did, collection: 'app.reddwarf.poll.vote.b', rkey }
    const undated = { $type: b.collection, ...votes[b.collection], createdAt: undefined }
    expect(redDwarf.readVote(undated, b)).toMatchObject({ value: { createdAt: rkeyTime } })
  })

  test.each([[['x']], [['-1']], [['1.0']], [[]], [['']], ['0']])(
    'a Leaflet vote for %j is none',
    (option) => {
      const collection = 'pub.leaflet.poll.vote'
      const record = { $type: collection, ...votes[collection], option }
      expect(leaflet.readVote(record, { did, collection, rkey })).toMatchObject({ ok: false })
    },
  )

  test('of a Leaflet vote the first element counts', () => {
    const collection = 'pub.leaflet.poll.vote'
    const record = { $type: collection, ...votes[collection], option: ['1', '0', 'x'] }
    expect(leaflet.readVote(record, { did, collection, rkey })).toMatchObject({ value: { choices: [1] } })
  })

  test('Red Dwarf has a record for each choice, and no option between others is missing', () => {
    const written = redDwarf.writeVote({
      poll: { uri: pollUri(redDwarf), cid },
      choices: [3, 0],
      createdAt,
    })
    expect(written.map(({ collection }) => collection)).toEqual([
      'app.reddwarf.poll.vote.d',
      'app.reddwarf.poll.vote.a',
    ])
    for (const { collection, record } of written)
      expect(redDwarf.readVote(record, { did, collection, rkey })).toMatchObject({ ok: true })
    const poll = { $type: redDwarf.poll, ...polls[redDwarf.poll]!.record }
    expect(redDwarf.readPoll({ ...poll, c: undefined, d: 'never' }, at)).toMatchObject({ ok: false })
  })
})

test('every collection and every number belongs to one family, and numbers stay', () => {
  expect(new Set(collections).size).toBe(collections.length)
  for (const { poll, votes } of families) {
    expect(collections).toContain(poll)
    for (const { id, nsid } of votes) {
      expect(voteCollectionWithId(id)).toBe(nsid)
      expect(familyOfVote.get(nsid)?.poll).toBe(poll)
    }
  }
  expect(families.flatMap(({ votes }) => votes.map(({ id, nsid }) => `${id} ${nsid}`))).toEqual([
    '0 tech.waow.vote',
    '1 tech.waow.pollz.vote',
    '2 tech.tokimeki.poll.vote',
    '3 pub.leaflet.poll.vote',
    '4 app.reddwarf.poll.vote.a',
    '5 app.reddwarf.poll.vote.b',
    '6 app.reddwarf.poll.vote.c',
    '7 app.reddwarf.poll.vote.d',
  ])
})

test('the sign-in asks for the votes of every family, and for polls of our own', () => {
  expect(OAUTH_SCOPE.split(' ').toSorted()).toEqual(
    ['atproto', `repo:${home.poll}`, ...[...familyOfVote.keys()].map((nsid) => `repo:${nsid}`)].toSorted(),
  )
})

test('a companion server’s links mean the home family, and name every other', () => {
  const hosts = pollHosts('https://pollz.example:8443')
  expect(hosts['pollz.example:8443']?.split(' ')).toEqual([
    home.poll,
    ...families.slice(1).map((f) => f.poll),
  ])
  expect(hosts['pollz.waow.tech']).toBe('tech.waow.pollz.poll /poll/REPO/RKEY')
})
