/** A wall clock that a test sets while a process runs. */
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class Clock {
  /** For the environment of a process that is to go by this clock, with its threads. SQLite's own does not. */
  readonly env: { NODE_OPTIONS: string; TEST_CLOCK: string }
  #file: string

  constructor() {
    this.#file = join(mkdtempSync(join(tmpdir(), 'pollz-clock-')), 'offset')
    const preload = join(import.meta.dirname, 'clock-preload.mjs')
    this.env = {
      NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --require ${JSON.stringify(preload)}`.trim(),
      TEST_CLOCK: this.#file,
    }
    this.set(0)
  }

  /**
   * Takes a few ms to be noticed.
   *
   * @param offset ms that it is ahead of the real one
   */
  set(offset: number): void {
    // Never seen half written.
    writeFileSync(`${this.#file}.new`, String(offset))
    renameSync(`${this.#file}.new`, this.#file)
  }
}
