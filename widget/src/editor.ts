/** A poll that is being written: its fields, what is wrong with them, and a preview. */
import { computed, signal } from '@preact/signals'
import lexicon from '@pollz/shared/lexicons/tech/waow/poll.json' with { type: 'json' }
import { tid } from '@pollz/shared/tid'
import type { PollView } from '@pollz/shared/wire'
import { Click, type Actor } from './click.ts'
import type { Act, ActMessage, PollDraft } from '@pollz/shared/engine'
import { PollModel, type Surroundings } from './model.ts'

const { text, options } = lexicon.defs.main.record.properties
/** Bytes of UTF-8, as the lexicon counts them. */
export const MAX_TEXT = text.maxLength
export const MAX_OPTION = options.items.maxLength
export const MIN_OPTIONS = options.minLength
export const MAX_OPTIONS = options.maxLength

/** Bytes in which a text is counted. */
export const lengthOf = (value: string) => new TextEncoder().encode(value).length

/** `key` is the same wherever an option moves. */
export type DraftOption = { key: number; text: string }

export type Problem =
  | { field: 'text' | number; name: 'empty' | 'tooLong' }
  /** It says the same as the option at this index. */
  | { field: number; name: 'same'; as: number }

export class EditorModel {
  readonly click: Click
  readonly text = signal('')
  readonly options = signal<DraftOption[]>([])
  /** What the question may be taken from: the text of the post that the poll is for; '': nothing fit for one. */
  readonly postText = signal('')
  /** The question is word for word the post's. */
  readonly isPostText = computed(
    () => this.postText.value !== '' && this.draft.value.text === this.postText.value,
  )
  /** Whether that text is to leave the post when the poll is published. */
  readonly leavesPost = signal(true)
  /** Somebody has tried to publish it: from then on everything that is wrong is said. */
  readonly tried = signal(false)
  /** What was moved last, and where to: to be read out. */
  readonly moved = signal<{ text: string; to: number } | undefined>(undefined)
  /** The poll that is edited; undefined: it is a new one. */
  readonly edited: PollView | undefined
  readonly rkey: string
  /** Of the preview: it is told nothing and tells nobody anything. */
  readonly preview: PollModel
  readonly problems = computed(() => this.#problems())
  /** C7: votes stay with an option's place, so a poll that has some says that its options were changed. */
  readonly willSayEdited = computed(() => {
    const edited = this.edited
    if (!edited || edited.total === 0) return false
    const { options } = this.draft.value
    return JSON.stringify(options) !== JSON.stringify(edited.options.map((it) => it.text))
  })
  readonly draft = computed((): PollDraft => ({
    text: this.text.value.trim(),
    options: this.options.value.map((it) => it.text.trim()),
    // A new poll is dated by the click that publishes it.
    ...(this.edited ? { createdAt: this.edited.createdAt } : {}),
  }))
  #nextKey = 0
  #onDone: (uri: string) => void

  /**
   * @param around what the preview is drawn with
   * @param edited a poll of one's own that is to be changed
   * @param onDone called with the at-uri of what was written
   */
  constructor(
    actor: Actor,
    around: Omit<Surroundings, 'send'>,
    onDone: (uri: string) => void,
    edited?: PollView,
  ) {
    this.click = new Click(actor)
    this.edited = edited
    this.#onDone = onDone
    // Fixed per editor, so retries are idempotent.
    this.rkey = edited?.rkey ?? tid(Date.now() * 1000, Math.floor(Math.random() * 1024))
    this.text.value = edited?.text ?? ''
    for (const it of edited?.options ?? [{ text: '' }, { text: '' }]) this.add(it.text)
    this.preview = new PollModel('', { ...around, send: () => {}, hasVoted: signal(true) })
  }

  /**
   * Makes the text of the post the question, unless somebody has written another one. A text that is longer than a question
   * may be is a post of its own: cut off, it would ask something else.
   */
  prefill(postText: string): void {
    const text = lengthOf(postText) > MAX_TEXT ? '' : postText.trim()
    if (text !== '' && (this.draft.value.text === '' || this.isPostText.value)) this.text.value = text
    this.postText.value = text
  }

  add(text = ''): void {
    if (this.options.value.length >= MAX_OPTIONS) return
    this.options.value = [...this.options.value, { key: this.#nextKey++, text }]
  }

  remove(index: number): void {
    if (this.options.value.length <= MIN_OPTIONS) return
    this.options.value = this.options.value.toSpliced(index, 1)
  }

  write(index: number, text: string): void {
    this.options.value = this.options.value.map((it, i) => (i === index ? { ...it, text } : it))
  }

  move(from: number, to: number): void {
    const option = this.options.value[from]
    if (!option || to < 0 || to >= this.options.value.length || to === from) return
    this.options.value = this.options.value.toSpliced(from, 1).toSpliced(to, 0, option)
    this.moved.value = { text: option.text, to }
  }

  /** What is shown meanwhile: the poll as it would be. */
  previewed(placeholder: (index: number) => string, question: string): PollView {
    const { text, options, createdAt = new Date().toISOString() } = this.draft.value
    return {
      uri: '',
      repo: '',
      rkey: this.rkey,
      text: text || question,
      options: options.map((it, i) => ({
        text: it || placeholder(i),
        count: this.edited?.options[i]?.count ?? 0,
      })),
      createdAt,
      total: this.edited?.total ?? 0,
      edited: (this.edited?.edited ?? false) || this.willSayEdited.value,
      version: 0,
    }
  }

  /** What publishing it now would be; undefined: something is wrong, which is said from now on. */
  act(): Act | undefined {
    this.tried.value = true
    if (this.problems.value.length > 0) return undefined
    return { type: 'publish', rkey: this.rkey, draft: this.draft.value }
  }

  /** @returns false: something is wrong */
  publish(): boolean {
    const act = this.act()
    if (act) this.click.start(act)
    return act !== undefined
  }

  /** Somebody closes the editor. While they were to sign in for it, they do not want it published any more. */
  leave(): void {
    if (this.click.phase.peek().name === 'signingIn') this.click.dismiss()
  }

  receive(message: ActMessage): void {
    if (this.click.receive(message) && message.type === 'done') this.#onDone(message.uri)
  }

  #problems(): Problem[] {
    const { text, options } = this.draft.value
    const of = (field: 'text' | number, value: string, max: number): Problem[] => {
      if (value === '') return [{ field, name: 'empty' }]
      return lengthOf(value) > max ? [{ field, name: 'tooLong' }] : []
    }
    return [
      ...of('text', text, MAX_TEXT),
      ...options.flatMap((it, i) => {
        const same = options.indexOf(it)
        return it !== '' && same < i ? [{ field: i, name: 'same' as const, as: same }] : of(i, it, MAX_OPTION)
      }),
    ]
  }
}
