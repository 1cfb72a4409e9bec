/** What is written to vote, and to take a vote back (design rule 4.1): the same however often it is worked out. */
import type { LexMap } from '@atproto/lex'
import { sha256 } from '@noble/hashes/sha2.js'
import { parseAtUri } from './at-uri.ts'
import type { Family, VoteDraft } from './families.ts'
import { ALPHABET, tid } from './tid.ts'

export type VoteWrites = {
  put: { collection: string; rkey: string; record: LexMap }[]
  delete: { collection: string; rkey: string }[]
}

export type VotePlan = {
  family: Family
  /** no choices: the vote is taken back */
  vote: VoteDraft
  /** when the person clicked, in ms since 1970: a new key tells it, and so is the same when this is done again */
  at: number
  /** at-uris of the voter's records for the poll, as far as they are known, the one that counts first */
  own: readonly string[]
}

/**
 * The writes that make a voter's records for a poll say what they chose. A record that is there is changed under its
 * key, whoever wrote it.
 *
 * @throws where the family names the poll's cid and it is not given
 */
export function voteWrites({ family, vote, at, own }: VotePlan): VoteWrites {
  const held = own.map((uri) => {
    const { collection, rkey } = parseAtUri(uri)!
    return { collection, rkey }
  })
  const newKey = family.key === 'poll' ? voteRkey(vote.poll.uri) : tid(at * 1000)
  if (vote.choices.length === 0) {
    // A record that could not be listed may be under the usual key.
    const usual =
      family.key === 'poll' && !held.some(({ rkey }) => rkey === newKey)
        ? family.votes.map(({ nsid }) => ({ collection: nsid, rkey: newKey }))
        : []
    return { put: [], delete: [...held, ...usual] }
  }
  const written = family.writeVote(vote)
  const has = (collection: string) => held.find((it) => it.collection === collection)
  if (!family.together)
    return {
      put: written.map((it) => ({ ...it, rkey: has(it.collection)?.rkey ?? newKey })),
      delete: [],
    }
  // Of records that count together, one that is there says all that it has to.
  return {
    put: written.flatMap((it) => (has(it.collection) ? [] : [{ ...it, rkey: newKey }])),
    delete: held.filter(({ collection }) => !written.some((it) => it.collection === collection)),
  }
}

/**
 * The record key under which a vote for a poll is written: 26 characters, the first 130 bits of SHA-256 of
 * the poll's at-uri, so that nobody can make a second poll whose votes would overwrite those of the first.
 *
 * @param poll at-uri of the poll, with a DID
 */
export function voteRkey(poll: string): string {
  const hash = sha256(new TextEncoder().encode(poll))
  let bits = 0
  let value = 0
  let rkey = ''
  for (const byte of hash) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      rkey += ALPHABET[(value >> bits) & 31]
      if (rkey.length === 26) return rkey
    }
  }
  throw new Error('unreachable: SHA-256 has 256 bits')
}
