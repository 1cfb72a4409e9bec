/** The record key of a vote: design rule 4.1, one idempotent `putRecord` for voting and voting again. */
import { sha256 } from '@noble/hashes/sha2.js'
import { ALPHABET } from './tid.ts'

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
