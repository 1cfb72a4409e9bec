/** Polls that somebody is told the end of. In IndexedDB, which needs no permission. */
import { LATELY } from '@pollz/engine/ended'
import type { Look } from '@pollz/engine/look'
import type { EndingPoll } from '@pollz/shared/engine'
import type { PollView } from '@pollz/shared/wire'
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'

/** What is asked for beyond this takes the place of what was asked for first; as many that were told are kept. */
const MAX = 100
/** A server that can't be reached at the end is asked again after so many ms; from then on it is said without a result. */
const RETRY = 120_000
const GIVE_UP = 3_600_000
/** The server's clock is known to some ms: whoever asks too early waits for another alarm, which may take half a minute. */
const MARGIN = 1_000

/** Times in ms since 1970, by this clock. */
type Reminder = EndingPoll & {
  /** when it was asked for */
  asked: number
  /** when the server is asked how it has ended; undefined: that was told */
  due: number | undefined
  /** when the server was asked first and gave no answer */
  failed?: number
}

interface ReminderStores extends DBSchema {
  /** by at-uri of the poll, with its author's DID */
  reminders: { key: string; value: Reminder }
}

/** What the browser does. Notifications are known by the at-uri of their poll. */
export type Teller = {
  /** Calls `ring` at a time, in ms since 1970, or soon after, and at no other; undefined: never. */
  alarm: (at: number | undefined) => Promise<unknown>
  /** @param poll as it has ended; undefined: the server can't say */
  show: (ending: EndingPoll, poll: PollView | undefined) => Promise<unknown>
  isShown: (uri: string) => Promise<boolean>
  hide: (uri: string) => Promise<unknown>
  /** Asks the server for a poll. */
  look: (uri: string) => Promise<Look>
  /** Called when other polls will be told. */
  changed: () => void
}

export class Reminders {
  #db: IDBPDatabase<ReminderStores>
  #teller: Teller
  /** All that are stored. */
  #known: Map<string, Reminder>
  #asking = new Set<string>()

  private constructor(db: IDBPDatabase<ReminderStores>, known: Reminder[], teller: Teller) {
    this.#db = db
    this.#known = new Map(known.map((it) => [it.uri, it]))
    this.#teller = teller
  }

  static async open(teller: Teller): Promise<Reminders> {
    const db = await openDB<ReminderStores>('reminders', 1, {
      upgrade: (created) => void created.createObjectStore('reminders'),
    })
    return new Reminders(db, await db.getAll('reminders'), teller)
  }

  /** To be called whenever the background starts: browsers forget alarms, and polls end while they are closed. */
  async start(): Promise<void> {
    await this.#prune()
    await this.ring()
  }

  /** Polls that somebody will be told the end of, the next one first. */
  get pending(): EndingPoll[] {
    return this.#pending()
      .toSorted((a, b) => a.due - b.due)
      .map(({ uri, text, endsAt }) => ({ uri, text, endsAt }))
  }

  /** at-uris of polls whose end was told lately, the latest first. */
  get told(): string[] {
    return this.#told()
      .toSorted((a, b) => endOf(b) - endOf(a))
      .map(({ uri }) => uri)
  }

  /** @param ahead by how many ms the server's clock is ahead of this one */
  async remind({ uri, text, endsAt }: EndingPoll, ahead: number): Promise<void> {
    if (this.#known.get(uri)?.due !== undefined) return
    const [first] = this.#pending().toSorted((a, b) => a.asked - b.asked)
    if (first && this.#pending().length >= MAX) await this.#delete(first.uri)
    const now = Date.now()
    await this.#put({ uri, text, endsAt, asked: now, due: dueAt(endsAt, now + ahead) })
    this.#teller.changed()
    // Its end may have been told before, and moved since.
    await this.#teller.hide(uri)
    await this.#arm()
  }

  async unremind(uri: string): Promise<void> {
    if (this.#known.get(uri)?.due === undefined) return
    await this.#delete(uri)
    this.#teller.changed()
    await this.#arm()
  }

  /** A poll as its server has it: its author may have moved its end. @param now the server's clock, in ms since 1970 */
  async saw(poll: PollView, now: number): Promise<void> {
    const reminder = this.#known.get(poll.uri)
    if (reminder?.due === undefined) return
    if (poll.endsAt === undefined) return this.unremind(poll.uri)
    const { endsAt, text } = poll
    if (Date.parse(endsAt) <= now) return this.#tell({ ...reminder, text, endsAt }, poll)
    const due = dueAt(endsAt, now)
    // What is seen again and again is written once.
    if (reminder.endsAt === endsAt && reminder.text === text && Math.abs(reminder.due - due) < MARGIN) return
    const { failed: _, ...rest } = reminder
    await this.#put({ ...rest, text, endsAt, due })
    await this.#arm()
  }

  /** The alarm rings: asks how those have ended that should have by now. */
  async ring(): Promise<void> {
    const due = this.#pending().filter((it) => it.due <= Date.now())
    await Promise.all(due.map(({ uri }) => this.#ask(uri)))
    await this.#arm()
  }

  /** Somebody has seen a notification: the background may have ended before that was noted. */
  async seen(uri: string): Promise<void> {
    const reminder = this.#known.get(uri)
    if (reminder?.due !== undefined) await this.#note(reminder)
  }

  #pending(): (Reminder & { due: number })[] {
    return [...this.#known.values()].flatMap((it) => (it.due === undefined ? [] : { ...it, due: it.due }))
  }

  #told(): Reminder[] {
    return [...this.#known.values()].filter(({ due }) => due === undefined)
  }

  async #ask(uri: string): Promise<void> {
    if (this.#asking.has(uri)) return
    this.#asking.add(uri)
    const found = await this.#teller.look(uri).finally(() => this.#asking.delete(uri))
    if (typeof found === 'object') return this.saw(found.poll, found.now)
    // Nobody is told of what somebody has taken away.
    if (found === 'gone') return this.unremind(uri)
    // Meanwhile it may be wanted no more.
    const reminder = this.#known.get(uri)
    if (reminder?.due === undefined) return
    const now = Date.now()
    const { failed = now } = reminder
    if (now - failed >= GIVE_UP) await this.#tell(reminder, undefined)
    else await this.#put({ ...reminder, failed, due: now + RETRY })
  }

  async #tell(reminder: Reminder, poll: PollView | undefined): Promise<void> {
    const { uri, text, endsAt } = reminder
    // Whoever hears of its end at the same moment finds it told. What is stored changes when it was shown.
    this.#known.set(uri, { ...reminder, due: undefined })
    // Without a permission that was taken away nothing can be shown: the popup still lists it.
    if (!(await this.#teller.isShown(uri)))
      await this.#teller
        .show({ uri, text, endsAt }, poll)
        .catch((error: unknown) => console.warn('pollz: an end could not be told', error))
    await this.#note(reminder)
  }

  /** That it was told. */
  async #note(reminder: Reminder): Promise<void> {
    await this.#put({ ...reminder, due: undefined })
    this.#teller.changed()
    await this.#prune()
    await this.#arm()
  }

  async #arm(): Promise<void> {
    // What is being asked is due again only if nobody can say.
    const dues = this.#pending().flatMap(({ uri, due }) => (this.#asking.has(uri) ? [] : due))
    await this.#teller.alarm(dues.length === 0 ? undefined : Math.min(...dues))
  }

  /** What was told stays as long as the popup lists it. */
  async #prune(): Promise<void> {
    const late = this.#told().filter((it) => endOf(it) < Date.now() - LATELY)
    for (const uri of new Set([...late.map((it) => it.uri), ...this.told.slice(MAX)])) await this.#delete(uri)
  }

  async #put(reminder: Reminder): Promise<void> {
    this.#known.set(reminder.uri, reminder)
    await this.#db.put('reminders', reminder, reminder.uri)
  }

  async #delete(uri: string): Promise<void> {
    this.#known.delete(uri)
    await this.#db.delete('reminders', uri)
  }
}

const endOf = ({ endsAt }: Reminder) => Date.parse(endsAt)

/** @param now the server's clock, in ms since 1970 @returns when a poll has ended by this clock */
const dueAt = (endsAt: string, now: number) => Date.now() + Date.parse(endsAt) - now + MARGIN
