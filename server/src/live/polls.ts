/**
 * Polls and their tallies as of the last commit: what every read is answered from. A poll is read from the database
 * when it is first asked for, and kept right by what each batch changed.
 */
import type { PollView } from '@pollz/shared/wire'
import type { Applied } from '../store/counting.ts'
import { tallied, type PollState } from '../store/queries.ts'

/** Polls kept in memory, some kilobytes each; the ones asked for least recently go. */
const MAX_KEPT = 20_000

export class Polls {
  #kept = new Map<string, PollView>()
  #read: (uri: string) => Promise<PollState>
  #version = 0

  constructor(read: (uri: string) => Promise<PollState>) {
    this.#read = read
  }

  /** @param uri at-uri with a DID */
  async find(uri: string): Promise<PollState> {
    const kept = this.kept(uri)
    if (kept) return { state: 'there', poll: kept }
    const before = this.#version
    const found = await this.#read(uri)
    // What was read while a batch was being applied may be older than that batch.
    if (found.state === 'there' && before === this.#version) {
      this.#kept.set(uri, found.poll)
      if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    }
    return found
  }

  /** What is known without looking. */
  kept(uri: string): PollView | undefined {
    const kept = this.#kept.get(uri)
    if (kept) {
      this.#kept.delete(uri)
      this.#kept.set(uri, kept)
    }
    return kept
  }

  apply({ tallies, polls, version }: Applied): void {
    this.#version = version
    for (const uri of polls) this.#kept.delete(uri)
    for (const [uri, counts] of tallies) {
      const kept = this.#kept.get(uri)
      if (!kept) continue
      const texts = kept.options.map(({ text }) => text)
      this.#kept.set(uri, { ...kept, ...tallied(texts, counts), version })
    }
  }
}
