/** Something that is being done with somebody's account, from the click to its end. */
import { signal, type ReadonlySignal } from '@preact/signals'
import type { Act, ActMessage, PageAccount, Reason, ToEngine } from '@pollz/shared/engine'

export type Phase =
  | { name: 'idle' }
  /** `accepted`: the engine has it, and keeps it */
  | { name: 'acting'; id: string; act: Act; accepted: boolean }
  | { name: 'signingIn'; id: string; act: Act; as: string }
  /** `last`: who used this browser last */
  | { name: 'whoAreYou'; id: string; act: Act; last?: PageAccount | undefined }
  | { name: 'refused'; id: string; act: Act; reason: Reason }

/** As whom something is done, where that is not the page's account. `identifier`: to sign in with */
export type As = { account: PageAccount } | { identifier: string }

export type Actor = {
  send: (message: ToEngine) => void
  /** that the page is using */
  account: ReadonlySignal<PageAccount | undefined>
}

let lastClick = 0
/** In ms since 1970; of two clicks the later one has the greater, however fast they are. */
const clickedAt = () => (lastClick = Math.max(Date.now(), lastClick + 1))

export class Acting {
  readonly phase = signal<Phase>({ name: 'idle' })
  /** The widget in which it was begun, of several that show the same poll; undefined: all of them. */
  readonly place = signal<object | undefined>(undefined)
  #actor: Actor
  #onStart: () => void
  #sent: (ToEngine & { type: 'act' }) | undefined
  /** What was begun here: late news of an act that is over here concerns nobody. */
  #ids = new Set<string>()

  /** @param onStart called whenever something is begun, before it shows */
  constructor(actor: Actor, onStart = () => {}) {
    this.#actor = actor
    this.#onStart = onStart
  }

  /** @param place where it was clicked; without it, where the last one was */
  start(act: Act, as?: As, place = this.place.peek()): void {
    // What is begun again is still the same.
    if (this.phase.peek().name !== 'acting') this.#onStart()
    const id = crypto.randomUUID()
    this.#ids.add(id)
    this.place.value = place
    this.phase.value = { name: 'acting', id, act, accepted: false }
    this.#sent = { type: 'act', id, at: clickedAt(), act, account: this.#actor.account.value, ...as }
    this.#actor.send(this.#sent)
  }

  dismiss(): void {
    this.phase.value = { name: 'idle' }
  }

  /** To an engine that may have been away: what it has not accepted is sent again, of the rest it is asked. */
  reconnected(): void {
    const phase = this.phase.value
    if (phase.name === 'acting' && !phase.accepted && this.#sent) this.#actor.send(this.#sent)
    else if (phase.name === 'acting' || phase.name === 'signingIn')
      this.#actor.send({ type: 'ask', id: phase.id })
  }

  /** @returns whether it concerned what is being done here */
  receive(message: ActMessage): boolean {
    const phase = this.phase.value
    const { id, act } = message
    // A page that had left to sign in knows nothing of what it began.
    const isCurrent = phase.name === 'idle' ? !this.#ids.has(id) : phase.id === id
    if (!isCurrent) return false
    switch (message.type) {
      case 'accepted':
        this.phase.value = { name: 'acting', id, act, accepted: true }
        return true
      case 'whoAreYou':
        this.phase.value = { name: 'whoAreYou', id, act, last: message.last }
        return true
      case 'signingIn':
        this.phase.value = { name: 'signingIn', id, act, as: message.as }
        return true
      case 'refused':
        this.phase.value = { name: 'refused', id, act, reason: message.reason }
        return true
      case 'superseded':
      case 'done':
        this.dismiss()
        return true
      default:
        return message satisfies never
    }
  }
}
