/** An archive of an election: every proof, to be counted again by anyone, offline, years later. */
import { fromBase64, toBase64 } from '@atcute/multibase'
import { parseAtUri } from '@pollz/shared/at-uri'
import { check } from '@pollz/shared/check'
import { GAPS, type Gap } from '@pollz/shared/checks'
import { countedVotes } from '@pollz/shared/wire'
import * as v from 'valibot'
import type { Checked } from './check.ts'
import { judge, type Case } from './judge.ts'
import { Unproved, keyOfText, prove } from './proofs.ts'
import type { Evidence, Proof } from './repos.ts'

const archive = v.object({
  format: v.literal('pollz-check/1'),
  /** RFC 3339 */
  at: v.string(),
  poll: v.string(),
  claim: v.optional(v.unknown()),
  others: v.array(v.string()),
  /** by at-uri: the CAR in base64 and the key of that day, or why there was none */
  proofs: v.record(
    v.string(),
    v.union([v.object({ car: v.string(), key: v.string() }), v.object({ why: v.picklist(GAPS) })]),
  ),
})
type Archive = v.InferOutput<typeof archive>

/** @param proofs by at-uri, as `checkPoll` has told of them */
export function toArchive(
  { at, asked, doubts, findings }: Checked,
  proofs: ReadonlyMap<string, Proof>,
): Archive {
  const failed = [
    ...doubts.flatMap(({ uri, why }) => (isGap(why) ? [[uri, { why }] as const] : [])),
    ...findings.flatMap(({ uri, fault }) => (fault === 'inactive' ? [[uri, { why: fault }] as const] : [])),
  ]
  return {
    format: 'pollz-check/1',
    at,
    poll: asked.poll,
    ...(asked.claim ? { claim: asked.claim } : {}),
    others: [...asked.others],
    proofs: {
      ...Object.fromEntries(failed),
      ...Object.fromEntries(
        [...proofs].map(([uri, { car, multikey }]) => [uri, { car: toBase64(car), key: multikey }]),
      ),
    },
  }
}

const isGap = (why: string): why is Gap => GAPS.some((it) => it === why)

/** Counts an archive again. @throws where it is none, with the field that is wrong */
export async function fromArchive(data: unknown): Promise<Checked> {
  const read = v.safeParse(archive, data)
  if (!read.success)
    throw new Error(`${v.getDotPath(read.issues[0]) ?? 'archive'}: ${read.issues[0].message}`)
  const { at, poll, others, proofs } = read.output
  const claim = read.output.claim === undefined ? undefined : check(countedVotes, read.output.claim)
  if (claim?.ok === false) throw new Error(`claim: ${claim.reason}`)
  const evidence = new Map<string, Evidence>()
  for (const [uri, proof] of Object.entries(proofs)) {
    const parts = parseAtUri(uri)
    if (!parts) throw new Error(`proofs: not the at-uri of a record: "${uri}"`)
    const { repo: did, collection, rkey } = parts
    evidence.set(
      uri,
      'why' in proof ? { ok: false, why: proof.why } : await proveAgain(proof, { did, collection, rkey }),
    )
  }
  const asked: Omit<Case, 'evidence'> = { poll, claim: claim?.value, others }
  return { ...judge({ ...asked, evidence }), at, asked }
}

async function proveAgain(
  { car, key }: { car: string; key: string },
  at: { did: string; collection: string; rkey: string },
): Promise<Evidence> {
  try {
    return { ok: true, ...(await prove(fromBase64(car), at, await keyOfText(key))) }
  } catch (error) {
    return { ok: false, why: error instanceof Unproved ? error.why : 'noProof' }
  }
}
