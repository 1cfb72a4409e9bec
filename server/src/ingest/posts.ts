/** Posts, of which only the text is of interest: some polls' questions. */
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Budget } from './budget.ts'
import type { Repos } from './repos.ts'

/** @returns the text of a post, read from its PDS with a proof; undefined where it can't be had, or is none */
export async function postText(
  repos: Pick<Repos, 'readRecord'>,
  uri: string,
  budget: Budget,
): Promise<string | undefined> {
  const at = parseAtUri(uri)
  if (!at || at.collection !== 'app.bsky.feed.post') return undefined
  const { repo: did, collection, rkey } = at
  const read = await repos.readRecord({ did, collection, rkey, budget })
  const text = read.ok ? read.value.record?.['text'] : undefined
  return typeof text === 'string' ? text : undefined
}
