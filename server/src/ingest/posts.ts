/** Posts, of which only the text is of interest: some polls' questions. */
import { l } from '@atproto/lex'
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Budget } from './budget.ts'
import type { RepoRead, Repos } from './repos.ts'

/** As app.bsky.feed.post has it: a longer one is no post, and Bluesky does not show it either. */
const post = l.object({ text: l.string({ maxLength: 3000, maxGraphemes: 300 }) })

/** @returns the text of a post, read from its PDS with a proof; undefined where it is proved that there is none */
export async function postText(
  repos: Pick<Repos, 'readRecord'>,
  uri: string,
  budget: Budget,
): Promise<RepoRead<string | undefined>> {
  const at = parseAtUri(uri)
  if (!at || at.collection !== 'app.bsky.feed.post') return { ok: true, value: undefined }
  const { repo: did, collection, rkey } = at
  const read = await repos.readRecord({ did, collection, rkey, budget })
  if (!read.ok) return read
  const record = post.safeParse(read.value.record)
  return { ok: true, value: record.success ? record.value.text : undefined }
}
