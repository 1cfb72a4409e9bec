/** Who an account is: the documents of DIDs, and the DIDs of handles. */
import { Resolver } from 'node:dns/promises'
import { isDeepStrictEqual } from 'node:util'
import { DidResolver, HandleResolver, type DidDocument } from '@atproto/identity'
import { LRUCache } from 'lru-cache'
import { reasonOf } from '../log.ts'
import { isDid } from './events.ts'
import { ReadFailure, type Outbound } from './outbound.ts'

/** A document has about a kilobyte. */
const MAX_DOCUMENT = 64 * 1024
/** Bytes of documents, as JSON, and of handles with their DIDs. */
const MAX_DOCUMENTS = 32 * 1024 * 1024
const MAX_HANDLES = 4 * 1024 * 1024

/** How long a document is believed, a handle, and that a handle is nobody's, in ms. */
const KEEP_DOCUMENT = 600_000
const KEEP_HANDLE = 300_000
const KEEP_NOBODY = 10_000

export type Identities = {
  /** Bytes of the documents that are kept. */
  readonly bytes: number
  /**
   * Hands a DID's document to `use`. Where that fails with a document that was kept, the document is the first suspect
   * (a key was rotated, a repo or a handle moved): it is read anew, and used again if it says something else.
   */
  withDocument: <T>(
    did: string,
    signal: AbortSignal,
    use: (document: DidDocument) => Promise<T>,
  ) => Promise<T>
  /** The document as it is now. */
  document: (did: string) => Promise<DidDocument>
  /** What the handle says; the DID's document may say otherwise. undefined: it is nobody's */
  didOf: (handle: string) => Promise<string | undefined>
}

export function createIdentities(options: {
  plcUrl: string
  /** undefined: DNS and .well-known are asked */
  handleResolverUrl: string | undefined
  outbound: Outbound
}): Identities {
  const { plcUrl, handleResolverUrl, outbound } = options
  const fetch = outbound.fetchAtMost(MAX_DOCUMENT)
  const askOperators = outbound.fetchAtMost(MAX_DOCUMENT, 'operator')

  // Whoever asks while a document is on its way waits for that one. Nobody's deadline ends it for the others.
  const documents = new LRUCache<string, DidDocument>({
    maxSize: MAX_DOCUMENTS,
    sizeCalculation: (document, did) => did.length + Buffer.byteLength(JSON.stringify(document)),
    ttl: KEEP_DOCUMENT,
    ignoreFetchAbort: true,
    fetchMethod: fetchDocument,
  })
  const handles = new LRUCache<string, { did: string | undefined }>({
    maxSize: MAX_HANDLES,
    sizeCalculation: ({ did = '' }, handle) => handle.length + did.length + 1,
    ttl: KEEP_HANDLE,
    ignoreFetchAbort: true,
    fetchMethod: async (handle, _, { options: kept }) => {
      const did = await (handleResolverUrl === undefined
        ? askHandle(handle)
        : askResolver(handleResolverUrl, handle))
      if (did === undefined) kept.ttl = KEEP_NOBODY
      return { did }
    },
  })

  async function fetchDocument(did: string): Promise<DidDocument> {
    const signal = outbound.deadline()
    const resolver = new DidResolver({
      plcUrl,
      fetch: async (url, init) => {
        const ask = did.startsWith('did:plc:') ? askOperators : fetch
        const response = await ask(url as URL, { signal, redirect: 'error', headers: init?.headers })
        if (response.status === 410)
          throw new ReadFailure('RepoNotFound', 'it was tombstoned', 'DidTombstoned')
        // The resolver takes every refusal of a did:web's host for its word that there is no such DID.
        if (!response.ok && response.status !== 404)
          throw new ReadFailure('UpstreamFailure', `its host answered ${response.status}`)
        return response
      },
    })
    const document = await resolver.resolveNoCache(did).catch((error: unknown) => {
      const { error: kind, gone } =
        error instanceof ReadFailure ? error : new ReadFailure('UpstreamFailure', '')
      throw new ReadFailure(kind, `${did}: ${reasonOf(error)}`, gone)
    })
    if (!document) throw new ReadFailure('RepoNotFound', `${did} has no DID document`, 'DidNotFound')
    return document
  }

  async function askResolver(service: string, handle: string): Promise<string | undefined> {
    const url = new URL('/xrpc/com.atproto.identity.resolveHandle', service)
    url.searchParams.set('handle', handle)
    const response = await askOperators(url, { signal: outbound.deadline(), redirect: 'error' })
    if (response.status >= 500)
      throw new ReadFailure('UpstreamFailure', `${handle}: ${url.host} answered ${response.status}`)
    const body: unknown = await response.json().catch(() => undefined)
    const did = typeof body === 'object' && body !== null && 'did' in body ? body.did : undefined
    return isDid(did) ? did : undefined
  }

  async function askHandle(handle: string): Promise<string | undefined> {
    const signal = outbound.deadline()
    let busy: ReadFailure | undefined
    const resolver = new HandleResolver({
      // The resolver drops what this throws: a handle that we had no time for must not count as nobody's.
      fetch: (url) =>
        fetch(url as URL, { signal, redirect: 'follow' }).catch((error: unknown) => {
          if (error instanceof ReadFailure && error.error === 'Busy') busy = error
          throw error
        }),
    })
    // The system's own patience with a silent name server is longer than ours.
    const dns = new Resolver({ timeout: 2_000, tries: 2 })
    resolver.resolveDns = (name) =>
      outbound
        .contact(name, signal, () => dns.resolveTxt(`_atproto.${name}`))
        .then(
          (records) => resolver.parseDnsResult(records),
          () => undefined,
        )
    const did = await resolver.resolve(handle)
    if (did === undefined && busy) throw busy
    return isDid(did) ? did : undefined
  }

  return {
    get bytes() {
      return documents.calculatedSize
    },

    async withDocument(did, signal, use) {
      const kept = documents.get(did)
      try {
        return await use(kept ?? (await documents.fetch(did))!)
      } catch (error) {
        if (!(error instanceof ReadFailure) || error.error === 'Busy') throw error
        // Where no time is left for a fresh one, the next read starts with it.
        documents.delete(did)
        if (!kept || signal.aborted) throw error
        const fresh = (await documents.fetch(did))!
        if (isDeepStrictEqual(fresh, kept)) throw error
        return use(fresh)
      }
    },

    document: async (did) => (await documents.fetch(did, { forceRefresh: true }))!,

    didOf: async (handle) => (await handles.fetch(handle))!.did,
  }
}
