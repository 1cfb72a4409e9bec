/** Something that is being done with somebody's account, from the click to its end. */
import { signal, type ReadonlySignal } from '@preact/signals'
import type { Act, ActMessage, PageAccount, Reason, ToEngine } from '@pollz/shared/engine'
import { newId } from '@pollz/shared/ids'

export type Phase =
  | { name: 'idle' }
  /** `accepted`: the engine has it, and keeps it */
  | { name: 'busy'; id: string; act: Act; accepted: boolean }
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

export class Click {
  readonly phase = signal<Phase>({ name: 'idle' })
  /** The widget in which it was begun, of several that show the same poll; undefined: all of them. */
  readonly place = signal<object | undefined>(undefined)
  #actor: Actor
  #onStart: () => void
  /** What the engine is not known to have, by id: it is sent until it does, whatever is begun or shown meanwhile. */
  #sent = new Map<string, ToEngine & { type: 'act' }>()
  /** What was begun here: late news of an act that is over here concerns nobody. */
  #ids = new Set<string>()
  /** Those that were dismissed while they were on their way. */
  #dismissed = new Set<string>()

  /** @param onStart called whenever something is begun, before it shows */
  constructor(actor: Actor, onStart = () => {}) {
    this.#actor = actor
    this.#onStart = onStart
  }

  /** @param place where it was clicked; without it, where the last one was */
  start(act: Act, as?: As, place = this.place.peek()): void {
    this.#onStart()
    const id = newId()
    this.#ids.add(id)
    this.place.value = place
    this.phase.value = { name: 'busy', id, act, accepted: false }
    const message = {
      type: 'act' as const,
      id,
      at: clickedAt(),
      act,
      account: this.#actor.account.value,
      ...as,
    }
    // Sending may connect, which sends what was sent before.
    this.#actor.send(message)
    this.#sent.set(id, message)
  }

  /** The engine has still to hear, or say, something. */
  get waiting(): boolean {
    return this.#sent.size > 0 || this.phase.peek().name === 'busy'
  }

  /** Nothing of it is shown any more, and it is not done if that takes signing in. */
  dismiss(): void {
    const phase = this.phase.peek()
    if (phase.name === 'signingIn') this.#withdraw(phase.id)
    else if (phase.name === 'busy') this.#dismissed.add(phase.id)
    this.phase.value = { name: 'idle' }
  }

  #withdraw(id: string): void {
    this.#actor.send({ type: 'withdraw', id })
  }

  /** To an engine that may have been away: what it has not accepted is sent again, of the rest it is asked. */
  reconnected(): void {
    for (const message of this.#sent.values()) this.#actor.send({ ...message, again: true })
    const phase = this.phase.value
    if ((phase.name === 'busy' && phase.accepted) || phase.name === 'signingIn')
      this.#actor.send({ type: 'ask', id: phase.id, act: phase.act })
  }

  /** @returns whether it concerned what is being done here */
  receive(message: ActMessage): boolean {
    const phase = this.phase.value
    const { id, act, voter } = message
    this.#sent.delete(id)
    // A page that had left to sign in knows nothing of what it began. Of another account it wants to know nothing.
    const account = this.#actor.account.peek()
    const isOthers = account !== undefined && voter !== undefined && account.did !== voter
    const isCurrent = phase.name === 'idle' ? !this.#ids.has(id) && !isOthers : phase.id === id
    if (!isCurrent) {
      if (message.type === 'signingIn' && this.#dismissed.has(id)) this.#withdraw(id)
      return false
    }
    switch (message.type) {
      case 'accepted':
        this.phase.value = { name: 'busy', id, act, accepted: true }
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
        this.phase.value = { name: 'idle' }
        return true
      default:
        return message satisfies never
    }
  }
}
