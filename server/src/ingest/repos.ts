/**
 * Reads one record from its own PDS with its proof: the signed commit and the path to the record, or to its absence.
 * Nothing that a caller says about the record is trusted (design 4.2).
 */
import { isIP } from 'node:net'
import { getHandle, getKey, getPds, type DidDocument } from '@atproto/identity'
import { l } from '@atproto/lex'
import { parseAtUri } from '@pollz/shared/at-uri'
import { reasonOf } from '../log.ts'
import type { Budget } from './budget.ts'
import { isAhead } from '@pollz/shared/counting'
import { ACCOUNT_STATUSES, isDid, isHandle, type AccountStatus } from './events.ts'
import { createIdentities } from './identities.ts'
import { createOutbound, ReadFailure, type Fetch, type RepoRead } from './outbound.ts'
import type { ProvenRecord } from './proofs.ts'
import { createVerifier } from './verifier.ts'

export type { Gone, RepoError, RepoRead } from './outbound.ts'
export { verify, type ProvenRecord } from './proofs.ts'

/** A proof is a path of a tree and one record: a hundredth of this is usual. */
const MAX_PROOF = 128 * 1024
/** A hundred of the largest polls are 150 kB, or six times that where JSON escapes every character. */
const MAX_PAGE = 1024 * 1024
const MAX_STATUS = 8 * 1024
/** Collections, and with them a DID document. */
const MAX_DESCRIPTION = 128 * 1024

/** `budget`: who asks. */
export type Repos = {
  /** The DID of a DID or handle; a handle counts only if the DID's document names it too. */
  resolveRepo: (of: { repo: string; budget: Budget }) => Promise<RepoRead<string>>
  /** The handle that a DID's document names and that leads back to it; undefined: there is none, or nobody can say. */
  handleOf: (of: { did: string; budget: Budget }) => Promise<string | undefined>
  readRecord: (of: {
    did: string
    collection: string
    rkey: string
    budget: Budget
  }) => Promise<RepoRead<ProvenRecord>>
  /**
   * What those share who can have a server: the last two labels of the name of the host of a did:web's document, else of
   * the PDS; or its address.
   */
  hostOf: (of: { did: string; budget: Budget }) => Promise<RepoRead<string>>
  /** The collections (NSIDs) that a repo has records of: what the PDS says, without a proof. */
  collections: (of: { did: string; budget: Budget }) => Promise<RepoRead<string[]>>
  /** One page of a collection, the greatest record keys first: what the PDS says, without a proof. */
  listRecords: (of: {
    did: string
    collection: string
    cursor: string | undefined
    budget: Budget
  }) => Promise<RepoRead<RecordPage>>
  /** One page of those who have records of a collection: what a relay says, without a proof. */
  listRepos: (of: {
    relayUrl: string
    collection: string
    cursor: string | undefined
    budget: Budget
  }) => Promise<RepoRead<{ dids: string[]; cursor: string | undefined }>>
  /** What the PDS says that the DID's document names now. */
  status: (of: { did: string; budget: Budget }) => Promise<RepoRead<{ status: AccountStatus }>>
}

export type RecordPage = { records: { rkey: string; value: unknown }[]; cursor: string | undefined }

export function createRepos(options: {
  plcUrl: string
  handleResolverUrl: string | undefined
  /** allows http and private addresses: `Config.local` */
  local: boolean
  /** ends what is under way, and the threads that verify */
  signal: AbortSignal
  /** ms since 1970 */
  now?: () => number
}): Repos {
  const { plcUrl, handleResolverUrl, local, signal: stop, now = Date.now } = options
  const trusted = [plcUrl, handleResolverUrl ?? []].flat().map((url) => new URL(url).hostname)
  const outbound = createOutbound({ local, trusted, signal: stop })
  const identities = createIdentities({ plcUrl, handleResolverUrl, outbound })
  const verify = createVerifier(stop)
  const fetchProof = outbound.fetchAtMost(MAX_PROOF)
  const fetchPage = outbound.fetchAtMost(MAX_PAGE)
  const askRelay = outbound.fetchAtMost(MAX_PAGE, 'operator')
  const fetchStatus = outbound.fetchAtMost(MAX_STATUS)
  const fetchDescription = outbound.fetchAtMost(MAX_DESCRIPTION)

  return {
    async resolveRepo({ repo, budget }) {
      const handle = repo.toLowerCase()
      if (isDid(repo)) return { ok: true, value: repo }
      const unknown = () => new ReadFailure('RepoNotFound', `${handle} is no DID and no handle that resolves`)
      return outbound.read(budget, async (signal) => {
        const did = isHandle(handle) ? await identities.didOf(handle) : undefined
        if (did === undefined) throw unknown()
        return identities.withDocument(did, signal, async (document) => {
          const named = document.alsoKnownAs?.some((name) => name.toLowerCase() === `at://${handle}`)
          if (!named) throw unknown()
          return did
        })
      })
    },

    async handleOf({ did, budget }) {
      const read = await outbound.read(budget, (signal) =>
        identities.withDocument(did, signal, async (document) => {
          const handle = getHandle(document)?.toLowerCase()
          if (isHandle(handle) && (await identities.didOf(handle)) === did) return handle
          throw new ReadFailure('RepoNotFound', `${did} has no handle that leads back to it`)
        }),
      )
      return read.ok ? read.value : undefined
    },

    async hostOf({ did, budget }) {
      // No escape in it but that of a port's colon leads anywhere.
      const web = /^did:web:([^:%]*)/.exec(did)?.[1]
      if (web !== undefined) return { ok: true, value: siteOf(web) }
      return outbound.read(budget, (signal) =>
        identities.withDocument(did, signal, async (document) => siteOf(new URL(pdsOf(document)).hostname)),
      )
    },

    readRecord: ({ did, collection, rkey, budget }) =>
      outbound.read(budget, (signal) =>
        identities.withDocument(did, signal, async (document) => {
          const key = keyOf(document)
          const response = await askPds({
            fetch: fetchProof,
            document,
            nsid: 'com.atproto.sync.getRecord',
            params: { did, collection, rkey },
            signal,
          })
          const car = new Uint8Array(await response.arrayBuffer())
          const proven = await verify({ car, at: { did, collection, rkey }, key }, signal)
          if (isAhead(proven.rev, now()))
            throw new ReadFailure('InvalidProof', `${did}: the rev ${proven.rev} is ahead of our clock`)
          return proven
        }),
      ),

    collections: ({ did, budget }) =>
      outbound.read(budget, (signal) =>
        identities.withDocument(did, signal, async (document) => {
          const response = await askPds({
            fetch: fetchDescription,
            document,
            nsid: 'com.atproto.repo.describeRepo',
            params: { repo: did },
            signal,
          })
          return (await read(repoDescription, did, response)).collections
        }),
      ),

    listRecords: ({ did, collection, cursor, budget }) =>
      outbound.read(budget, (signal) =>
        identities.withDocument(did, signal, async (document) => {
          const response = await askPds({
            fetch: fetchPage,
            document,
            nsid: 'com.atproto.repo.listRecords',
            params: { repo: did, collection, limit: '100', ...(cursor === undefined ? {} : { cursor }) },
            signal,
          })
          const page = await read(recordPage, did, response)
          const records = page.records.map(({ uri, value }) => ({ rkey: parseAtUri(uri)?.rkey ?? '', value }))
          return { records, cursor: nextOf(page) }
        }),
      ),

    listRepos: ({ relayUrl, collection, cursor, budget }) =>
      outbound.read(budget, async (signal) => {
        const url = new URL('/xrpc/com.atproto.sync.listReposByCollection', relayUrl)
        url.search = new URLSearchParams({
          collection,
          limit: '500',
          ...(cursor === undefined ? {} : { cursor }),
        }).toString()
        const response = await askRelay(url, { redirect: 'error', signal })
        if (!response.ok) throw new ReadFailure('UpstreamFailure', `${relayUrl} answered ${response.status}`)
        const page = await read(repoPage, relayUrl, response)
        return { dids: page.repos.map(({ did }) => did).filter(isDid), cursor: nextOf(page) }
      }),

    status: ({ did, budget }) =>
      outbound.read(budget, async (signal) => {
        const response = await askPds({
          fetch: fetchStatus,
          document: await identities.document(did),
          nsid: 'com.atproto.sync.getRepoStatus',
          params: { did },
          signal,
        })
        const { did: of, active, status } = await read(repoStatus, did, response)
        if (of !== did) throw new ReadFailure('UpstreamFailure', `${did}: its PDS answered of ${of}`)
        if (active) return { status: 'active' as const }
        // What an account that is not active may be besides (throttled, desynchronized) counts as the mildest of these.
        const known = ACCOUNT_STATUSES.find((it) => it === status && it !== 'active')
        return { status: known ?? 'deactivated' }
      }),
  }
}

const recordPage = l.object({
  records: l.array(l.object({ uri: l.string(), value: l.unknown() })),
  cursor: l.optional(l.string()),
})
const repoDescription = l.object({ collections: l.array(l.string()) })
const repoPage = l.object({
  repos: l.array(l.object({ did: l.string() })),
  cursor: l.optional(l.string()),
})
/** Some end a list with an empty cursor. */
const nextOf = ({ cursor }: { cursor?: string | undefined }) => (cursor === '' ? undefined : cursor)
const repoStatus = l.object({ did: l.string(), active: l.boolean(), status: l.optional(l.string()) })

async function read<T>(
  schema: { safeParse: (value: unknown) => { success: true; value: T } | { success: false; reason: Error } },
  whose: string,
  response: Response,
): Promise<T> {
  const body = schema.safeParse(await response.json().catch(() => undefined))
  if (!body.success) throw new ReadFailure('UpstreamFailure', `${whose}: ${body.reason.message}`)
  return body.value
}

/** did:key of the repo's signing key */
function keyOf(document: DidDocument): string {
  let key: string | undefined
  try {
    key = getKey(document)
  } catch (error) {
    throw new ReadFailure('InvalidProof', `${document.id}: its signing key is none: ${reasonOf(error)}`)
  }
  if (!key) throw new ReadFailure('RepoNotFound', `${document.id} names no signing key`)
  return key
}

function pdsOf(document: DidDocument): string {
  const pds = getPds(document)
  if (!pds) throw new ReadFailure('RepoNotFound', `${document.id} names no PDS`)
  return pds
}

/** One who has a name has as many hosts below it as they like. */
const siteOf = (hostname: string) =>
  isIP(hostname.replace(/^\[|\]$/g, '')) ? hostname : hostname.toLowerCase().split('.').slice(-2).join('.')

/** GET on the PDS that a DID's document names. */
async function askPds(ask: {
  fetch: Fetch
  document: DidDocument
  nsid: string
  params: Record<string, string>
  signal: AbortSignal
}): Promise<Response> {
  const pds = pdsOf(ask.document)
  const url = new URL(`/xrpc/${ask.nsid}`, pds)
  url.search = new URLSearchParams(ask.params).toString()
  const response = await ask.fetch(url, { redirect: 'error', signal: ask.signal })
  if (response.ok) return response
  const body: unknown = await response.json().catch(() => undefined)
  const said = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  // It is kept for a while, and may be as long as a proof.
  const error = typeof said === 'string' ? said.slice(0, 64) : undefined
  const message = `${pds} answered ${response.status} ${typeof error === 'string' ? error : ''}`.trim()
  if (error === 'RepoTakendown' || error === 'RepoSuspended' || error === 'RepoDeactivated')
    throw new ReadFailure('RepoInactive', message)
  if (error === 'RepoNotFound') throw new ReadFailure('RepoNotFound', message, 'NotHosted')
  throw new ReadFailure('UpstreamFailure', message)
}
