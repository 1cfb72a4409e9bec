/** What the operator does not show, known to a running server a moment after the command. */
import { setTimeout } from 'node:timers/promises'
import { reasonOf, type Log } from '../log.ts'
import type { HiddenRow } from '../store/hidden.ts'

/** How often the database is asked for more, in ms. */
const EVERY = 1_000

export class Hidden {
  #subjects = new Set<string>()
  #last = 0
  #read: (after: number) => Promise<HiddenRow[]>
  #onChange: (concerns: (uri: string) => boolean) => void

  /** @param onChange called with what tells whether a poll, by its at-uri, may be shown or hidden now */
  constructor(
    read: (after: number) => Promise<HiddenRow[]>,
    onChange: (concerns: (uri: string) => boolean) => void,
  ) {
    this.#read = read
    this.#onChange = onChange
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

  async refresh(): Promise<void> {
    const rows = await this.#read(this.#last)
    if (rows.length === 0) return
    for (const { n, subject, hidden } of rows) {
      this.#last = n
      if (hidden) this.#subjects.add(subject)
      else this.#subjects.delete(subject)
    }
    const changed = new Set(rows.map(({ subject }) => subject))
    this.#onChange((uri) => concerns(changed, uri))
  }

  async follow(log: Log, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.refresh().catch((error: unknown) => {
        if (!signal.aborted) log.error('what is hidden could not be read', { reason: reasonOf(error) })
      })
      await setTimeout(EVERY, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}

const concerns = (subjects: ReadonlySet<string>, uri: string) =>
  subjects.has(uri) || subjects.has(uri.split('/')[2]!)
