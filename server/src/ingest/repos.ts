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
import { l } from '@atproto/lex'
import pLimit from 'p-limit'
import { reasonOf } from '../log.ts'
import { isTid } from '@pollz/shared/tid'
import { isDid, isHandle } from './events.ts'

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
  /** too many reads are waiting already */
  | 'Busy'

export type RepoRead<T> = { ok: true; value: T } | { ok: false; error: RepoError; message: string }

/** A proof is a path of a tree and one record: a thousandth of this is usual. */
const MAX_PROOF = 1024 * 1024
const TIMEOUT = 10_000
/** Reads from PDSes under way at once, and waiting, whoever asked for them. */
const MAX_UNDERWAY = 32
const MAX_WAITING = 1000

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
  /** The handle that a DID's document names and that leads back to it; undefined: there is none, or nobody can say. */
  handleOf(did: string): Promise<string | undefined>
  readRecord(did: string, collection: string, rkey: string): Promise<RepoRead<ProvenRecord>>
  /** One page of a collection, the greatest record keys first: what the PDS says, without a proof. */
  listRecords(did: string, collection: string, cursor: string | undefined): Promise<RepoRead<RecordPage>>
}

export type RecordPage = { records: { rkey: string; value: unknown }[]; cursor: string | undefined }

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
  const limit = pLimit(MAX_UNDERWAY)

  async function limited<T>(read: () => Promise<RepoRead<T>>): Promise<RepoRead<T>> {
    if (limit.pendingCount >= MAX_WAITING)
      return { ok: false, error: 'Busy', message: 'too many records are being read: try again later' }
    return limit(read)
  }

  /** GET on the PDS that a DID's document names. */
  async function get(
    document: DidDocument,
    nsid: string,
    params: Record<string, string>,
  ): Promise<RepoRead<Response>> {
    const pds = getPds(document)
    if (!pds) return { ok: false, error: 'RepoNotFound', message: `${document.id} names no PDS` }
    const url = new URL(`/xrpc/${nsid}`, pds)
    url.search = new URLSearchParams(params).toString()
    try {
      const response = await fetch(url, { redirect: 'error' })
      return response.ok ? { ok: true, value: response } : await refusal(pds, response)
    } catch (error) {
      return { ok: false, error: 'UpstreamFailure', message: `${pds}: ${reasonOf(error)}` }
    }
  }

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

    async handleOf(did) {
      const document = await resolveDid(did)
      if (!document.ok) return undefined
      const name = document.value.alsoKnownAs?.find((it) => it.startsWith('at://'))
      const handle = name?.slice('at://'.length).toLowerCase()
      if (!isHandle(handle)) return undefined
      const back = await resolveHandle(handle).catch(() => undefined)
      return back === did ? handle : undefined
    },

    readRecord: (did, collection, rkey) =>
      limited(async () => {
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
          if (!key) return { ok: false, error: 'RepoNotFound', message: `${did} names no signing key` }
          const response = await get(document.value, 'com.atproto.sync.getRecord', { did, collection, rkey })
          if (!response.ok) return response
          try {
            const car = new Uint8Array(await response.value.arrayBuffer())
            return { ok: true, value: await verify(car, { did, collection, rkey }, key) }
          } catch (error) {
            return { ok: false, error: 'InvalidProof', message: `${response.value.url}: ${reasonOf(error)}` }
          }
        }
      }),

    listRecords: (did, collection, cursor) =>
      limited(async () => {
        const document = await resolveDid(did)
        if (!document.ok) return document
        const response = await get(document.value, 'com.atproto.repo.listRecords', {
          repo: did,
          collection,
          limit: '100',
          ...(cursor === undefined ? {} : { cursor }),
        })
        if (!response.ok) return response
        const body = recordPage.safeParse(await response.value.json().catch(() => undefined))
        if (!body.success)
          return { ok: false, error: 'UpstreamFailure', message: `${did}: ${body.reason.message}` }
        const records = body.value.records.map(({ uri, value }) => ({ rkey: uri.split('/')[4] ?? '', value }))
        return { ok: true, value: { records, cursor: body.value.cursor } }
      }),
  }
}

const recordPage = l.object({
  records: l.array(l.object({ uri: l.string(), value: l.unknown() })),
  cursor: l.optional(l.string()),
})

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
