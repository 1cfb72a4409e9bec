import { createHash } from 'node:crypto'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** The CID of a record, as far as clients look at it: version 1, DAG-CBOR, SHA-256; but what is hashed is its JSON. */
export function cidOf(record: unknown): string {
  const hash = createHash('sha256').update(JSON.stringify(record)).digest()
  const bits = [1, 0x71, 0x12, hash.length, ...hash].map((it) => it.toString(2).padStart(8, '0')).join('')
  return `b${bits
    .match(/.{1,5}/g)!
    .map((it) => ALPHABET[Number.parseInt(it.padEnd(5, '0'), 2)])
    .join('')}`
}
