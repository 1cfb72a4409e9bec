/**
 * Polls and their tallies as of the last commit: what every read is answered from. A poll is read from the database
 * when it is first asked for, and kept right by what each batch changed.
 */
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import type { Applied } from '../store/counting/apply.ts'
import { tallied, type PollState } from '../store/queries.ts'

/** Bytes of polls that are kept, as they are sent; the ones asked for least recently go. */
const MAX_BYTES = 32 * 1024 * 1024

/** `doubted`: it was true, and has to be read again before it is told as such. */
type Kept = { poll: PollView; doubted: boolean }

export class Polls {
  #kept = new LRUCache<string, Kept>({
    maxSize: MAX_BYTES,
    // Some for the entry itself, and two bytes for each character.
    sizeCalculation: ({ poll: { uri, text, options, post = '' } }) =>
      1000 +
      2 * (uri.length + post.length + text.length) +
      options.reduce((sum, option) => sum + 200 + 2 * option.text.length, 0),
  })
  #read: (uri: string) => Promise<PollState>
  #isAway: () => boolean
  /** Grows with whatever makes a read that is under way worthless. */
  #changes = 0

  /** @param isAway whether the database is known not to answer */
  constructor(read: (uri: string) => Promise<PollState>, isAway: () => boolean = () => false) {
    this.#read = read
    this.#isAway = isAway
  }

  /** @param uri at-uri with a DID */
  async find(uri: string): Promise<PollState> {
    const known = this.kept(uri)
    if (known) return { state: 'there', poll: known }
    const before = this.#changes
    let found: PollState
    try {
      found = await this.#read(uri)
    } catch (error) {
      // While the database is away, what it said last is better than nothing; `/ready` says that it is away.
      const kept = this.#kept.get(uri)
      if (kept) return { state: 'there', poll: kept.poll }
      throw error
    }
    // What was read while a batch was being applied may be older than that batch.
    if (before === this.#changes) {
      if (found.state === 'there') this.#kept.set(uri, { poll: found.poll, doubted: false })
      else this.#kept.delete(uri)
    }
    return found
  }

  /** What is known without looking. */
  kept(uri: string): PollView | undefined {
    const kept = this.#kept.get(uri)
    return kept && (!kept.doubted || this.#isAway()) ? kept.poll : undefined
  }

  apply({ tallies, polls }: Applied): void {
    this.#changes++
    for (const uri of polls) this.#kept.delete(uri)
    for (const [uri, { counts, edited, version }] of tallies) {
      const kept = this.#kept.get(uri)
      if (!kept) continue
      const texts = kept.poll.options.map(({ text }) => text)
      const tally = tallied(texts, kept.poll.multiple ?? false, counts)
      this.#kept.set(uri, { ...kept, poll: { ...kept.poll, ...tally, edited, version } })
    }
  }

  /** Nothing that is kept is believed any more: something may have been stored that nobody was told of. */
  doubt(): void {
    this.#changes++
    for (const kept of this.#kept.values()) kept.doubted = true
  }
}
