/** What releases 0.2 to 0.4 of the extension read, by their own schemas. */
import { l } from '@atproto/lex'

const atUri = l.string({ maxLength: 1024 })
const count = l.integer({ minimum: 0 })

export const pollView = l.object({
  uri: atUri,
  repo: l.string(),
  rkey: l.string(),
  text: l.string(),
  options: l.array(l.object({ text: l.string(), count })),
  createdAt: l.string(),
  handle: l.optional(l.string()),
  endsAt: l.optional(l.string()),
  total: count,
  edited: l.boolean(),
  version: count,
})

export const voteView = l.object({
  voter: l.string(),
  option: count,
  uri: atUri,
  createdAt: l.string(),
  handle: l.optional(l.string()),
})

export const apiError = l.object({ error: l.string(), message: l.string() })

export const serverMessage = l.discriminatedUnion('type', [
  l.object({ type: l.literal('snapshot'), uri: atUri, poll: pollView }),
  l.object({ type: l.literal('tally'), uri: atUri, counts: l.array(count), total: count, version: count }),
  l.object({ type: l.literal('error'), uri: l.optional(atUri), error: l.string(), message: l.string() }),
  l.object({ type: l.literal('ping') }),
])
