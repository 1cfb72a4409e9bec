/** What outlives the page or the background, and belongs to one server. In IndexedDB, which needs no permission. */
import type { Key, OAuthClientMetadataInput } from '@atproto/oauth-client'
import type { PollView } from '@pollz/shared/wire'
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { PageAccount } from '@pollz/widget/messages'
import type { Intent, Outcome } from './accounts.ts'

type StoredKey = { keyId: string | undefined; keyPair: CryptoKeyPair }
export type Encoded<T> = Omit<T, 'dpopKey'> & { dpopKey: StoredKey }

interface ServerStores extends DBSchema {
  states: { key: string; value: Encoded<{ dpopKey: Key }> & { savedAt: number } }
  sessions: { key: string; value: Encoded<{ dpopKey: Key }> }
  /** signed-in account by DID; `usedAt` in ms since 1970 */
  people: { key: string; value: PageAccount & { usedAt: number } }
  /** tab that is signing in, what for, and, where that was not done on the way back, how it went */
  tabs: { key: number; value: { intent: Intent; outcome?: Outcome } }
  /** by at-uri as asked: the last known poll, and when that was */
  polls: { key: string; value: { poll: PollView; at: number }; indexes: { at: number } }
  /** the OAuth client's metadata: a vote needs it while the server is away too */
  client: { key: 'metadata'; value: OAuthClientMetadataInput }
}
export type ServerDb = IDBPDatabase<ServerStores>

/** A session is bound to the server whose OAuth client started it, so each server has a database. */
export const openServerDb = (server: string): Promise<ServerDb> =>
  openDB<ServerStores>(`pollz ${server}`, 1, {
    upgrade(db) {
      for (const name of ['states', 'sessions', 'people', 'tabs', 'client'] as const)
        db.createObjectStore(name)
      db.createObjectStore('polls').createIndex('at', 'at')
    },
  })
