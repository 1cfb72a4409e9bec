/** Reads records with their proofs, each from the PDS that its repo's DID document names. Nobody else is asked. */
import { getPublicKeyFromDidController } from '@atcute/crypto'
import { getAtprotoVerificationMaterial, getPdsEndpoint, type DidDocument } from '@atcute/identity'
import {
  CompositeDidDocumentResolver,
  DocumentNotFoundError,
  PlcDidDocumentResolver,
  WebDidDocumentResolver,
} from '@atcute/identity-resolver'
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Gap } from '@pollz/shared/checks'
import { isAhead } from '@pollz/shared/counting'
import { isLoopback } from '@pollz/shared/links'
import { readAtMost } from '@pollz/shared/read-at-most'
import pLimit, { type LimitFunction } from 'p-limit'
import { Unproved, keyOf, prove, textOfKey, type Proven } from './proofs.ts'

/** Requests under way to one host, as browsers have them. */
const PER_HOST = 6
/** Under way at all: each may wait for its host. */
const AT_ONCE = 120
/** In ms. */
const TIMEOUT = 15_000
/** A host that has failed so often in a row is asked no more: each try may take all of its time. */
const MAX_FAILURES = 6
/** A PDS that is asked too fast is asked again after so many ms, so often. */
const RETRY = 1_000
const RETRIES = 5

/** Bytes of a proof: a path of a tree and one record; a hundredth of this is usual. */
const MAX_PROOF = 128 * 1024

/** What was kept to prove it again: the CAR, and the key of that day. */
export type Proof = { car: Uint8Array<ArrayBuffer>; multikey: string }

export type Evidence = ({ ok: true } & Proven) | { ok: false; why: Gap }

export type Repos = {
  /** @param uri at-uri by DID @param onProof what is worth keeping */
  read: (uri: string, onProof?: (proof: Proof) => void) => Promise<Evidence>
}

export type ReposOptions = {
  /** base URL of the PLC directory */
  plc: string
  signal: AbortSignal
}

class Failed extends Error {
  readonly why: Gap

  constructor(why: Gap, cause?: unknown) {
    super(why, { cause })
    this.why = why
  }
}

export function createRepos({ plc, signal }: ReposOptions): Repos {
  // What a DID's document names may be anywhere, also inside of somebody's own network.
  const isLocal = isLoopback(new URL(plc).hostname)
  const limits = new Map<string, LimitFunction>()
  const failures = new Map<string, number>()
  const all = pLimit(AT_ONCE)

  /** @throws Failed */
  const ask = async <T>(host: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    let limit = limits.get(host)
    if (!limit) limits.set(host, (limit = pLimit(PER_HOST)))
    return limit(async () => {
      signal.throwIfAborted()
      if ((failures.get(host) ?? 0) >= MAX_FAILURES) throw new Failed('unreachable')
      try {
        const result = await run(AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]))
        failures.delete(host)
        return result
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof Failed && error.why !== 'unreachable') throw error
        failures.set(host, (failures.get(host) ?? 0) + 1)
        throw new Failed('unreachable', error)
      }
    })
  }

  const documents = new CompositeDidDocumentResolver({
    methods: { plc: new PlcDidDocumentResolver({ apiUrl: plc }), web: new WebDidDocumentResolver() },
  })

  /** @throws Failed */
  const resolve = async (did: string): Promise<DidDocument> => {
    const host = did.startsWith('did:web:') ? did : plc
    return ask(host, async (limited) => {
      try {
        return await documents.resolve(did as `did:plc:${string}`, { signal: limited, noCache: true })
      } catch (error) {
        throw error instanceof DocumentNotFoundError ? new Failed('inactive', error) : error
      }
    })
  }

  /** @throws Failed */
  const fetchProof = async (pds: string, query: URLSearchParams): Promise<Uint8Array<ArrayBuffer>> => {
    const url = new URL('/xrpc/com.atproto.sync.getRecord', pds)
    url.search = query.toString()
    if (url.protocol !== 'https:' && !isLocal) throw new Failed('unreachable')
    return ask(url.host, async (limited) => {
      for (let tries = 0; ; tries++) {
        const response = await fetch(url, {
          signal: limited,
          redirect: 'error',
          cache: 'no-store',
          credentials: 'omit',
        })
        if (response.ok) {
          const proof = await readAtMost(response, MAX_PROOF)
          if (!proof) throw new Failed('noProof')
          return proof
        }
        if (response.status === 429 && tries < RETRIES) {
          await new Promise((wake) => setTimeout(wake, RETRY * 2 ** tries))
          continue
        }
        const { error } = (await response.json().catch(() => ({}))) as { error?: unknown }
        throw new Failed(typeof error === 'string' && INACTIVE.test(error) ? 'inactive' : 'unreachable')
      }
    })
  }

  const read: Repos['read'] = async (uri, onProof) => {
    const { repo: did, collection, rkey } = parseAtUri(uri)!
    try {
      const document = await resolve(did)
      const material = getAtprotoVerificationMaterial(document)
      const pds = getPdsEndpoint(document)
      if (document.id !== did || !material || pds === undefined) throw new Failed('unreachable')
      const car = await fetchProof(pds, new URLSearchParams({ did, collection, rkey }))
      const { key, multikey } = await readKey(material).catch((error: unknown) => {
        throw new Failed('signature', error)
      })
      const proven = await prove(car, { did, collection, rkey }, key)
      if (isAhead(proven.rev)) throw new Failed('ahead')
      onProof?.({ car, multikey })
      return { ok: true, ...proven }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Unproved || error instanceof Failed) return { ok: false, why: error.why }
      return { ok: false, why: 'unreachable' }
    }
  }
  return { read: (uri, onProof) => all(() => read(uri, onProof)) }
}

async function readKey(material: { type: string; publicKeyMultibase: string }) {
  const found = getPublicKeyFromDidController(material)
  return { key: await keyOf(found), multikey: textOfKey(found) }
}

const INACTIVE = /^Repo(Takendown|Suspended|Deactivated|NotFound)$/
