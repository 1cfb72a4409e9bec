/** Opens the database: one connection for the writer, one for everybody who reads. */
import { createClient, type Client } from '@libsql/client'
import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/** `cache`: KiB of a file that its connection keeps in memory, 65,536 by default. */
export type DatabaseOptions = { url: string; authToken: string | undefined; cache?: number }

/** A libSQL server that has not answered after so many ms may as well be away. */
const ANSWER_TIMEOUT = 10_000

/** A database's name in messages: its URL without the parts that may be secret. */
export function nameOf(url: string): string {
  const named = url.split(/[?#]/)[0]!
  return named.replace(/\/\/[^/@]*@/, '//')
}

/** A request that is given up in time, whatever the server or the network does. */
const fetchInTime = (input: string | URL | Request, init?: RequestInit) => {
  const signals = [AbortSignal.timeout(ANSWER_TIMEOUT), ...(init?.signal ? [init.signal] : [])]
  return fetch(input, { ...init, signal: AbortSignal.any(signals) })
}

/**
 * For a file the settings hold for this one connection: `synchronous=FULL` is what makes C9 true after
 * power loss as well.
 *
 * @throws Error naming the database where it can't be opened
 */
export async function openDatabase({ url, authToken, cache = 65_536 }: DatabaseOptions): Promise<Client> {
  let client: Client | undefined
  // A query or a fragment may be a token that was put in the wrong place.
  const secrets = [authToken ?? '', ...url.split(/[?#]/).slice(1)].filter((it) => it !== '')
  try {
    const path = filePath(url)
    if (path && !existsSync(dirname(path))) mkdirSync(dirname(path))
    client = createClient({
      url,
      fetch: fetchInTime,
      ...(authToken === undefined ? {} : { authToken }),
      // By default statements that come at once get connections of their own, without the settings below.
      ...(path === undefined ? {} : { concurrency: 1 }),
    })
    if (path) {
      closeOnce(client)
      // First: whoever closes the file at this moment, or recovers it, is waited for.
      await client.execute('PRAGMA busy_timeout = 2000')
      await client.execute('PRAGMA journal_mode = WAL')
      await client.execute('PRAGMA synchronous = FULL')
      // A checkpoint at full speed is long and seldom; the writer makes short ones while there is little to do.
      await client.execute('PRAGMA wal_autocheckpoint = 16384')
      await client.execute(`PRAGMA cache_size = -${cache}`)
    } else {
      await client.execute('SELECT 1')
    }
    return path ? client : withoutSecrets(client, secrets)
  } catch (cause) {
    client?.close()
    hideIn(cause, secrets)
    throw new Error(`can't open ${nameOf(url)}`, { cause })
  }
}

/** The same client with secrets removed from its errors, which are logged and shown: a server may echo its token. */
function withoutSecrets(client: Client, secrets: string[]): Client {
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, target, args)
        return result instanceof Promise
          ? result.catch((error: unknown) => {
              hideIn(error, secrets)
              throw error
            })
          : result
      }
    },
  })
}

/** Removes secrets from the messages of an error and of its causes. */
function hideIn(error: unknown, secrets: string[]): void {
  const hide = (text: string) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text)
  for (let it = error; it instanceof Error; it = it.cause) {
    if (it.stack !== undefined) it.stack = hide(it.stack)
    // A DOMException, as of a timeout, can't be given another message.
    if (!(it instanceof DOMException)) it.message = hide(it.message)
  }
}

/**
 * libsql 0.5.29 closes a connection twice, the second time after freeing it, which can crash the process or close somebody
 * else's: https://github.com/tursodatabase/libsql/issues/2251. It closes once where a statement outlives the connection,
 * so one is made just before: Node lets go of a statement no sooner than the next turn of the event loop.
 */
function closeOnce(client: Client): void {
  const close = client.close.bind(client)
  client.close = () => {
    // A closed client refuses it.
    void client
      .execute('SELECT 1')
      .catch(() => {})
      .then(close)
  }
}

/**
 * Writes something that is gone with its transaction.
 *
 * @throws where nothing can be written
 */
export async function probe(client: Client): Promise<void> {
  // A table that is empty outside of a transaction.
  await client.batch(['INSERT INTO touched VALUES (-1, -1)', 'DELETE FROM touched WHERE poll = -1'], 'write')
}

/** Of a database that is a file. */
export function filePath(url: string): string | undefined {
  return url.startsWith('file:')
    ? url
        .slice('file:'.length)
        .replace(/^\/\/(?=\/)/, '')
        .split('?')[0]
    : undefined
}
