/**
 * Who of the people that somebody follows has voted, without anybody being asked about them: the server gives everybody
 * the same list of all voters, as short hashes with what they chose, and the browser looks its own people up in it.
 */
import { sha256 } from '@noble/hashes/sha2.js'

/** Bytes of a hash: of a million voters and ten thousand followed, one pair in thirty thousand polls is mistaken. */
const HASH = 6
/** Bytes of a set of options. */
const SET = 2
export const ENTRY = HASH + SET

const text = new TextEncoder()

/** @returns the first bits of the SHA-256 of a DID, as a number */
export function voterHash(did: string): number {
  let hash = 0
  for (const byte of sha256(text.encode(did)).subarray(0, HASH)) hash = hash * 256 + byte
  return hash
}

/** A voter's entry. Where each option has a record of its own, so has it an entry. */
export function voterEntry(did: string, options: readonly number[]): Uint8Array {
  const entry = new Uint8Array(ENTRY)
  const view = new DataView(entry.buffer)
  const hash = voterHash(did)
  view.setUint32(0, Math.floor(hash / 65_536))
  view.setUint16(4, hash % 65_536)
  view.setUint16(
    HASH,
    options.reduce((set, option) => set | (1 << option), 0),
  )
  return entry
}

/**
 * @param people DIDs by their hash
 * @returns options by DID, in ascending order, of those who are in the list
 */
export function findVoters(
  list: Uint8Array<ArrayBuffer>,
  people: ReadonlyMap<number, string>,
): Map<string, number[]> {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength)
  const sets = new Map<string, number>()
  for (let at = 0; at + ENTRY <= list.byteLength; at += ENTRY) {
    const did = people.get(view.getUint32(at) * 65_536 + view.getUint16(at + 4))
    if (did !== undefined) sets.set(did, (sets.get(did) ?? 0) | view.getUint16(at + HASH))
  }
  return new Map(
    [...sets].map(([did, set]) => [
      did,
      Array.from({ length: 16 }, (_, i) => i).filter((i) => (set >> i) & 1),
    ]),
  )
}
