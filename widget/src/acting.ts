/** Something that is being done with somebody's account, from the click to its end. */
import { signal, type ReadonlySignal } from '@preact/signals'
import type { Act, ActMessage, PageAccount, Reason, ToBackground } from './messages.ts'

export type Phase =
  | { name: 'idle' }
  | { name: 'acting'; act: Act }
  | { name: 'signingIn'; act: Act; as: string }
  | { name: 'whoAreYou'; act: Act }
  | { name: 'refused'; act: Act; reason: Reason }

export type Actor = {
  send: (message: ToBackground) => void
  /** that the page is using */
  account: ReadonlySignal<PageAccount | undefined>
}

export class Acting {
  readonly phase = signal<Phase>({ name: 'idle' })
  #actor: Actor
  #onStart: () => void

  /** @param onStart called whenever something is begun, before it shows */
  constructor(actor: Actor, onStart = () => {}) {
    this.#actor = actor
    this.#onStart = onStart
  }

  /** @param identifier a handle to sign in with */
  start(act: Act, identifier?: string): void {
    // What is begun again is still the same.
    if (this.phase.peek().name !== 'acting') this.#onStart()
    this.phase.value = { name: 'acting', act }
    this.#actor.send({
      type: 'act',
      act,
      account: this.#actor.account.value,
      ...(identifier === undefined ? {} : { identifier }),
    })
  }

  dismiss(): void {
    this.phase.value = { name: 'idle' }
  }

  /** A click is not lost with the background that was busy with it. */
  reconnected(): void {
    const phase = this.phase.value
    if (phase.name === 'acting') this.start(phase.act)
  }

  receive(message: ActMessage): void {
    switch (message.type) {
      case 'whoAreYou':
        this.phase.value = { name: 'whoAreYou', act: message.act }
        return
      case 'signingIn':
        this.phase.value = { name: 'signingIn', act: message.act, as: message.as }
        return
      case 'refused':
        this.phase.value = { name: 'refused', act: message.act, reason: message.reason }
        return
      case 'done':
        this.dismiss()
        return
      default:
        message satisfies never
    }
  }
}
