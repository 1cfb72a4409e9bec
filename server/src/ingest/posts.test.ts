import { expect, test } from 'vitest'
import { unlimited } from './budget.ts'
import { postText } from './posts.ts'
import type { Repos } from './repos.ts'

const budget = unlimited('test')
const uri = 'at://did:plc:alice/app.bsky.feed.post/3kaaaaaaaaaa2'
const none = { ok: true, value: undefined }

const having = (record: Record<string, unknown> | null): Pick<Repos, 'readRecord'> => ({
  readRecord: async ({ did, collection, rkey }) => ({
    ok: true,
    value: { did, collection, rkey, rev: '3kaaaaaaaaaa2', record, cid: undefined },
  }),
})

test.each([
  ['a few words', 'Tea?'],
  ['nothing', ''],
  ['as many bytes as there can be', '👩‍👩‍👧‍👦'.repeat(120)],
  ['as many letters', '漢'.repeat(300)],
])('is what the post says: %s', async (_, text) => {
  expect(await postText(having({ text }), uri, budget)).toEqual({ ok: true, value: text })
})

test.each([
  ['no post', null],
  ['no text', {}],
  ['a text that is none', { text: 5 }],
  ['more letters than a post may have', { text: 'a'.repeat(301) }],
  ['more bytes than a post may have', { text: '👩‍👩‍👧‍👦'.repeat(121) }],
])('is nothing where there is %s', async (_, record) => {
  expect(await postText(having(record), uri, budget)).toEqual(none)
})

test('that its PDS is away says nothing of a post', async () => {
  const away = { ok: false, error: 'UpstreamFailure', message: 'away' } as const
  expect(await postText({ readRecord: async () => away }, uri, budget)).toEqual(away)
})

test.each(['at://did:plc:alice/app.bsky.feed.like/1', 'at://did:plc:alice', 'https://bsky.app'])(
  'no other record is read: %s',
  async (other) => {
    expect(await postText(having({ text: 'Tea?' }), other, budget)).toEqual(none)
  },
)
