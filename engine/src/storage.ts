/** What outlives the page or the background, and belongs to one server. In IndexedDB, which needs no permission. */
import type { Key, OAuthClientMetadataInput, Session } from '@atproto/oauth-client'
import type { Choice } from '@pollz/shared/choices'
import type { Act, ActMessage, PageAccount, Reason } from '@pollz/shared/engine'
import type { PollView } from '@pollz/shared/wire'
import { deleteDB, openDB, type DBSchema, type IDBPDatabase } from 'idb'

type StoredKey = { keyId: string | undefined; keyPair: CryptoKeyPair }
export type Encoded<T> = Omit<T, 'dpopKey'> & { dpopKey: StoredKey }

/** An act, from the moment it is accepted until an hour after its end. */
export type JournalledAct = {
  id: string
  /** ms since 1970, when it was clicked */
  at: number
  /** the order in which acts were accepted: clocks may step back */
  seq: number
  act: Act
  /** whose it is; undefined: of whoever signs in as `identifier` */
  voter: PageAccount | undefined
  identifier: string | undefined
  /** id of the page where it was begun */
  page: number | undefined
  state:
    /** `signedIn`: for this act, just now. `since`, here and below, in ms since 1970 */
    | { name: 'ready'; signedIn: boolean; since: number }
    /** `tab`: what the sign-in is known by when it comes back */
    | { name: 'signingIn'; tab: number; since: number }
    | { name: 'ended'; at: number; message: ActMessage }
}

/** How a sign-in went. */
export type SignInResult = { did: string } | { failed: Reason }

/** A vote record of an account that is signed in. `createdAt`: RFC 3339; `cid`: of this version of it */
export type IndexedVote = Choice & {
  did: string
  poll: string
  option: number
  createdAt: string
  cid: string
}

/** How an account's votes were listed last. Times in ms since 1970. */
export type Listing = {
  /** when the last list was begun that came to an end; 0: never, or not since a write of which nobody knows how it went */
  at: number
  /** when the last list was begun, however it went */
  tried: number
  /** for how long after that, in ms, no other is begun: what it has cost */
  pause: number
  /** whether the last one that came to an end had all */
  complete: boolean
}

/** `poll`: at-uri by DID; no choice takes the vote back */
export type CastVote = Choice & { poll: string }

/** A record that was written or deleted. `at`: when, in ms since 1970 */
export type Announcement = { what: 'votes' | 'polls'; at: number; vote?: CastVote }

interface ServerStores extends DBSchema {
  states: { key: string; value: Encoded<{ dpopKey: Key }> & { savedAt: number } }
  sessions: { key: string; value: Encoded<Session> }
  /** signed-in account by DID; `usedAt` in ms since 1970 */
  people: { key: string; value: PageAccount & { usedAt: number } }
  acts: { key: string; value: JournalledAct }
  /** by DID and collection, with a blank between: when it was asked for and not granted, in ms since 1970 */
  denied: { key: string; value: number }
  /** by tab: how a sign-in went that came back to a page which is gone */
  results: { key: number; value: SignInResult }
  /** by at-uri of the record; of accounts that are signed in here. `poll`: [did, poll] */
  votes: { key: string; value: IndexedVote; indexes: { poll: [string, string] } }
  /** by DID */
  listed: { key: string; value: Listing }
  /** by at-uri: records that the server has not heard of */
  announcements: { key: string; value: Announcement }
  /** by at-uri as asked: the last known poll, and when that was */
  polls: { key: string; value: { poll: PollView; at: number }; indexes: { at: number } }
  /** the OAuth client's metadata: a vote needs it while the server is away too */
  client: { key: 'metadata'; value: OAuthClientMetadataInput }
}
export type ServerDb = IDBPDatabase<ServerStores>

/**
 * The database of a server while an engine works for it. Browsers close connections when they clear data or run into
 * errors of the disk: whoever awaits it gets one that is open.
 */
export function keepServerDb(server: string, signal: AbortSignal): PromiseLike<ServerDb> {
  let connection: Promise<ServerDb> | undefined
  const connect = async () => {
    signal.throwIfAborted()
    connection ??= openServerDb(server, forget).catch((error: unknown) => {
      forget()
      throw error
    })
    return connection
  }
  const forget = () => (connection = undefined)
  signal.addEventListener('abort', () => {
    connection?.then(
      (db) => db.close(),
      () => {},
    )
  })
  return {
    // eslint-disable-next-line unicorn/no-thenable
    then: (resolve, reject) => connect().then(resolve, reject),
  }
}

/** A session is bound to the server whose OAuth client started it, so each server has a database. @returns its name */
export const databaseOf = (server: string) => `pollz/2 ${server}`
/** That of pollz 0.3. Its pages never let go of it, so it could not be changed while one of them is open. */
const databaseBefore = (server: string) => `pollz ${server}`

/** @param closed is called when the connection is closed by anybody else */
export async function openServerDb(server: string, closed = () => {}): Promise<ServerDb> {
  let isNew = false
  const db = await openDB<ServerStores>(databaseOf(server), 1, {
    upgrade(created) {
      isNew = true
      for (const name of [...TAKEN_OVER, 'acts', 'denied', 'results', 'listed', 'announcements'] as const)
        created.createObjectStore(name)
      created.createObjectStore('polls').createIndex('at', 'at')
      created.createObjectStore('votes').createIndex('poll', ['did', 'poll'])
    },
    // An update must not wait for a page of the version before.
    blocking: (_, __, event) => {
      ;(event.target as IDBDatabase).close()
      closed()
    },
    terminated: closed,
  })
  if (isNew)
    await takeOver(databaseBefore(server), db).catch((error: unknown) =>
      console.warn('pollz: whoever was signed in has to sign in again', error),
    )
  return db
}

const TAKEN_OVER = ['states', 'sessions', 'people', 'client'] as const

/** Whoever was signed in stays so, and the database before is gone as soon as nobody has it open. */
async function takeOver(name: string, db: ServerDb): Promise<void> {
  const known = await indexedDB.databases()
  // Opening another version would wait for its pages, and opening none would make one.
  if (!known.some((it) => it.name === name && it.version === 1)) return
  const before = await openDB<ServerStores>(name, 1)
  for (const store of TAKEN_OVER) {
    const [keys, values] = await Promise.all([before.getAllKeys(store), before.getAll(store)])
    const tx = db.transaction(store, 'readwrite')
    await Promise.all([...keys.map((key, i) => tx.store.put(values[i]!, key as 'metadata')), tx.done])
  }
  // A session is renewed once: where two do it, the account's server takes it for stolen.
  await before.clear('sessions')
  before.close()
  deleteDB(name).catch((error: unknown) => console.debug('pollz:', error))
}
