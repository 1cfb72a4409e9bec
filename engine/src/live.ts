/** The one WebSocket to the server, for all tabs: open while a poll is on some screen. */
import { isValidDid } from '@atproto/syntax'
import { parseAtUri } from '@pollz/shared/at-uri'
import type { ToPage } from '@pollz/shared/engine'
import { isGone } from '@pollz/shared/missing'
import {
  MAX_URIS,
  PING_INTERVAL,
  parseJson,
  serverMessage,
  type ClientMessage,
  type PollView,
} from '@pollz/shared/wire'
import type { Pages, Port } from './pages.ts'
import type { ReadPoll } from './repos.ts'
import type { ServerDb } from './storage.ts'

const MAX_BACKOFF = 60_000
/**
 * Silence, in ms, after which a socket is dead: the server pings. A machine that slept may have one that never closes.
 * Before it is open, `MAX_CONNECTING`. That is looked for every `CHECK_SILENCE` ms.
 */
const MAX_SILENCE = 1.5 * PING_INTERVAL
const MAX_CONNECTING = PING_INTERVAL / 2
const CHECK_SILENCE = PING_INTERVAL / 4
/** A poll that could not be had is asked for again after so many ms, each time twice as long. */
const RETRY_MISSING = 5_000
/** Nothing watched for this long, in ms: the socket is closed and the worker may sleep. */
const LINGER = 5_000
/** Tallies are kept for bad times, this many, written at most this often in ms. */
const MAX_KEPT = 300
const KEEP_EVERY = 1_000

/** Fallbacks while offline: cached polls, then the author's PDS. */
export type WhileAway = { db: PromiseLike<ServerDb>; readPoll: (uri: string) => Promise<ReadPoll> }

/**
 * Whether a poll is the one that is asked for. What its author changes is written to where it says that it is, so no
 * server may put one poll in the place of another. By a handle it may be anybody's.
 */
function isPollOf(uri: string, { uri: given, repo, rkey }: PollView): boolean {
  const asked = parseAtUri(uri)
  const poll = parseAtUri(given)
  return (
    asked !== undefined &&
    poll !== undefined &&
    isValidDid(poll.repo) &&
    poll.repo === repo &&
    poll.rkey === rkey &&
    poll.rkey === asked.rkey &&
    poll.collection === asked.collection &&
    (poll.repo === asked.repo || !isValidDid(asked.repo))
  )
}

/** Two clocks that differ by less than this, in ms, more than before do so for what is on its way. */
const CLOCK_MOVES = 250

export class Live {
  /** undefined: nothing is watched, or the first connection is under way */
  online: boolean | undefined
  /** Since when it is so, in ms since 1970. */
  since = Date.now()
  /** By how many ms the server's clock is ahead of this one, as it said last. */
  #ahead: number | undefined
  #server: string
  #pages: Pages
  #away: WhileAway | undefined
  #signal: AbortSignal
  #socket: WebSocket | undefined
  #polls = new Map<string, PollView>()
  /** Polls that were heard of since this connection is there: what has a lower version than those is older. */
  #current = new Set<string>()
  #unsaved = new Set<string>()
  #saving = false
  #failures = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  /** When something came last, or the connection was begun, in ms since 1970. */
  #heard = 0
  #watchdog: ReturnType<typeof setInterval> | undefined
  /** Polls that nobody could say anything of, and how often they were asked for since. */
  #missing = new Map<string, { tries: number; timer: ReturnType<typeof setTimeout> }>()
  /** Called whenever the connection is there. */
  onOnline: () => void = () => {}
  /** Called with each poll as the server has it. `now`: its clock, in ms since 1970 */
  onSnapshot: (poll: PollView, now: number) => void = () => {}

  constructor(server: string, pages: Pages, signal: AbortSignal, away?: WhileAway) {
    this.#server = server
    this.#pages = pages
    this.#away = away
    this.#signal = signal
    signal.addEventListener('abort', () => {
      clearTimeout(this.#retry)
      clearInterval(this.#watchdog)
      for (const { timer } of this.#missing.values()) clearTimeout(timer)
      this.#socket?.close(1000)
    })
  }

  watch(port: Port, uri: string): void {
    this.#pages.shown(port).add(uri)
    const poll = this.#polls.get(uri)
    if (poll)
      this.#pages.post(port, { type: 'poll', uri, poll, tally: this.online ? 'live' : { at: this.since } })
    else this.#start(this.#remember(uri))
    this.#say({ type: 'watch', uris: [uri] })
    this.wake()
  }

  /** Somebody looks: a connection that is dead, or waits for its next try, is made anew at once. */
  wake(): void {
    this.#checkSilence()
    clearTimeout(this.#retry)
    this.#retry = undefined
    if (this.#pages.all().length > 0) this.#connect()
  }

  /** Asks again for a poll that could not be had. */
  retry(uri: string): void {
    if (!this.#pages.shows(uri)) return
    this.#settle(uri)
    this.#say({ type: 'unwatch', uris: [uri] })
    this.#say({ type: 'watch', uris: [uri] })
    this.wake()
    if (this.online === false) this.#start(this.#remember(uri))
  }

  unwatch(port: Port, uri: string): void {
    this.#pages.shown(port).delete(uri)
    if (this.#pages.shows(uri)) return
    this.#settle(uri)
    this.#say({ type: 'unwatch', uris: [uri] })
    if (!this.#unsaved.has(uri)) this.#polls.delete(uri)
    setTimeout(() => this.#rest(), LINGER)
  }

  forget(port: Port): void {
    for (const uri of this.#pages.shown(port)) this.unwatch(port, uri)
  }

  known(uri: string): PollView | undefined {
    return this.#polls.get(uri)
  }

  /** A newer tally, wherever it comes from. */
  update(poll: PollView): void {
    for (const [uri, known] of this.#polls)
      if (known.uri === poll.uri && known.version <= poll.version && isPollOf(uri, poll))
        this.#show(uri, poll)
  }

  #show(uri: string, poll: PollView): void {
    this.#polls.set(uri, poll)
    this.#current.add(uri)
    this.#pages.send({ type: 'poll', uri, poll, tally: 'live' })
    this.#settle(uri)
    this.#unsaved.add(uri)
    if (this.#saving) return
    this.#saving = true
    setTimeout(() => this.#start(this.#save()), KEEP_EVERY)
  }

  /** What nobody waits for. Its database closes with the engine. */
  #start(task: Promise<void>): void {
    task.catch((error: unknown) => {
      if (!this.#signal.aborted) console.error('pollz:', error)
    })
  }

  async #save(): Promise<void> {
    this.#saving = false
    if (this.#signal.aborted) return
    const tx = this.#away && (await this.#away.db).transaction('polls', 'readwrite')
    for (const uri of this.#unsaved) {
      const poll = this.#polls.get(uri)
      if (poll && tx) void tx.store.put({ poll, at: Date.now() }, uri)
      if (!this.#pages.shows(uri)) this.#polls.delete(uri)
    }
    this.#unsaved.clear()
    if (!tx) return
    let surplus = (await tx.store.count()) - MAX_KEPT
    for (let it = await tx.store.index('at').openCursor(); it && surplus > 0; surplus--) {
      await it.delete()
      it = await it.continue()
    }
    await tx.done
  }

  /** Until the server says more: what was known last, which spares the page a jump; without a server, the PDS's word. */
  async #remember(uri: string): Promise<void> {
    if (!this.#away) return
    const kept = await (await this.#away.db).get('polls', uri)
    if (this.#polls.has(uri)) return
    if (kept && isPollOf(uri, kept.poll)) {
      this.#pages.send({ type: 'poll', uri, poll: kept.poll, tally: { at: kept.at } })
      return
    }
    if (this.online !== false) return
    const read = await this.#away.readPoll(uri)
    if (this.#polls.has(uri)) return
    if (read.ok) this.#pages.send({ type: 'poll', uri, poll: read.poll, tally: 'unknown' })
    else this.#miss(uri, read.error)
  }

  /** There is no such poll, or nobody can say: then it is asked for again by itself. */
  #miss(uri: string, error: string): void {
    this.#pages.send({ type: 'missing', uri, error })
    const { tries = 0, timer } = this.#missing.get(uri) ?? {}
    clearTimeout(timer)
    if (isGone(error)) return void this.#missing.delete(uri)
    const wait = Math.min(RETRY_MISSING * 2 ** tries, MAX_BACKOFF)
    this.#missing.set(uri, { tries: tries + 1, timer: setTimeout(() => this.#again(uri), wait) })
  }

  #again(uri: string): void {
    if (!this.#pages.shows(uri)) return void this.#missing.delete(uri)
    this.#say({ type: 'unwatch', uris: [uri] })
    this.#say({ type: 'watch', uris: [uri] })
    if (this.online === false) this.#start(this.#remember(uri))
  }

  #settle(uri: string): void {
    clearTimeout(this.#missing.get(uri)?.timer)
    this.#missing.delete(uri)
  }

  #checkSilence(): void {
    // A clock that was set back would make it wait for as long.
    this.#heard = Math.min(this.#heard, Date.now())
    const limit = this.#socket?.readyState === WebSocket.CONNECTING ? MAX_CONNECTING : MAX_SILENCE
    if (!this.#socket || Date.now() - this.#heard < limit) return
    this.#drop()
    this.#closed(this.#heard)
  }

  /** Closes the socket, which may take minutes: from now on it is none of ours. */
  #drop(): void {
    const socket = this.#socket
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close(1000)
    this.#socket = undefined
    clearInterval(this.#watchdog)
  }

  async #forget(uri: string): Promise<void> {
    await (await this.#away?.db)?.delete('polls', uri)
  }

  #say(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  #rest(): void {
    if (this.#pages.all().length > 0) return
    this.#drop()
    this.online = undefined
    this.since = Date.now()
  }

  #connect(): void {
    if (this.#socket || this.#retry !== undefined || this.#signal.aborted) return
    const url = new URL('/live', this.#server)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(url)
    this.#socket = socket
    this.#heard = Date.now()
    this.#watchdog = setInterval(() => this.#checkSilence(), CHECK_SILENCE)
    socket.onopen = () => {
      this.#failures = 0
      this.#heard = Date.now()
      this.#current.clear()
      this.#online(true)
      const uris = this.#pages.all()
      for (let i = 0; i < uris.length; i += MAX_URIS)
        this.#say({ type: 'watch', uris: uris.slice(i, i + MAX_URIS) })
    }
    socket.onmessage = ({ data }) => {
      this.#heard = Date.now()
      this.#read(String(data))
    }
    socket.onclose = () => {
      this.#drop()
      this.#closed(Date.now())
    }
  }

  /** @param since when it was still alive, in ms since 1970 */
  #closed(since: number): void {
    if (this.#signal.aborted) return
    if (this.#pages.all().length === 0) return this.#rest()
    this.#online(false, since)
    const wait = Math.min(500 * 2 ** this.#failures++, MAX_BACKOFF) * (0.5 + Math.random() / 2)
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      if (this.#pages.all().length > 0) this.#connect()
    }, wait)
  }

  #online(online: boolean, since = Date.now()): void {
    if (this.online === online) return
    // A first connection that fails is as little live as before it was tried.
    if (online || this.online) this.since = since
    this.online = online
    this.#tellConnection()
    if (online) return this.onOnline()
    for (const uri of this.#pages.all()) if (!this.#polls.has(uri)) this.#start(this.#remember(uri))
  }

  /** What pages are told of the connection; undefined: nothing yet. */
  get connection(): (ToPage & { type: 'connection' }) | undefined {
    if (this.online === undefined) return undefined
    const ahead = this.#ahead === undefined ? {} : { ahead: this.#ahead }
    return { type: 'connection', online: this.online, since: this.since, ...ahead }
  }

  #tellConnection(): void {
    const { connection } = this
    if (connection) this.#pages.broadcast(() => connection)
  }

  /** @param now the server's clock, in ms since 1970 */
  #setClock(now: number): void {
    const ahead = now - Date.now()
    if (Math.abs(ahead - (this.#ahead ?? 0)) < CLOCK_MOVES) return
    this.#ahead = ahead
    this.#tellConnection()
  }

  #read(text: string): void {
    const parsed = parseJson(serverMessage, text)
    if (!parsed.ok) {
      console.warn('pollz: the server said something else', parsed.reason)
      return
    }
    const message = parsed.message
    switch (message.type) {
      case 'snapshot': {
        const { uri, poll, now } = message
        if (now !== undefined) this.#setClock(now)
        if (!isPollOf(uri, poll)) {
          console.warn(`pollz: the server has another poll for ${uri}`)
          if (!this.#polls.has(uri)) this.#miss(uri, 'OtherPoll')
          return
        }
        const known = this.#current.has(uri) ? this.#polls.get(uri) : undefined
        if (known && known.version > poll.version) return
        this.#show(uri, poll)
        this.onSnapshot(poll, now ?? Date.now())
        return
      }
      case 'tally': {
        const { counts, total, voters, version } = message
        for (const known of this.#polls.values()) {
          if (known.uri !== message.uri) continue
          const options = known.options.map(({ text }, i) => ({ text, count: counts[i] ?? 0 }))
          this.update({ ...known, options, total, ...(voters === undefined ? {} : { voters }), version })
          return
        }
        return
      }
      case 'error':
        if (message.uri === undefined) return console.warn('pollz:', message.message)
        if (isGone(message.error)) {
          this.#polls.delete(message.uri)
          this.#start(this.#forget(message.uri))
        } else if (this.#polls.has(message.uri)) return
        this.#miss(message.uri, message.error)
        return
      case 'ping':
        return
      default:
        message satisfies never
    }
  }
}
