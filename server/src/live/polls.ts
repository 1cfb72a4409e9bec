/**
 * Polls and their tallies as of the last news: what every read is answered from. A poll is read from the database when it
 * is first asked for, and kept right by what is committed after that.
 */
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import type { News } from '../store/news.ts'
import { tallied, type PollState } from '../store/queries.ts'

/** Bytes of polls that are kept, as they are sent; the ones asked for least recently go. */
const MAX_BYTES = 32 * 1024 * 1024

export class Polls {
  #kept = new LRUCache<string, PollView>({
    maxSize: MAX_BYTES,
    // Some for the entry itself, and two bytes for each character.
    sizeCalculation: ({ uri, text, options, post = '' }) =>
      1000 +
      2 * (uri.length + post.length + text.length) +
      options.reduce((sum, option) => sum + 200 + 2 * option.text.length, 0),
  })
  #read: (uri: string) => Promise<PollState>
  /** of the last news */
  #version = 0

  constructor(read: (uri: string) => Promise<PollState>) {
    this.#read = read
  }

  /** @param uri at-uri with a DID */
  async find(uri: string): Promise<PollState> {
    const known = this.kept(uri)
    if (known) return { state: 'there', poll: known, at: this.#version }
    const found = await this.#read(uri)
    // Read before the last news, it may be older than they are.
    if (found.state === 'there' && found.at >= this.#version) this.#kept.set(uri, found.poll)
    return found
  }

  /** What is known without looking. */
  kept(uri: string): PollView | undefined {
    return this.#kept.get(uri)
  }

  apply({ version, tallies, polls }: Pick<News, 'version' | 'tallies' | 'polls'>): void {
    this.#version = version
    // Read after the commit and before the news of it, it may be the newer one.
    for (const [uri, own] of polls) if ((this.#kept.get(uri)?.version ?? own) < own) this.#kept.delete(uri)
    for (const [uri, { counts, edited, version: own }] of tallies) {
      const kept = this.#kept.get(uri)
      if (!kept || kept.version >= own) continue
      const texts = kept.options.map(({ text }) => text)
      this.#kept.set(uri, {
        ...kept,
        ...tallied(texts, kept.multiple ?? false, counts),
        edited,
        version: own,
      })
    }
  }

  /** Forgets all, because the database is not the one that it was. @param version that it has now */
  forget(version: number): void {
    this.#version = version
    this.#kept.clear()
  }
}
