/** One poll on this page, however many widgets show it: state here, rendering in the components. */
import { computed, signal } from '@preact/signals'
import type { PollView } from '@pollz/shared/wire'
import type { ToBackground, ToContent } from '../messages.ts'

export type Phase =
  | { name: 'idle' }
  /** Shown as done at once; taken back if the PDS refuses. */
  | { name: 'voting'; option: number | null }
  | { name: 'signingIn'; option: number | null }
  | { name: 'whoAreYou'; option: number | null }
  | { name: 'refused'; option: number | null; reason: string }

export class PollModel {
  readonly uri: string
  readonly poll = signal<PollView | undefined>(undefined)
  readonly missing = signal<{ error: string; message: string } | undefined>(undefined)
  readonly online = signal(true)
  readonly phase = signal<Phase>({ name: 'idle' })
  /** The option that the vote is known to be for; null: none. */
  readonly own = signal<number | null>(null)
  /** The option to mark: what was just clicked, or the vote that counts. */
  readonly chosen = computed(() => {
    const phase = this.phase.value
    return phase.name === 'voting' ? phase.option : this.own.value
  })
  /** The poll with one's own click in it before the server says so. */
  readonly shown = computed(() => {
    const poll = this.poll.value
    const phase = this.phase.value
    if (!poll || phase.name !== 'voting' || phase.option === this.own.value) return poll
    const change = (i: number) => Number(i === phase.option) - Number(i === this.own.value)
    const options = poll.options.map(({ text, count }, i) => ({
      text,
      count: Math.max(0, count + change(i)),
    }))
    return { ...poll, options, total: options.reduce((sum, { count }) => sum + count, 0) }
  })
  #send: (message: ToBackground) => void
  #account: () => string | undefined
  #hosts = new Set<Element>()

  /** @param account DID of the page's account */
  constructor(uri: string, send: (message: ToBackground) => void, account: () => string | undefined) {
    this.uri = uri
    this.#send = send
    this.#account = account
  }

  /** A widget of this poll comes into view or leaves it: only while one is, the poll is watched. */
  visible(host: Element, visible: boolean): void {
    const before = this.#hosts.size
    if (visible) this.#hosts.add(host)
    else this.#hosts.delete(host)
    if (before === 0 && this.#hosts.size > 0) this.watch()
    if (before > 0 && this.#hosts.size === 0) this.#send({ type: 'unwatch', uri: this.uri })
  }

  /** Says again to a new background what this page wants. */
  reconnected(): void {
    if (this.#hosts.size > 0) this.watch()
    // A click is not lost with the worker that was busy with it.
    const phase = this.phase.value
    if (phase.name === 'voting') this.vote(phase.option)
  }

  watch(): void {
    this.#send({ type: 'watch', uri: this.uri, voter: this.#account() })
  }

  /**
   * @param option null takes the vote back
   * @param identifier a handle to sign in with
   */
  vote(option: number | null, identifier?: string): void {
    this.phase.value = { name: 'voting', option }
    this.#send({
      type: 'vote',
      uri: this.uri,
      option,
      voter: this.#account(),
      ...(identifier === undefined ? {} : { identifier }),
    })
  }

  dismiss(): void {
    this.phase.value = { name: 'idle' }
  }

  receive(message: Exclude<ToContent, { type: 'hosts' | 'connection' }>): void {
    const phase = this.phase.value
    const option = 'option' in phase ? phase.option : null
    switch (message.type) {
      case 'poll':
        this.missing.value = undefined
        if (!this.poll.value || this.poll.value.version <= message.poll.version)
          this.poll.value = message.poll
        return
      case 'missing':
        this.missing.value = { error: message.error, message: message.message }
        return
      case 'own':
        this.own.value = message.option
        if (phase.name !== 'idle' && phase.name !== 'voting') this.dismiss()
        else if (phase.name === 'voting' && phase.option === message.option) this.dismiss()
        return
      case 'whoAreYou':
        this.phase.value = { name: 'whoAreYou', option: message.option }
        return
      case 'signingIn':
        this.phase.value = { name: 'signingIn', option }
        return
      case 'refused':
        this.phase.value = { name: 'refused', option, reason: message.reason }
        return
      default:
        message satisfies never
    }
  }
}
