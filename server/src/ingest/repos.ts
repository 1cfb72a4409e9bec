/**
 * Reads one record from its own PDS with its proof: the signed commit and the path to the record, or to its absence.
 * Nothing that a caller says about the record is trusted (design 4.2).
 */
import { safeFetchWrap } from '@atproto-labs/fetch-node'
import { DidResolver, HandleResolver, MemoryCache, getKey, getPds, type DidDocument } from '@atproto/identity'
import {
  MemoryBlockstore,
  RepoVerificationError,
  def,
  readCarWithRoot,
  verifyProofs,
  verifyRecords,
} from '@atproto/repo'
import { reasonOf } from '../log.ts'
import { isDid, isHandle, isTid } from './events.ts'

/** A record's newest version, or its absence, as of the repo's commit `rev`. */
export type ProvenRecord = {
  did: string
  collection: string
  rkey: string
  rev: string
  /** null: proven not to exist */
  record: Record<string, unknown> | null
}

export type RepoError =
  /** there is no such account or PDS */
  | 'RepoNotFound'
  /** the PDS says that the account is not active */
  | 'RepoInactive'
  /** the PDS could not be reached, or answered something else */
  | 'UpstreamFailure'
  /** the answer doesn't prove what it says */
  | 'InvalidProof'

export type RepoRead<T> = { ok: true; value: T } | { ok: false; error: RepoError; message: string }

/** A proof is a path of a tree and one record: a thousandth of this is usual. */
const MAX_PROOF = 1024 * 1024
const TIMEOUT = 10_000

/** DID documents kept in memory: some kilobytes each. */
const MAX_DOCUMENTS = 10_000

class BoundedCache extends MemoryCache {
  override async cacheDid(did: string, document: DidDocument): Promise<void> {
    if (this.cache.size >= MAX_DOCUMENTS) this.cache.clear()
    await super.cacheDid(did, document)
  }
}

export type Repos = {
  /** The DID of a DID or handle; a handle counts only if the DID's document names it too. */
  resolveRepo(repo: string): Promise<RepoRead<string>>
  readRecord(did: string, collection: string, rkey: string): Promise<RepoRead<ProvenRecord>>
}

export function createRepos(options: {
  plcUrl: string
  handleResolverUrl: string | undefined
  /** allows http and private addresses: `Config.local` */
  local: boolean
}): Repos {
  const { local } = options
  const fetch = safeFetchWrap({
    allowHttp: local,
    allowPrivateIps: local,
    allowIpHost: local,
    allowCustomPort: true,
    ssrfProtection: !local,
    responseMaxSize: MAX_PROOF,
    timeout: TIMEOUT,
    ...(local ? { forbiddenDomainNames: [] } : {}),
  })
  const dids = new DidResolver({
    plcUrl: options.plcUrl,
    timeout: TIMEOUT,
    didCache: new BoundedCache(60_000, 3_600_000),
    fetch,
  })
  const handles = new HandleResolver({ timeout: TIMEOUT, fetch })

  async function resolveHandle(handle: string): Promise<string | undefined> {
    if (!options.handleResolverUrl) return handles.resolve(handle)
    const url = new URL('/xrpc/com.atproto.identity.resolveHandle', options.handleResolverUrl)
    url.searchParams.set('handle', handle)
    const response = await fetch(url, { redirect: 'error' })
    const body: unknown = await response.json()
    const did = typeof body === 'object' && body !== null && 'did' in body ? body.did : undefined
    return isDid(did) ? did : undefined
  }

  async function resolveDid(did: string, fresh = false): Promise<RepoRead<DidDocument>> {
    try {
      const document = await dids.resolve(did, fresh)
      return document
        ? { ok: true, value: document }
        : { ok: false, error: 'RepoNotFound', message: `${did} has no DID document` }
    } catch (error) {
      return { ok: false, error: 'UpstreamFailure', message: `${did}: ${reasonOf(error)}` }
    }
  }

  return {
    async resolveRepo(repo) {
      const handle = repo.toLowerCase()
      if (isDid(repo)) return { ok: true, value: repo }
      const unknown = {
        ok: false as const,
        error: 'RepoNotFound' as const,
        message: `${handle} is no DID and no handle that resolves`,
      }
      if (!isHandle(handle)) return unknown
      try {
        const did = await resolveHandle(handle)
        if (!did) return unknown
        const document = await resolveDid(did)
        if (!document.ok) return document
        const named = document.value.alsoKnownAs?.some((name) => name.toLowerCase() === `at://${handle}`)
        return named ? { ok: true, value: did } : unknown
      } catch (error) {
        return { ok: false, error: 'UpstreamFailure', message: `${handle}: ${reasonOf(error)}` }
      }
    },

    async readRecord(did, collection, rkey) {
      // A key that was rotated, or a repo that has moved, shows as a proof that fails: then the cached
      // document is the first suspect.
      const first = await readWith(false)
      return !first.ok && (first.error === 'InvalidProof' || first.error === 'UpstreamFailure')
        ? readWith(true)
        : first

      async function readWith(fresh: boolean): Promise<RepoRead<ProvenRecord>> {
        const document = await resolveDid(did, fresh)
        if (!document.ok) return document
        const key = getKey(document.value)
        const pds = getPds(document.value)
        if (!key || !pds)
          return { ok: false, error: 'RepoNotFound', message: `${did} names no PDS or no signing key` }

        const url = new URL('/xrpc/com.atproto.sync.getRecord', pds)
        url.search = new URLSearchParams({ did, collection, rkey }).toString()
        let car: Uint8Array
        try {
          const response = await fetch(url, { redirect: 'error' })
          if (!response.ok) return refusal(pds, response)
          car = new Uint8Array(await response.arrayBuffer())
        } catch (error) {
          return { ok: false, error: 'UpstreamFailure', message: `${pds}: ${reasonOf(error)}` }
        }
        try {
          return { ok: true, value: await verify(car, { did, collection, rkey }, key) }
        } catch (error) {
          return { ok: false, error: 'InvalidProof', message: `${pds}: ${reasonOf(error)}` }
        }
      }
    },
  }
}

async function refusal(pds: string, response: Response): Promise<RepoRead<never>> {
  const body: unknown = await response.json().catch(() => undefined)
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  const message = `${pds} answered ${response.status} ${typeof error === 'string' ? error : ''}`.trim()
  if (error === 'RepoTakendown' || error === 'RepoSuspended' || error === 'RepoDeactivated')
    return { ok: false, error: 'RepoInactive', message }
  if (error === 'RepoNotFound') return { ok: false, error, message }
  return { ok: false, error: 'UpstreamFailure', message }
}

/**
 * @param key did:key of the repo's signing key
 * @throws where the CAR proves neither the record nor its absence
 */
export async function verify(
  car: Uint8Array,
  at: { did: string; collection: string; rkey: string },
  key: string,
): Promise<ProvenRecord> {
  const { root, blocks } = await readCarWithRoot(car)
  const { rev } = await new MemoryBlockstore(blocks).readObj(root, def.commit)
  if (!isTid(rev)) throw new RepoVerificationError('the commit has no rev')
  const records = await verifyRecords(car, at.did, key)
  const found = records.find(({ collection, rkey }) => collection === at.collection && rkey === at.rkey)
  if (found) return { ...at, rev, record: found.record as Record<string, unknown> }
  const { verified } = await verifyProofs(
    car,
    [{ collection: at.collection, rkey: at.rkey, cid: null }],
    at.did,
    key,
  )
  if (verified.length === 0) throw new RepoVerificationError('neither the record nor its absence is proven')
  return { ...at, rev, record: null }
}
