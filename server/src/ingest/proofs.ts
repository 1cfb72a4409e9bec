/**
 * What a CAR proves of one record. This file is also what the verifying thread runs: it imports little, and what goes in
 * and comes out can be cloned.
 */
import { lexToJson } from '@atproto/lex'
import {
  MST,
  MemoryBlockstore,
  RepoVerificationError,
  def,
  formatDataKey,
  readCarWithRoot,
  verifyCommitSig,
} from '@atproto/repo'
import { isTid } from '@pollz/shared/tid'

/** A record's newest version, or its absence, as of the repo's commit `rev`. */
export type ProvenRecord = {
  did: string
  collection: string
  rkey: string
  rev: string
  /** as JSON has it, like the records of tap and of listRecords; null: proven not to exist */
  record: Record<string, unknown> | null
  /** of the record; undefined where there is none */
  cid: string | undefined
}

/** `key`: did:key of the repo's signing key. `begun`: shared with whoever waits; its first becomes 1 */
export type Proof = {
  car: Uint8Array
  at: { did: string; collection: string; rkey: string }
  key: string
  begun?: Int32Array
}

/**
 * Follows the one path of the tree that leads to the record: walking the whole tree never ends where its author has
 * nodes share their subtrees.
 *
 * @throws where the CAR proves neither the record nor its absence
 */
export async function verify({ car, at, key, begun }: Proof): Promise<ProvenRecord> {
  if (begun) Atomics.store(begun, 0, 1)
  const { root, blocks } = await readCarWithRoot(car)
  const store = new MemoryBlockstore(blocks)
  const commit = await store.readObj(root, def.commit)
  if (commit.did !== at.did) throw new RepoVerificationError(`the commit is of another did: ${commit.did}`)
  if (!isTid(commit.rev)) throw new RepoVerificationError('the commit has no rev')
  if (!(await verifyCommitSig(commit, key)))
    throw new RepoVerificationError('the signature of the commit is by another key')
  const cid = await MST.load(store, commit.data).get(formatDataKey(at.collection, at.rkey))
  const record = cid && (lexToJson(await store.readRecord(cid)) as Record<string, unknown>)
  return { ...at, rev: commit.rev, record, cid: cid?.toString() }
}
