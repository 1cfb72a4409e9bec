/** When watched polls end, by this server's clock. */

/** The longest that a timer can wait, in ms. */
const LONGEST = 2 ** 31 - 1

export class Ends {
  #ends = new Map<string, { at: number; timer: NodeJS.Timeout }>()
  #onEnd: (uri: string) => void

  /** @param onEnd is called once for each end, no earlier than it is */
  constructor(onEnd: (uri: string) => void) {
    this.#onEnd = onEnd
  }

  /** @param endsAt RFC 3339; undefined: it has no end (any more) */
  expect(uri: string, endsAt: string | undefined): void {
    const at = endsAt === undefined ? Number.NaN : Date.parse(endsAt)
    if (this.#ends.get(uri)?.at === at) return
    this.forget(uri)
    if (at > Date.now()) this.#wait(uri, at)
  }

  forget(uri: string): void {
    clearTimeout(this.#ends.get(uri)?.timer)
    this.#ends.delete(uri)
  }

  stop(): void {
    for (const uri of this.#ends.keys()) this.forget(uri)
  }

  #wait(uri: string, at: number): void {
    const timer = setTimeout(
      () => {
        // It may be far away, and a timer is not the clock.
        if (Date.now() < at) return this.#wait(uri, at)
        this.#ends.delete(uri)
        this.#onEnd(uri)
      },
      Math.min(at - Date.now(), LONGEST),
    )
    this.#ends.set(uri, { at, timer })
  }
}
