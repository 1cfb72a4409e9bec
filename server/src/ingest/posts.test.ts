import { expect, test } from 'vitest'
import { unlimited } from './budget.ts'
import { postText } from './posts.ts'
import type { Repos } from './repos.ts'

const budget = unlimited('test')
const uri = 'at://did:plc:alice/app.bsky.feed.post/3kaaaaaaaaaa2'

const having = (record: Record<string, unknown> | null): Pick<Repos, 'readRecord'> => ({
  readRecord: async ({ did, collection, rkey }) => ({
    ok: true,
    value: { did, collection, rkey, rev: '3kaaaaaaaaaa2', record, cid: undefined },
  }),
})

test('is what the post says, and nothing where it says nothing', async () => {
  expect(await postText(having({ text: 'Tea?' }), uri, budget)).toBe('Tea?')
  for (const record of [null, {}, { text: 5 }])
    expect(await postText(having(record), uri, budget)).toBeUndefined()
  const away: Pick<Repos, 'readRecord'> = {
    readRecord: async () => ({ ok: false, error: 'UpstreamFailure', message: 'away' }),
  }
  expect(await postText(away, uri, budget)).toBeUndefined()
})

test.each(['at://did:plc:alice/app.bsky.feed.like/1', 'at://did:plc:alice', 'https://bsky.app'])(
  'no other record is read: %s',
  async (other) => {
    expect(await postText(having({ text: 'Tea?' }), other, budget)).toBeUndefined()
  },
)
