/** What the operator does not show, known to a running server a moment after the command. */
import { setTimeout } from 'node:timers/promises'
import { parseAtUri } from '@pollz/shared/at-uri'
import { reasonOf, type Log } from '../log.ts'
import type { HiddenRow } from '../store/hidden.ts'

/** How often the database is asked for more, in ms. */
const EVERY = 1_000

export class Hidden {
  #subjects = new Set<string>()
  #last = 0
  #read: (after: number) => Promise<HiddenRow[]>

  constructor(read: (after: number) => Promise<HiddenRow[]>) {
    this.#read = read
  }

  /** How many subjects are hidden. */
  get size(): number {
    return this.#subjects.size
  }

  /** @param uri at-uri with a DID: of a poll that is hidden, or whose author is */
  hides(uri: string): boolean {
    return this.#subjects.size > 0 && concerns(this.#subjects, uri)
  }

  hidesAccount(did: string): boolean {
    return this.#subjects.has(did)
  }

  /** @returns what tells whether a poll, by its at-uri, may be shown or hidden now; undefined: nothing has changed */
  async refresh(): Promise<((uri: string) => boolean) | undefined> {
    const rows = await this.#read(this.#last)
    if (rows.length === 0) return undefined
    for (const { n, subject, hidden } of rows) {
      this.#last = n
      if (hidden) this.#subjects.add(subject)
      else this.#subjects.delete(subject)
    }
    const changed = new Set(rows.map(({ subject }) => subject))
    return (uri) => concerns(changed, uri)
  }

  /** @param onChange is told what `refresh` returns */
  async follow(
    onChange: (concerns: (uri: string) => boolean) => void,
    log: Log,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        const changed = await this.refresh()
        if (changed) onChange(changed)
      } catch (error) {
        if (!signal.aborted) log.error('what is hidden could not be read', { reason: reasonOf(error) })
      }
      await setTimeout(EVERY, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}

const concerns = (subjects: ReadonlySet<string>, uri: string) =>
  subjects.has(uri) || subjects.has(parseAtUri(uri)!.repo)
