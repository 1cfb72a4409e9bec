/** One poll on this page, however many widgets show it: state here, rendering in the components. */
import { batch, computed, signal, type ReadonlySignal } from '@preact/signals'
import { parseAtUri } from '@pollz/shared/at-uri'
import { choiceOf, choicesIn } from '@pollz/shared/choices'
import { isGone } from '@pollz/shared/missing'
import lexicon from '@pollz/shared/lexicons/tech/waow/poll.json' with { type: 'json' }
import type { PollView, VoteView } from '@pollz/shared/wire'
import { Click, type Actor } from './click.ts'
import { EditorModel } from './editor.ts'
import type { ActMessage, Check, PageAccount, PollMessage, Tally } from '@pollz/shared/engine'

/** What all polls of a page have in common. */
export type Surroundings = Actor & {
  /** `ahead`: by how many ms the server's clock is ahead of this one */
  connection: ReadonlySignal<{ online: boolean; since: number; ahead?: number }>
  resultsFirst: ReadonlySignal<boolean>
  hasVoted: ReadonlySignal<boolean>
  knowsSignIn: ReadonlySignal<boolean>
  /** The page of a poll. */
  linkTo: (uri: string) => string
  /** The page of a person, by handle or DID. */
  profileOf: (person: string) => string
  /** The page of a poll on the companion server, whose card shows its tally as of a version. */
  resultLink: (poll: PollView) => string
  /** A composer with a text in it. */
  compose: (text: string) => string
  /** at-uris by DID of polls that somebody will be told the end of; undefined: nobody can be told here */
  reminders: ReadonlySignal<ReadonlySet<string> | undefined>
  /** base URL of whoever else is asked for votes when a result is checked; '': nobody */
  second: ReadonlySignal<string>
}

/** Who voted for what, as far as it was asked for. */
export type Voters = {
  votes: VoteView[]
  cursor: string | undefined
  /** handle of the poll's author */
  author: string | undefined
  state: 'loading' | 'there' | 'failed'
}

/** Fewer or more than this many options: the skeleton has another height than the poll, and the page jumps. */
const LIKELY_OPTIONS = 3

const SECOND = 1_000
const MINUTE = 60_000

/** A post as a page shows it. */
export type ShownPost = {
  /** of its record */
  rkey: string
  /** with links perhaps shortened */
  text: string
  /** By its link the poll is of a kind whose question such a post asks: no room is left for it. */
  asks: boolean
}

/**
 * Whether somebody who sees a post has read the question of a poll, which is its text. Whose post it is need not be known:
 * under a text that is another, the question is asked.
 */
export function isAskedIn({ post, text }: PollView, shown: Omit<ShownPost, 'asks'>): boolean {
  return post !== undefined && parseAtUri(post)?.rkey === shown.rkey && words(text) === words(shown.text)
}

const words = (text: string) => text.split(/\s+/).join(' ').trim()

/** Indexes of options, in ascending order; none: no vote. */
export type Choices = readonly number[]

const NONE: Choices = []
const isSame = (a: Choices, b: Choices) => a.join() === b.join()

/** The poll with what this browser has counted. */
function withCount(poll: PollView | undefined, check: (Check & { name: 'done' }) | undefined) {
  if (!poll || !check) return poll
  const options = poll.options.map(({ text }, i) => ({ text, count: check.counts[i] ?? 0 }))
  const total = options.reduce((sum, { count }) => sum + count, 0)
  return { ...poll, options, total, ...(poll.voters === undefined ? {} : { voters: check.voters }) }
}

export class PollModel {
  readonly uri: string
  readonly around: Surroundings
  /** What the skeleton reserves room for. */
  readonly expectedOptions: number
  readonly poll = signal<PollView | undefined>(undefined)
  readonly missing = signal<string | undefined>(undefined)
  /** There is such a poll, as far as is known. */
  readonly found = computed(
    () => this.poll.value !== undefined && !(this.missing.value !== undefined && isGone(this.missing.value)),
  )
  /** A vote is shown as cast at once, and taken back if the PDS refuses. */
  readonly click: Click
  /** The vote that is known to count, and whose it is. */
  readonly own = signal<{ voter: PageAccount; choices: Choices } | undefined>(undefined)
  readonly ownChoices = computed(() => this.own.value?.choices ?? NONE)
  /** Where several may be chosen: what is ticked and not yet cast; undefined: nothing was ticked since the last vote. */
  readonly ticked = signal<Choices | undefined>(undefined)
  /** Whether the reader made it. */
  readonly authored = computed(() => {
    const uri = this.poll.value && parseAtUri(this.poll.value.uri)
    const reader = this.around.account.value?.did ?? this.own.value?.voter.did
    return uri !== undefined && uri.repo === reader
  })
  /** Whether the reader made it, and may change it. */
  readonly manageable = computed(
    () => this.authored.value && parseAtUri(this.poll.value!.uri)!.collection === lexicon.id,
  )
  /** Whoever made it is about to change it. */
  readonly editing = signal<EditorModel | undefined>(undefined)
  /** The author's menu is open, or they have asked to delete it and not yet said that they mean it. */
  readonly managing = signal<'open' | 'deleting' | undefined>(undefined)
  /** Somebody has asked to see the results. */
  readonly asked = signal(false)
  /** Shown while it is there. */
  readonly voters = signal<Voters | undefined>(undefined)
  /** How the check of its result goes, or went the last time; undefined: none is known. */
  readonly check = signal<Check | undefined>(undefined)
  /** How those whom the reader follows have voted; undefined: it is not known whose those would be, or not yet asked. */
  readonly following = signal<(PollMessage & { type: 'following' }) | undefined>(undefined)
  /** Whoever else is asked for votes, as it was typed in here; undefined: it was not. */
  readonly typedSecond = signal<string | undefined>(undefined)
  readonly second = computed(() => this.typedSecond.value ?? this.around.second.value)
  /** Somebody is busy with this poll: its changes are worth being read out. */
  readonly attended = signal(false)
  /** What has come of those who are asked for anew; undefined: they are not. */
  #renewed: VoteView[] | undefined
  #tally = signal<Tally>('unknown')

  /** Since when the tally has not been heard of, in ms since 1970; `unknown`: it never was; undefined: it is live. */
  readonly stale = computed((): number | 'unknown' | undefined => {
    const { online, since, ahead = 0 } = this.around.connection.value
    const tally = this.#tally.value
    if (online) {
      // The server itself has lost its database, or else nothing is known to be wrong.
      const { asOf } = this.poll.value ?? {}
      return asOf === undefined || tally !== 'live' ? undefined : Date.parse(asOf) - ahead
    }
    return tally === 'live' ? since : tally === 'unknown' ? tally : tally.at
  })
  /** What this browser has counted itself, while the server can't say anything newer. */
  readonly countedHere = computed(() => {
    const check = this.check.value
    const stale = this.stale.value
    const counts = check?.name === 'done' && check.here && stale !== undefined
    return counts && (stale === 'unknown' || check.at > stale) ? check : undefined
  })
  /** For how long votes still count, in ms, by the server's clock; undefined: for ever. */
  readonly left = computed((): number | undefined => {
    const endsAt = this.poll.value?.endsAt
    if (endsAt === undefined) return undefined
    const now = this.#now.value + (this.around.connection.value.ahead ?? 0)
    return Math.max(0, Date.parse(endsAt) - now)
  })
  readonly ended = computed(() => this.left.value === 0)
  /** Whether somebody will be told when it ends; undefined: that is not offered. */
  readonly reminded = computed((): boolean | undefined => {
    const reminders = this.around.reminders.value
    const poll = this.poll.value
    // A preview's poll has no address yet.
    if (!reminders || !poll?.uri || !this.left.value) return undefined
    return reminders.has(poll.uri)
  })
  /** What was just clicked; undefined: nothing is under way, or it is not yet known whose vote it is. */
  readonly voting = computed((): Choices | undefined => {
    const phase = this.click.phase.value
    if (phase.name !== 'busy' || phase.act.type !== 'vote') return undefined
    return phase.accepted || this.around.account.value ? choicesIn(phase.act) : undefined
  })
  /** The vote to show: what was just clicked, or what counts. */
  readonly chosen = computed((): Choices => this.voting.value ?? this.ownChoices.value)
  readonly showsResults = computed(
    () =>
      (this.stale.value !== 'unknown' || this.countedHere.value !== undefined) &&
      (this.around.resultsFirst.value ||
        this.asked.value ||
        this.ownChoices.value.length > 0 ||
        // Who has still to sign in has not voted yet.
        ((this.voting.value?.length ?? 0) > 0 && this.#signedIn.value) ||
        this.ended.value),
  )
  /**
   * The poll with one's own click in it, until the server is known to have counted it. Meanwhile it is the poll as it was
   * before the click: nobody can tell whether a tally that comes has it in it already.
   */
  readonly shown = computed(() => {
    const chosen = this.voting.value ?? this.#cast.value
    const now = withCount(this.poll.value, this.countedHere.value)
    const { poll, own } = this.#before
    if (chosen === undefined || !poll) return now
    if (isSame(chosen, own)) return poll
    const change = (i: number) => Number(chosen.includes(i)) - Number(own.includes(i))
    const options = poll.options.map(({ text, count }, i) => ({
      text,
      count: Math.max(0, count + change(i)),
    }))
    const total = options.reduce((sum, { count }) => sum + count, 0)
    if (poll.voters === undefined) return { ...poll, options, total }
    const voters = poll.voters + Number(chosen.length > 0) - Number(own.length > 0)
    return { ...poll, options, total, voters: Math.max(0, voters) }
  })
  /** What was just clicked takes no signing in. */
  #signedIn = signal(false)
  /** What there was when somebody clicked. */
  #before: { poll: PollView | undefined; own: Choices } = { poll: undefined, own: NONE }
  /** A vote that is on the PDS, and that the server has perhaps not counted. */
  #cast = signal<Choices | undefined>(undefined)
  /** What the server has counted since the click, and the first version of the poll that has it. */
  #counted: { choices: Choices; version: number } | undefined
  /** What the server has counted since the click may have been said to nobody. */
  #missedCounted = false
  /** Who has begun something here: a page that has no account shows nothing of anybody else. */
  #actor: string | undefined
  /** This clock, in ms since 1970, when it was looked at last. */
  #now = signal(Date.now())
  #clock: ReturnType<typeof setTimeout> | undefined
  #hosts = new Set<Element>()
  #pageVisible = true
  #watched = false

  constructor(uri: string, around: Surroundings, expectedOptions = LIKELY_OPTIONS) {
    this.uri = uri
    this.around = around
    this.click = new Click(around, () => this.#begin())
    this.expectedOptions = expectedOptions
  }

  /** A widget of this poll comes into view or leaves it: only while one is, the poll is watched. */
  visible(host: Element, visible: boolean): void {
    if (visible) this.#hosts.add(host)
    else this.#hosts.delete(host)
    this.#follow()
  }

  /** The page itself comes into view or leaves it. */
  pageVisible(visible: boolean): void {
    this.#pageVisible = visible
    this.#follow()
  }

  get watched(): boolean {
    return this.#watched
  }

  #follow(): void {
    const wanted = this.#pageVisible && this.#hosts.size > 0
    if (wanted === this.#watched) return
    this.#watched = wanted
    this.lookAtClock()
    if (wanted) return this.#watch()
    this.#missCounted()
    this.around.send({ type: 'unwatch', uri: this.uri })
  }

  /** Whoever looks at a poll sees its time pass, and its end at the second. */
  lookAtClock(): void {
    clearTimeout(this.#clock)
    this.#now.value = Date.now()
    const left = this.left.peek()
    if (!this.#watched || !left) return
    const step = left > MINUTE ? MINUTE : SECOND
    this.#clock = setTimeout(() => this.lookAtClock(), left % step || step)
  }

  /** Says again to a new background what this page wants. */
  reconnected(): void {
    this.#missCounted()
    if (this.#watched) this.#watch()
    this.click.reconnected()
    this.editing.value?.click.reconnected()
    this.#renewed = undefined
    // What was under way has ended with the background.
    if (this.check.peek()?.name === 'running') this.check.value = { name: 'stopped' }
    if (this.voters.value?.state === 'loading') this.moreVoters()
    else this.renewVoters()
  }

  /** The page uses another account now: whatever was of the one before is not shown to this one. */
  accountChanged(): void {
    this.#actor = undefined
    this.own.value = undefined
    this.following.value = undefined
    this.#cast.value = undefined
    this.asked.value = false
    this.ticked.value = undefined
    this.click.dismiss()
    this.editing.value = undefined
    this.managing.value = undefined
    if (this.#watched) this.#watch()
  }

  #watch(): void {
    this.around.send({ type: 'watch', uri: this.uri, account: this.around.account.value })
  }

  /**
   * @param choices none takes the vote back
   * @param place the widget that was clicked
   */
  vote(choices: Choices, place?: object): void {
    this.attended.value = true
    if (choices.length === 0) this.ticked.value = undefined
    this.click.start({ type: 'vote', uri: this.uri, ...choiceOf(choices) }, undefined, place)
  }

  /** Ticks an option of several, or unticks it: nothing is cast yet. */
  tick(option: number): void {
    const before = this.ticked.value ?? this.chosen.value
    const ticked = before.includes(option) ? before.filter((it) => it !== option) : [...before, option]
    this.ticked.value = ticked.toSorted((a, b) => a - b)
  }

  /** Tells somebody when it ends, or no longer. */
  remind(on: boolean): void {
    const { uri, text, endsAt } = this.poll.peek() ?? {}
    if (uri === undefined || text === undefined || endsAt === undefined) return
    this.around.send(on ? { type: 'remind', uri, text, endsAt } : { type: 'unremind', uri })
  }

  /** Asks again for a poll that could not be had. */
  retry(): void {
    this.missing.value = undefined
    this.around.send({ type: 'retry', uri: this.uri })
  }

  edit(): void {
    this.managing.value = undefined
    const done = () => (this.editing.value = undefined)
    this.editing.value = new EditorModel(this.around, this.around, done, this.poll.value)
  }

  delete(): void {
    this.managing.value = undefined
    this.click.start({ type: 'delete', uri: this.uri })
  }

  /** Opens and closes the list of those who voted. */
  toggleVoters(): void {
    this.#renewed = undefined
    if (this.voters.value) {
      this.voters.value = undefined
      return
    }
    // They give the results away.
    this.asked.value = true
    this.voters.value = { votes: [], cursor: undefined, author: undefined, state: 'loading' }
    this.moreVoters()
    this.around.send({ type: 'lastCheck', uri: this.uri })
    this.#askFollowing()
  }

  /** Proves each vote and counts them. @param here the server is away: it is asked nothing */
  beginCheck(here = false): void {
    this.check.value = { name: 'running', done: 0, of: 0 }
    const second = this.second.peek().trim()
    this.around.send({
      type: 'check',
      uri: this.uri,
      ...(second === '' ? {} : { second }),
      ...(here ? { here } : {}),
    })
  }

  /** Asks for how those whom the reader follows have voted, in this and all polls, or no longer. */
  follow(on: boolean): void {
    this.#askFollowing(on)
  }

  #askFollowing(on?: boolean): void {
    const account = this.around.account.peek() ?? this.own.peek()?.voter
    if (!account) return
    this.around.send({
      type: 'following',
      uri: this.uri,
      account,
      ...(on === undefined ? {} : { on }),
    })
  }

  stopCheck(): void {
    this.around.send({ type: 'stopCheck', uri: this.uri })
  }

  moreVoters(): void {
    const voters = this.voters.value
    if (!voters) return
    this.voters.value = { ...voters, state: 'loading' }
    // An answer does not say which question it answers, so there is only one at a time.
    if (!this.#renewed) this.around.send({ type: 'voters', uri: this.uri, cursor: voters.cursor })
  }

  /** Asks anew for as many as are shown: votes have come, changed or gone. */
  renewVoters(): void {
    if (this.voters.value?.state !== 'there' || this.#renewed) return
    this.#renewed = []
    this.around.send({ type: 'voters', uri: this.uri, cursor: undefined })
  }

  receive(message: PollMessage | ActMessage): void {
    switch (message.type) {
      case 'poll':
        this.#receivePoll(message.poll, message.tally)
        return
      case 'missing':
        this.missing.value = message.error
        return
      case 'own': {
        const { voter } = message
        if (this.#reader !== voter.did) return
        const choices = choicesIn(message)
        this.own.value = { voter, choices }
        if (choices.length > 0) this.asked.value = true
        return
      }
      case 'counted':
        if (this.#reader !== message.voter) return
        this.#counted = { choices: choicesIn(message), version: message.version }
        this.#settle()
        return
      case 'accepted':
      case 'whoAreYou':
      case 'signingIn':
      case 'refused':
      case 'superseded':
      case 'done':
        batch(() => this.#receiveAct(message))
        return
      case 'voters':
        this.#receiveVoters(message)
        return
      case 'following':
        if (this.#reader === message.voter) this.following.value = message
        return
      case 'check':
        this.check.value = message.check
        if (message.check.name === 'done' && message.check.here) this.asked.value = true
        return
      default:
        message satisfies never
    }
  }

  #receiveAct(message: ActMessage): void {
    const isCounting = this.voting.peek() !== undefined && !this.#missedCounted
    // Late news of what another account did changes nothing for this one.
    if (!this.click.receive(message)) return
    if (message.voter !== undefined) this.#actor = message.voter
    if (message.type === 'accepted') this.#signedIn.value = message.signedIn ?? false
    if (message.type !== 'done' || message.act.type !== 'vote') return
    // Who has seen the results once has seen them.
    this.asked.value = true
    // Whoever signed in for it was not known before.
    const { voter, act } = message
    const choices = choicesIn(act)
    if (isSame(this.ticked.peek() ?? NONE, choices)) this.ticked.value = undefined
    if (voter !== undefined && voter === this.#reader && this.own.peek()?.voter.did !== voter)
      this.own.value = { voter: { did: voter }, choices }
    if (isCounting) this.#cast.value = choices
    this.#settle()
  }

  #receiveVoters({ votes, cursor, author }: PollMessage & { type: 'voters' }): void {
    const before = this.voters.value
    if (!before) return
    if (this.#renewed) {
      const all = [...this.#renewed, ...(votes ?? [])]
      if (votes && cursor !== undefined && all.length < before.votes.length) {
        this.#renewed = all
        this.around.send({ type: 'voters', uri: this.uri, cursor })
        return
      }
      this.#renewed = undefined
      if (votes) this.voters.value = { ...before, votes: all, cursor, author }
      // More were asked for meanwhile.
      if (before.state === 'loading') this.moreVoters()
    } else if (before.state === 'loading') {
      this.voters.value = votes
        ? { votes: [...before.votes, ...votes], cursor, author, state: 'there' }
        : { ...before, author, state: 'failed' }
    }
  }

  #receivePoll(poll: PollView, tally: Tally): void {
    // What is only remembered does not contradict the server.
    if (tally !== 'live' && (this.missing.value !== undefined || this.#tally.value === 'live')) return
    this.missing.value = undefined
    this.poll.value = poll
    this.#tally.value = tally
    this.lookAtClock()
    this.#settle()
  }

  /** Remembers what there was before the first of several clicks. */
  #begin(): void {
    this.#counted = undefined
    this.#missedCounted = false
    if (this.voting.peek() !== undefined || this.#cast.peek() !== undefined) return
    this.#signedIn.value = false
    this.#before = { poll: this.poll.peek(), own: this.ownChoices.peek() }
  }

  /** Nobody listens for a while: from then on the tally is the server's. */
  #missCounted(): void {
    this.#cast.value = undefined
    this.#missedCounted = true
  }

  /** DID of whose votes this page shows as the reader's. */
  get #reader(): string | undefined {
    return this.around.account.value?.did ?? this.#actor
  }

  /** Once the tally has the vote in it, it needs no help. */
  #settle(): void {
    const counted = this.#counted
    const cast = this.#cast.peek()
    if (
      counted &&
      cast &&
      isSame(counted.choices, cast) &&
      counted.version <= (this.poll.peek()?.version ?? 0)
    )
      this.#cast.value = undefined
  }
}
