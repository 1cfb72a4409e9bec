/**
 * Opens a database file in one of several ways, and closes it once its statements are collected:
 * `node --expose-gc closing.ts WAY URL`.
 */
import { setImmediate } from 'node:timers/promises'
import { createClient } from '@libsql/client'
import { openDatabase } from '../src/store/database.ts'
import { recount } from '../src/store/recount.ts'
import { Store } from '../src/store/store.ts'
import { Writer } from '../src/writer.ts'

/** Native objects are let go of some turns after they are collected. */
async function collect(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    globalThis.gc!()
    await setImmediate()
  }
}

const ways: Record<string, (url: string) => Promise<void>> = {
  async 'a bare client'(url) {
    const client = createClient({ url })
    await client.execute('SELECT 1')
    await collect()
    client.close()
  },
  async 'a reader of many at once'(url) {
    const client = await openDatabase({ url, authToken: undefined })
    await Promise.all(Array.from({ length: 30 }, () => client.execute('SELECT 1')))
    await collect()
    client.close()
  },
  async 'a store'(url) {
    const store = await Store.open({ url, authToken: undefined })
    await collect()
    store.close()
  },
  async 'a writer'(url) {
    const writer = await Writer.open({ url, authToken: undefined })
    await recount(writer.reader)
    await collect()
    await writer.close()
  },
  async 'a writer that fails'(url) {
    const writer = await Writer.open({ url, authToken: undefined })
    void writer.storeMessages(undefined!).catch(() => {})
    await writer.died
    writer.reader.close()
  },
  async 'what is no database'(url) {
    await openDatabase({ url, authToken: undefined }).then(
      () => Promise.reject(new Error('it was opened')),
      () => {},
    )
  },
  async 'a database of a release to come'(url) {
    const store = await Store.open({ url, authToken: undefined })
    store.close()
    const client = await openDatabase({ url, authToken: undefined })
    await client.execute('INSERT INTO migrations (n) SELECT max(n) + 1 FROM migrations')
    client.close()
    await Writer.open({ url, authToken: undefined }).then(
      () => Promise.reject(new Error('it was opened')),
      () => {},
    )
  },
}

const [way, url] = process.argv.slice(2)
await ways[way!]!(url!)
await collect()
