/** at-uris of records: @atproto/syntax says what is one. Its `AtUri` throws, also at a did:web with a port. */
import { parseAtUriString } from '@atproto/syntax'

/** Longer ones, in bytes, are none of a poll for anybody here: they only cost. */
export const MAX_AT_URI = 1024

/** `repo`: DID or handle */
export type RecordUri = { repo: string; collection: string; rkey: string }

/** @returns the parts of a record's at-uri; undefined where a text is anything else, as the at-uri of a repo */
export function parseAtUri(uri: string): RecordUri | undefined {
  const parsed = parseAtUriString(uri)
  if (!parsed.success) return undefined
  const { authority: repo, collection, rkey, hash } = parsed.value
  if (collection === undefined || rkey === undefined || hash !== undefined) return undefined
  return { repo, collection, rkey }
}

export const formatAtUri = ({ repo, collection, rkey }: RecordUri) => `at://${repo}/${collection}/${rkey}`
