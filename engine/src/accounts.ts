/** The signed-in accounts: OAuth with the companion server's client metadata. */
import { Agent } from '@atproto/api'
import { WebcryptoKey } from '@atproto/jwk-webcrypto'
import {
  OAuthCallbackError,
  OAuthClient,
  OAuthResolverError,
  type Key,
  type OAuthClientMetadataInput,
} from '@atproto/oauth-client'
import { familyOfVote } from '@pollz/shared/families'
import { OAUTH_SCOPE, mayWrite } from '@pollz/shared/oauth'
import type { PageAccount } from '@pollz/shared/engine'
import { ServerAway, reasonOf } from './reasons.ts'
import type { Repos } from './repos.ts'
import type { Encoded, ServerDb, SignInResult } from './storage.ts'

/**
 * Brings somebody to the authorize page of their PDS.
 *
 * @param keep to be called with a number by which the sign-in is known when it comes back, before the page can
 */
export type OpenSignIn = (url: string, keep: (key: number) => Promise<void>) => Promise<void>

/** Sign-ins that never came back are forgotten after this many ms. */
const MAX_STATE_AGE = 3_600_000
/** What an account's server has not granted is asked for again after this many ms. */
const DENIED_FOR = 3_600_000
/** Timeout (ms) for fetching client metadata; then the cached copy is used. */
const METADATA_TIMEOUT = 5_000

export class Accounts {
  #server: string
  #repos: Repos
  #db: PromiseLike<ServerDb>
  #client: Promise<{ client: OAuthClient; redirectUri: string }> | undefined
  #open: OpenSignIn

  constructor(server: string, repos: Repos, db: PromiseLike<ServerDb>, open: OpenSignIn) {
    this.#server = server
    this.#repos = repos
    this.#db = db
    this.#open = open
  }

  /** @param collections that the account has to let us write: a newer version of ours may write more than an older */
  async isSignedIn(did: string, collections: readonly string[] = []): Promise<boolean> {
    const session = await (await this.#db).get('sessions', did)
    return session !== undefined && collections.every((it) => mayWrite(session.tokenSet.scope, it))
  }

  /** Whether signing in may let us write these collections, as far as that is known. @throws ServerAway */
  async mayGet(did: string, collections: readonly string[]): Promise<boolean> {
    const { client } = await this.#getClient()
    const { scope } = client.clientMetadata
    if (scope !== undefined && !collections.every((it) => mayWrite(scope, it))) return false
    const db = await this.#db
    const denied = await Promise.all(collections.map((it) => db.get('denied', `${did} ${it}`)))
    return denied.every((at = 0) => at < Date.now() - DENIED_FOR)
  }

  /** An account's server was asked whether we may write these collections, and did not say so. */
  async noteDenied(did: string, collections: readonly string[]): Promise<void> {
    const db = await this.#db
    await Promise.all(collections.map((it) => db.put('denied', Date.now(), `${did} ${it}`)))
  }

  /** Those who are signed in, the last used first. */
  async all(): Promise<PageAccount[]> {
    const db = await this.#db
    const dids = new Set(await db.getAllKeys('sessions'))
    const people = (await db.getAll('people')).filter(({ did }) => dids.has(did))
    return people
      .toSorted((a, b) => b.usedAt - a.usedAt)
      .map(({ did, handle }) => ({ did, ...(handle === undefined ? {} : { handle }) }))
  }

  /** An account to vote with on pages where nobody is logged in. */
  async lastUsed(): Promise<PageAccount | undefined> {
    return (await this.all())[0]
  }

  /** Notes that an account was just used. */
  async used(did: string): Promise<PageAccount> {
    const db = await this.#db
    const known = await db.get('people', did)
    const handle = known?.handle ?? (await this.#repos.handleOf(did))
    const account = { did, ...(handle === undefined ? {} : { handle }) }
    await db.put('people', { ...account, usedAt: Date.now() }, did)
    return account
  }

  /** @throws where the session is over: then it is forgotten, and `isSignedIn` says so */
  async agent(did: string): Promise<Agent> {
    const { client } = await this.#getClient()
    return new Agent(await client.restore(did))
  }

  /** Whose handle, or DID, it is. @throws OAuthResolverError: nobody's, or nobody can say */
  async identify(identifier: string): Promise<PageAccount> {
    try {
      const { did, handle } = await this.#repos.resolve(identifier)
      return { did, ...(handle === undefined ? {} : { handle }) }
    } catch (cause) {
      throw new OAuthResolverError(`Failed to resolve identity: ${identifier}`, { cause })
    }
  }

  /** Forgets the session, and has the account's server forget it. */
  async signOut(did: string): Promise<void> {
    const db = await this.#db
    await db.delete('people', did)
    try {
      const { client } = await this.#getClient()
      await client.revoke(did)
    } finally {
      // Where nobody could be told, it is over here all the same.
      await db.delete('sessions', did)
    }
  }

  /**
   * Brings somebody to their account's own authorize page.
   *
   * @param identifier DID or handle
   * @param keep is called with what the sign-in is known by, before it can come back
   * @param signal after which nobody waits for the page any more
   */
  async signIn(identifier: string, keep: (tab: number) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { client, redirectUri } = await this.#getClient()
    // A server that is older than this client knows fewer scopes, and asking for another would get none at all.
    const known = client.clientMetadata.scope?.split(' ')
    const url = await client.authorize(identifier, {
      scope: OAUTH_SCOPE.split(' ')
        .filter((it) => !known || known.includes(it))
        .join(' '),
      redirect_uri: redirectUri as `https://${string}`,
      signal,
    })
    signal.throwIfAborted()
    await this.#open(url.href, keep)
  }

  /** Whether an address is the one that a PDS sends people back to. */
  isReturn(url: string): boolean {
    return url.startsWith(`${this.#server}/oauth/callback#`)
  }

  /** How a sign-in went whose page had to leave for it. It is known no longer. */
  async takeResult(tab: number): Promise<SignInResult | undefined> {
    const db = await this.#db
    const kept = await db.get('results', tab)
    await db.delete('results', tab)
    return kept
  }

  /** Keeps how it went for the page where it was begun. */
  async keepResult(tab: number, result: SignInResult): Promise<void> {
    await (await this.#db).put('results', result, tab)
  }

  /**
   * @param url that the PDS has sent somebody back to, with its answer in the fragment
   * @param voter the only one that it may be; undefined: anybody
   */
  async finish(url: string, voter: string | undefined): Promise<SignInResult> {
    try {
      const { client, redirectUri } = await this.#getClient()
      const { session } = await client.callback(new URLSearchParams(new URL(url).hash.slice(1)), {
        redirect_uri: redirectUri as `https://${string}`,
      })
      const { scope } = await session.getTokenInfo(false)
      // A PDS drops what it does not know in silence.
      if (![...familyOfVote.keys()].some((nsid) => mayWrite(scope, nsid))) {
        await session.signOut()
        return { failed: { name: 'noScope' } }
      }
      const { did, handle } = await this.used(session.sub)
      return voter !== undefined && voter !== did
        ? { failed: { name: 'otherAccount', as: handle ?? did } }
        : { did }
    } catch (error) {
      // What the PDS has sent back: the client's own error says no more than that it was one.
      const answer = error instanceof OAuthCallbackError ? error.params : new URLSearchParams()
      const detail = answer.get('error_description') ?? answer.get('error')
      if (answer.get('error') === 'access_denied') return { failed: { name: 'notFinished' } }
      if (detail !== null) return { failed: { name: 'signInFailed', detail } }
      const reason = reasonOf(error)
      return { failed: 'detail' in reason ? { name: 'signInFailed', detail: reason.detail } : reason }
    }
  }

  /** The client is made from the server's metadata when it is first needed; a failure is not remembered. */
  #getClient(): Promise<{ client: OAuthClient; redirectUri: string }> {
    this.#client ??= this.#createClient().catch((error: unknown) => {
      this.#client = undefined
      throw error
    })
    return this.#client
  }

  async #metadata(): Promise<OAuthClientMetadataInput> {
    const db = await this.#db
    try {
      const response = await fetch(`${this.#server}/oauth/client-metadata.json`, {
        signal: AbortSignal.timeout(METADATA_TIMEOUT),
      })
      if (!response.ok) throw new Error(`${this.#server} answered ${response.status}`)
      const metadata = (await response.json()) as OAuthClientMetadataInput
      await db.put('client', metadata, 'metadata')
      return metadata
    } catch (error) {
      const kept = await db.get('client', 'metadata')
      if (kept) return kept
      throw new ServerAway('its OAuth client is not known', { cause: error })
    }
  }

  /** Of sign-ins that never came back. */
  async #forgetStates(): Promise<void> {
    const db = await this.#db
    for (const key of await db.getAllKeys('states')) {
      const state = await db.get('states', key)
      if (state && state.savedAt < Date.now() - MAX_STATE_AGE) await db.delete('states', key)
    }
  }

  async #createClient(): Promise<{ client: OAuthClient; redirectUri: string }> {
    const { plc, handleResolver, allowHttp } = this.#repos.network
    const clientMetadata = await this.#metadata()
    await this.#forgetStates()
    // The client lives longer than a connection may.
    const db = this.#db
    const client = new OAuthClient({
      clientMetadata,
      responseMode: 'fragment',
      allowHttp,
      plcDirectoryUrl: plc,
      handleResolver,
      stateStore: {
        get: async (key) => decode(await (await db).get('states', key)),
        set: async (key, value) =>
          void (await (await db).put('states', { ...encode(value), savedAt: Date.now() }, key)),
        del: async (key) => (await db).delete('states', key),
      },
      sessionStore: {
        get: async (key) => decode(await (await db).get('sessions', key)),
        set: async (key, value) => void (await (await db).put('sessions', encode(value), key)),
        del: async (key) => (await db).delete('sessions', key),
      },
      runtimeImplementation: {
        createKey: (algs) => WebcryptoKey.generate(algs),
        getRandomValues: (length) => crypto.getRandomValues(new Uint8Array(length)),
        digest: async (data, { name }) =>
          new Uint8Array(await crypto.subtle.digest(`SHA-${name.slice(3)}`, data)),
        requestLock: (name, fn) => navigator.locks.request(name, async () => fn()),
      },
    })
    return { client, redirectUri: clientMetadata.redirect_uris[0] }
  }
}

/** The private key can't be exported: it is kept as the browser's own key object. */
function encode<T extends { dpopKey: Key }>({ dpopKey, ...rest }: T): Encoded<T> {
  if (!(dpopKey instanceof WebcryptoKey)) throw new Error('not a key of this client')
  return { ...rest, dpopKey: { keyId: dpopKey.kid, keyPair: dpopKey.cryptoKeyPair } }
}

// The stores hold what `encode` put there, so the type is that of what was encoded.
// eslint-disable-next-line typescript/no-explicit-any
async function decode(stored: Encoded<{ dpopKey: Key }> | undefined): Promise<any> {
  if (!stored) return undefined
  const { keyId, keyPair } = stored.dpopKey
  return { ...stored, dpopKey: await WebcryptoKey.fromKeypair(keyPair, keyId) }
}
