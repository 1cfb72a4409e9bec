/** What a CAR from a PDS proves of one record: that it is there in this version, or that it is not there. */
import { fromUint8Array } from '@atcute/car'
import { decode, encode, fromBytes } from '@atcute/cbor'
import { create, toString, type Cid } from '@atcute/cid'
import {
  P256PublicKey,
  Secp256k1PublicKey,
  parsePublicMultikey,
  type FoundPublicKey,
  type PublicKey,
} from '@atcute/crypto'
import { MemoryBlockStore, NodeStore, verifyExclusion } from '@atcute/mst'
import { isCommit, verifyRecord, type Commit } from '@atcute/repo'
import { toBase58Btc } from '@atcute/multibase'
import type { Gap } from '@pollz/shared/checks'
import type { RecordAt } from '@pollz/shared/families'
import { isTid } from '@pollz/shared/tid'

/** A repo's record as of its commit `rev`. `record`: as JSON has it; null: it is proved not to be there */
export type Proven = { rev: string; record: unknown }

/** Why a CAR proves nothing. */
export type NoProof = Extract<Gap, 'signature' | 'otherRepo' | 'noProof'>

export class Unproved extends Error {
  readonly why: NoProof

  constructor(why: NoProof, cause?: unknown) {
    super(why, { cause })
    this.why = why
  }
}

/** @throws Unproved */
export async function prove(car: Uint8Array<ArrayBuffer>, at: RecordAt, key: PublicKey): Promise<Proven> {
  const commit = await readCommit(car).catch((error: unknown) => {
    throw new Unproved('noProof', error)
  })
  if (commit.did !== at.did) throw new Unproved('otherRepo')
  const { sig, ...unsigned } = commit
  if (!(await key.verify(fromBytes(sig), encode(unsigned)).catch(() => false)))
    throw new Unproved('signature')
  try {
    const { did, collection, rkey } = at
    const found = await verifyRecord({
      did: did as `did:plc:${string}`,
      collection,
      rkey,
      publicKey: key,
      carBytes: car,
    }).catch(async (error: unknown) => {
      await proveAbsence(car, commit, `${collection}/${rkey}`).catch(() => {
        throw error
      })
      return { record: null }
    })
    return { rev: commit.rev, record: found.record }
  } catch (error) {
    throw new Unproved('noProof', error)
  }
}

/** The commit that a CAR begins with, whose bytes are those that its name says. */
async function readCommit(car: Uint8Array<ArrayBuffer>): Promise<Commit> {
  const reader = fromUint8Array(car)
  const root = reader.header.data.roots[0]!.$link
  for (const { cid, bytes } of reader) {
    if (toString(cid) !== root) continue
    if ((await nameOf(cid, bytes)) !== root) throw new Error('the commit is another')
    const commit: unknown = decode(bytes)
    if (!isCommit(commit) || !isTid(commit.rev)) throw new Error('there is no commit')
    return commit
  }
  throw new Error('there is no commit')
}

/** The CID that a block should have. */
const nameOf = async ({ codec }: Cid, bytes: Uint8Array) =>
  toString(await create(codec as 0x71, bytes as Uint8Array<ArrayBuffer>))

/** @throws where the tree is not all there on the way to the record, or leads to it */
async function proveAbsence(car: Uint8Array<ArrayBuffer>, { data }: Commit, path: string): Promise<void> {
  const blocks = new Map<string, Uint8Array<ArrayBuffer>>()
  for (const { cid, bytes } of fromUint8Array(car)) {
    // A block that is not what its name says would prove anything.
    const name = await nameOf(cid, bytes)
    if (name === toString(cid)) blocks.set(name, bytes as Uint8Array<ArrayBuffer>)
  }
  await verifyExclusion(new NodeStore(new MemoryBlockStore(blocks)), data.$link, path)
}

/** @throws where it is none */
export const keyOfText = async (multikey: string) => keyOf(parsePublicMultikey(multikey))

const PREFIX = { p256: [0x80, 0x24], secp256k1: [0xe7, 0x01] }

/** The key as a multikey, as a proof is kept with it. */
export const textOfKey = ({ type, publicKeyBytes }: FoundPublicKey) =>
  `z${toBase58Btc(Uint8Array.of(...PREFIX[type], ...compress(publicKeyBytes)))}`

/** @throws where it is none */
export function keyOf({ type, publicKeyBytes }: FoundPublicKey): Promise<PublicKey> {
  const compressed = compress(publicKeyBytes)
  return type === 'p256' ? P256PublicKey.importRaw(compressed) : Secp256k1PublicKey.importRaw(compressed)
}

/** The PLC directory gives keys of the legacy types as a whole point, and not all who read keys take that. */
const compress = (point: Uint8Array<ArrayBuffer>) =>
  point.length === 65 && point[0] === 4
    ? Uint8Array.of(2 + (point[64]! & 1), ...point.subarray(1, 33))
    : point
