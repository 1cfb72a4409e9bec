/** What follows from a poll's at-uri alone. */
import { parseAtUri } from '@pollz/shared/at-uri'
import { voteRkey } from '@pollz/shared/votes'
import { LRUCache } from 'lru-cache'

/** DID of a poll's author. */
export const authorOf = (poll: string) => parseAtUri(poll)!.repo

/** Bytes of at-uris that are kept, with some for each entry. */
const MAX_BYTES = 16 * 1024 * 1024
const rkeys = new LRUCache<string, string>({
  maxSize: MAX_BYTES,
  sizeCalculation: (rkey, uri) => 100 + rkey.length + uri.length,
})

/** `voteRkey`, remembered: many events in a row name the same polls. */
export function rkeyFor(poll: string): string {
  let rkey = rkeys.get(poll)
  if (rkey === undefined) rkeys.set(poll, (rkey = voteRkey(poll)))
  return rkey
}
