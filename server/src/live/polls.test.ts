import type { PollView } from '@pollz/shared/wire'
import { expect, test } from 'vitest'
import { Polls } from './polls.ts'

test('what is kept takes no more than 32 MB, however long names are', async () => {
  const uriOf = (i: number) => `at://did:web:${'a'.repeat(2000)}/tech.tokimeki.poll.poll/${i}`
  const post = (uri: string) => uri.replace('tech.tokimeki.poll.poll', 'app.bsky.feed.post')
  const polls = new Polls(async (uri) => ({
    state: 'there',
    at: 0,
    poll: { uri, text: '', options: [] as PollView['options'], post: post(uri) } as PollView,
  }))
  const uris = Array.from({ length: 10_000 }, (_, i) => uriOf(i))
  for (const uri of uris) await polls.find(uri)
  const kept = uris.filter((uri) => polls.kept(uri))
  expect(kept.length).toBeGreaterThan(0)
  expect(kept.reduce((sum, uri) => sum + uri.length + post(uri).length, 0)).toBeLessThan(32 * 1024 * 1024)
})
