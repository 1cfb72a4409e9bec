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

const SECOND = 1_000
const HOUR = 3_600_000
const DAY = 24 * HOUR
/** After how long a poll may end, in ms. */
export const LASTS = [HOUR, DAY, 3 * DAY, 7 * DAY]

/** When a poll ends: so many ms after the click that publishes it, or at a date. */
export type End = 'never' | 'date' | number

/** Bytes in which a text is counted. */
export const lengthOf = (value: string) => new TextEncoder().encode(value).length

/** `key` is the same wherever an option moves. */
export type DraftOption = { key: number; text: string }

export type Problem =
  | { field: 'text' | number; name: 'empty' | 'tooLong' }
  /** It says the same as the option at this index. */
  | { field: number; name: 'same'; as: number }
  | { field: 'end'; name: 'noDate' | 'past' | 'tooFar' | 'beforeStart' }

export class EditorModel {
  readonly click: Click
  readonly text = signal('')
  readonly options = signal<DraftOption[]>([])
  readonly end = signal<End>('never')
  /** Local time, as an input has it: `YYYY-MM-DDTHH:mm`; '': none, or none that there is. */
  readonly endDate = signal('')
  /** C11: whether a voter may choose several options. */
  readonly multiple = signal(false)
  /** What the question may be taken from: the text of the post that the poll is for; '': nothing fit for one. */
  readonly postText = signal('')
  /** The question is word for word the post's. */
  readonly isPostText = computed(() => this.postText.value !== '' && this.#question === this.postText.value)
  /** Whether that text is to leave the post when the poll is published. */
  readonly leavesPost = signal(true)
  /** When somebody tried to publish it last, in ms since 1970: from then on everything that is wrong is said. 0: never. */
  readonly tried = signal(0)
  /** What was moved last, and where to: to be read out. */
  readonly moved = signal<{ text: string; to: number } | undefined>(undefined)
  /** The poll that is edited; undefined: it is a new one. */
  readonly edited: PollView | undefined
  readonly rkey: string
  /** Of the preview: it is told nothing and tells nobody anything. */
  readonly preview: PollModel
  /** C7: votes stay with an option's place, so a poll that has some says what of it was changed. */
  readonly willSayEdited = computed(() => {
    const edited = this.edited
    if (!edited || edited.total === 0) return false
    const { endsAt, multiple, options } = this.draft
    const before = edited.options.map((it) => it.text)
    return endsAt !== undefined || multiple !== undefined || options.join('\0') !== before.join('\0')
  })
  /** C11: votes for several options do not count where a poll allows one. */
  readonly willLoseVotes = computed(() => this.willSayEdited.value && this.draft.multiple === false)
  #nextKey = 0
  #onDone: (uri: string) => void
  #connection: Surroundings['connection']
  /** What `end` and `endDate` are while nobody has changed them. */
  #unchanged: { end: End; endDate: string }

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
    this.multiple.value = edited?.multiple ?? false
    if (edited?.endsAt !== undefined) {
      this.end.value = 'date'
      this.endDate.value = localTime(Date.parse(edited.endsAt))
    }
    this.#unchanged = { end: this.end.value, endDate: this.endDate.value }
    this.#connection = around.connection
    this.preview = new PollModel('', { ...around, send: () => {}, hasVoted: signal(true) })
  }

  /**
   * Makes the text of the post the question, unless somebody has written another one. A text that is longer than a question
   * may be is a post of its own: cut off, it would ask something else.
   */
  prefill(postText: string): void {
    const text = lengthOf(postText) > MAX_TEXT ? '' : postText.trim()
    if (text !== '' && (this.#question === '' || this.isPostText.value)) this.text.value = text
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

  /** A date to begin with is when the poll would end without it. */
  endAt(end: End): void {
    const before = this.end.value
    if (end === 'date' && this.endDate.value === '')
      this.endDate.value = localTime(Date.now() + (typeof before === 'number' ? before : DAY))
    this.end.value = end
  }

  get #question(): string {
    return this.text.value.trim()
  }

  /** By which polls end, as far as the server has said, in ms since 1970. */
  get #now(): number {
    return Date.now() + (this.#connection.peek().ahead ?? 0)
  }

  get #isEndChanged(): boolean {
    const { end, endDate } = this.#unchanged
    return this.end.value !== end || (end === 'date' && this.endDate.value !== endDate)
  }

  /** RFC 3339, if it is published at a time; undefined: never, or nobody can say. */
  #endsAt(now: number): string | undefined {
    const end = this.end.value
    // The input has no seconds.
    if (!this.#isEndChanged) return this.edited?.endsAt
    if (end === 'never') return undefined
    if (end !== 'date') return new Date(now + end).toISOString()
    const time = Date.parse(this.endDate.value)
    return Number.isNaN(time) ? undefined : new Date(time).toISOString()
  }

  /** As it would be published now. */
  get draft(): PollDraft {
    const common = { text: this.#question, options: this.options.value.map((it) => it.text.trim()) }
    const endsAt = this.#endsAt(this.#now)
    const multiple = this.multiple.value
    // A new poll is dated by the click that publishes it.
    if (!this.edited)
      return { ...common, ...(endsAt === undefined ? {} : { endsAt }), ...(multiple ? { multiple } : {}) }
    return {
      ...common,
      createdAt: this.edited.createdAt,
      ...(this.#isEndChanged ? { endsAt: endsAt ?? null } : {}),
      ...(multiple === (this.edited.multiple ?? false) ? {} : { multiple }),
    }
  }

  /** What is shown meanwhile: the poll as it would be. */
  previewed(placeholder: (index: number) => string, question: string): PollView {
    const { text, options, createdAt = new Date().toISOString() } = this.draft
    // The preview looks at its clock a little later. An end that can't be written would show what never will be.
    const endsAt = this.#endProblem().length > 0 ? undefined : this.#endsAt(this.#now + SECOND)
    const total = this.edited?.total ?? 0
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
      ...(endsAt === undefined ? {} : { endsAt }),
      ...(this.multiple.value ? { multiple: true, voters: this.edited?.voters ?? total } : {}),
      total,
      edited: (this.edited?.edited ?? false) || this.willSayEdited.value,
      version: 0,
    }
  }

  /** What publishing it now would be; undefined: something is wrong, which is said from now on. */
  act(): Act | undefined {
    this.tried.value = Date.now()
    if (this.problems.length > 0) return undefined
    return { type: 'publish', rkey: this.rkey, draft: this.draft }
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

  /** In the order of the fields. */
  get problems(): Problem[] {
    const { text, options } = this.draft
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
      ...this.#endProblem(),
    ]
  }

  /** An end that nobody touches is what it is, and may have come. */
  #endProblem(): Problem[] {
    if (this.end.value === 'never' || !this.#isEndChanged) return []
    const endsAt = this.#endsAt(this.#now)
    const of = (name: (Problem & { field: 'end' })['name']): Problem[] => [{ field: 'end', name }]
    // RFC 3339 has years of four digits.
    if (/^\d{5}/.test(this.endDate.value) || endsAt?.startsWith('+')) return of('tooFar')
    if (endsAt === undefined) return of('noDate')
    if (Date.parse(endsAt) <= this.#now) return of('past')
    return this.edited && Date.parse(endsAt) <= Date.parse(this.edited.createdAt) ? of('beforeStart') : []
  }
}

/** @param time ms since 1970 */
function localTime(time: number): string {
  const offset = new Date(time).getTimezoneOffset() * 60_000
  return new Date(time - offset).toISOString().slice(0, 16)
}
