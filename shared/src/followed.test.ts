import { expect, test } from 'vitest'
import { ENTRY, findVoters, voterEntry, voterHash } from './followed.ts'

const listOf = (...voters: [string, number[]][]) => {
  const list = new Uint8Array(voters.length * ENTRY)
  for (const [i, [did, options]] of voters.entries()) list.set(voterEntry(did, options), i * ENTRY)
  return list
}
const people = (...dids: string[]) => new Map(dids.map((did) => [voterHash(did), did]))

test('those who are followed are found with what they chose, and nobody else', () => {
  const list = listOf(['did:plc:a', [1]], ['did:plc:b', [0, 9]], ['did:plc:c', [2]])
  expect(findVoters(list, people('did:plc:b', 'did:plc:c', 'did:plc:d'))).toEqual(
    new Map([
      ['did:plc:b', [0, 9]],
      ['did:plc:c', [2]],
    ]),
  )
})

test('C11: a voter with a record for each option has them all', () => {
  const list = listOf(['did:plc:a', [3]], ['did:plc:a', [1]])
  expect(findVoters(list, people('did:plc:a')).get('did:plc:a')).toEqual([1, 3])
})

test('a list that was cut off, or lies anywhere in its buffer, is read as far as it goes', () => {
  const whole = listOf(['did:plc:a', [0]], ['did:plc:b', [0]])
  const around = new Uint8Array(whole.length + 5)
  around.set(whole, 3)
  expect(findVoters(around.subarray(3, 3 + ENTRY + 2), people('did:plc:a', 'did:plc:b'))).toEqual(
    new Map([['did:plc:a', [0]]]),
  )
})

test('a hash is of 48 bits, the first of SHA-256', () => {
  // echo -n did:plc:a | sha256sum
  expect(voterHash('did:plc:a')).toBeLessThan(2 ** 48)
  expect(voterHash('did:plc:a')).not.toBe(voterHash('did:plc:b'))
})
