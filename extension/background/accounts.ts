/** The signed-in accounts: OAuth with the companion server's client metadata. */
import { Agent } from '@atproto/api'
import { WebcryptoKey } from '@atproto/jwk-webcrypto'
import { OAuthClient, type Key, type OAuthClientMetadataInput } from '@atproto/oauth-client'
import { families } from '@pollz/shared/families'
import { isLoopback } from '@pollz/shared/links'
import { OAUTH_SCOPE } from '@pollz/shared/oauth'
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { browser } from 'wxt/browser'

/** What somebody wanted when the sign-in started: done when they come back. */
export type Intent = { uri: string; option: number | null }

type StoredKey = { keyId: string | undefined; keyPair: CryptoKeyPair }
type Encoded<T> = Omit<T, 'dpopKey'> & { dpopKey: StoredKey }

interface Stores extends DBSchema {
  states: { key: string; value: Encoded<{ dpopKey: Key }> & { savedAt: number } }
  sessions: { key: string; value: Encoded<{ dpopKey: Key }> }
  /** tab that is signing in, and what for */
  tabs: { key: number; value: { intent: Intent; opener: number | undefined } }
}

/** Sign-ins that never came back are forgotten after this many ms. */
const MAX_STATE_AGE = 3_600_000

export type AccountsOptions = { server: string; plc: string; handleResolver: string }

export class Accounts {
  #options: AccountsOptions
  #db: Promise<IDBPDatabase<Stores>>
  #client: Promise<{ client: OAuthClient; redirectUri: string }> | undefined
  #signedIn: (did: string, intent: Intent) => void = () => {}
  #givenUp: (intent: Intent, reason: string) => void = () => {}

  constructor(options: AccountsOptions) {
    this.#options = options
    this.#db = openDB<Stores>('pollz', 1, {
      upgrade(db) {
        db.createObjectStore('states')
        db.createObjectStore('sessions')
        db.createObjectStore('tabs')
      },
    })
    browser.tabs.onUpdated.addListener((tabId, { url }) => {
      if (url?.startsWith(`${options.server}/oauth/callback#`)) void this.#comeBack(tabId, new URL(url))
    })
    browser.tabs.onRemoved.addListener((tabId) => void this.#closed(tabId))
  }

  onSignedIn(listener: (did: string, intent: Intent) => void): void {
    this.#signedIn = listener
  }

  /** The sign-in failed, was refused, or its tab was closed. */
  onGivenUp(listener: (intent: Intent, reason: string) => void): void {
    this.#givenUp = listener
  }

  async isSignedIn(did: string): Promise<boolean> {
    return (await (await this.#db).count('sessions', did)) > 0
  }

  /** An account to vote with on pages where nobody is logged in. */
  async any(): Promise<string | undefined> {
    return (await (await this.#db).getAllKeys('sessions'))[0]
  }

  /** @throws where the session is over: then it is forgotten, and `isSignedIn` says so */
  async agent(did: string): Promise<Agent> {
    const { client } = await this.#getClient()
    return new Agent(await client.restore(did))
  }

  /**
   * Opens a tab at the account's own authorize page.
   *
   * @param identifier DID or handle
   */
  async signIn(identifier: string, intent: Intent): Promise<void> {
    const { client, redirectUri } = await this.#getClient()
    const url = await client.authorize(identifier, {
      scope: OAUTH_SCOPE,
      redirect_uri: redirectUri as `https://${string}`,
    })
    const [opener] = await browser.tabs.query({ active: true, currentWindow: true })
    const tab = await browser.tabs.create({ url: url.href })
    await (await this.#db).put('tabs', { intent, opener: opener?.id }, tab.id!)
  }

  async #comeBack(tabId: number, url: URL): Promise<void> {
    const db = await this.#db
    const waiting = await db.get('tabs', tabId)
    if (!waiting) return
    await db.delete('tabs', tabId)
    const { intent, opener } = waiting
    if (opener !== undefined) await browser.tabs.update(opener, { active: true }).catch(() => {})
    await browser.tabs.remove(tabId).catch(() => {})
    try {
      const { client, redirectUri } = await this.#getClient()
      const params = new URLSearchParams(url.hash.slice(1))
      const { session } = await client.callback(params, {
        redirect_uri: redirectUri as `https://${string}`,
      })
      const { scope } = await session.getTokenInfo(false)
      // A PDS drops what it does not know in silence.
      if (!families.some(({ vote }) => scope.includes(`repo:${vote}`))) {
        await session.signOut()
        throw new Error('your account’s server does not let apps ask for polls only')
      }
      this.#signedIn(session.sub, intent)
    } catch (error) {
      this.#givenUp(intent, error instanceof Error ? error.message : String(error))
    }
  }

  async #closed(tabId: number): Promise<void> {
    const db = await this.#db
    const waiting = await db.get('tabs', tabId)
    if (!waiting) return
    await db.delete('tabs', tabId)
    this.#givenUp(waiting.intent, 'the sign-in was not finished')
  }

  /** The client is made from the server's metadata when it is first needed; a failure is not remembered. */
  #getClient(): Promise<{ client: OAuthClient; redirectUri: string }> {
    this.#client ??= this.#createClient().catch((error: unknown) => {
      this.#client = undefined
      throw error
    })
    return this.#client
  }

  async #createClient(): Promise<{ client: OAuthClient; redirectUri: string }> {
    const { server, plc, handleResolver } = this.#options
    const response = await fetch(`${server}/oauth/client-metadata.json`)
    if (!response.ok) throw new Error(`${server} answered ${response.status}`)
    const clientMetadata = (await response.json()) as OAuthClientMetadataInput
    const db = await this.#db
    for (const key of await db.getAllKeys('states')) {
      const state = await db.get('states', key)
      if (state && state.savedAt < Date.now() - MAX_STATE_AGE) await db.delete('states', key)
    }
    const client = new OAuthClient({
      clientMetadata,
      responseMode: 'fragment',
      allowHttp: isLoopback(new URL(server).hostname),
      plcDirectoryUrl: plc,
      handleResolver,
      stateStore: {
        get: async (key) => decode(await db.get('states', key)),
        set: async (key, value) =>
          void (await db.put('states', { ...encode(value), savedAt: Date.now() }, key)),
        del: (key) => db.delete('states', key),
      },
      sessionStore: {
        get: async (key) => decode(await db.get('sessions', key)),
        set: async (key, value) => void (await db.put('sessions', encode(value), key)),
        del: (key) => db.delete('sessions', key),
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
