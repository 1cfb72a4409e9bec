/** Who watches what, and telling them: a snapshot at once, then at most a few tallies a second per poll. */
import {
  MAX_URIS,
  MAX_WATCHED,
  PING_INTERVAL,
  clientMessage,
  parseJson,
  type ServerMessage,
} from '@pollz/shared/wire'
import type { WebSocket } from 'ws'
import { unlimited, type Budget } from '../ingest/budget.ts'
import { reasonOf, type Log } from '../log.ts'
import type { News } from '../store/news.ts'
import { Ends } from './ends.ts'
import type { Found, LookupError } from './lookup.ts'

/** A poll is pushed at most this often, in ms: faster than this nobody reads. */
const COALESCE = 250
/** Messages of one client between two pings: a page that is scrolled fast sends some dozens. */
const MAX_MESSAGES = 1_000
/** A client that has this many bytes waiting is sent nothing more; it is owed the newest state instead. */
export const MAX_BUFFERED = 64 * 1024
/** Lookups under way for one client. */
const MAX_LOOKUPS = MAX_URIS
/** Polls that are told of in one turn of the event loop: thousands may end in the same second. */
const AT_ONCE = 100
/** When a watched poll that could not be had is looked at again, in ms. */
const LOOK_AGAIN = 2_000
/** How long clients have to answer the close frame of a server that stops, in ms. */
const CLOSE_TIMEOUT = 1_000

/** Lookups caused by a commit are charged to no client. */
const ofCommits = unlimited('commits')

/** Why a client is owed an answer. */
type Reason = {
  /** pays for the lookup */
  budget: Budget
  /** Only what differs from what the client was told last. */
  onlyNews?: true
  /** What it was told by another name of the poll was newer than what was found: this time it is told in any case. */
  again?: true
}
const changed: Reason = { budget: ofCommits }
const doubted: Reason = { budget: ofCommits, onlyNews: true }
const again: Reason = { budget: ofCommits, again: true }

type Watcher = {
  socket: WebSocket
  /** Why it is answered when it asks. */
  asked: Reason
  /** by uri as asked */
  watched: Map<string, Watched>
  /** by poll, as in `#byPoll`: what was told of it by any of its names */
  told: Map<string, Told>
  /** What to tell as soon as the socket has room, and why. */
  owed: Map<Watched, Reason>
  /** under way */
  lookups: number
  /** since the last ping */
  messages: number
  /** full at the last ping, and nothing was written since */
  stuck: boolean
  onSent: (error?: Error | null) => void
}

type Watched = {
  watcher: Watcher
  /** as asked */
  uri: string
  /** its key in `#byPoll`: the uri with the author's DID, or as asked until that is known */
  poll: string
  /** whether a lookup has told the uri with the author's DID */
  resolved: boolean
  lookingUp: boolean
  /** A failure that could not be sent yet: looking it up again would cost the client again. */
  failure: (Found & { ok: false }) | undefined
  told: Told
}

/** What one client was told last of a poll. `names`: by how many it watches it. */
type Told = { names: number; version: number; edited: boolean; error: LookupError | undefined }

export class Hub {
  #watchers = new Set<Watcher>()
  #byPoll = new Map<string, Set<Watched>>()
  /** Since the last flush: polls whose tally has changed, those that need a new snapshot, and those that may have changed. */
  #dirty = new Set<string>()
  #changed = new Set<string>()
  #doubted = new Set<string>()
  /** Lookups under way whose tally is told to all who watch that poll. */
  #telling = new Map<string, Promise<Found>>()
  #ofCommits = new Map<string, Promise<Found>>()
  #timer: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined
  #failed = new Set<string>()
  /** A poll that ends is told once more: what it has then is its result. */
  #ends = new Ends((uri) => {
    this.#changed.add(uri)
    this.#schedule()
  })
  #lastFlush = 0
  #find: (uri: string, budget: Budget) => Promise<Found>
  #log: Log
  #signal: AbortSignal

  constructor(find: (uri: string, budget: Budget) => Promise<Found>, log: Log, signal: AbortSignal) {
    this.#find = find
    this.#log = log
    this.#signal = signal
    const ping = setInterval(() => this.#ping(), PING_INTERVAL * 0.9)
    signal.addEventListener('abort', () => {
      clearInterval(ping)
      clearTimeout(this.#timer)
      clearTimeout(this.#again)
      this.#ends.stop()
      for (const { socket } of this.#watchers) socket.close(1001, 'the server is stopping')
      setTimeout(() => {
        for (const { socket } of this.#watchers) socket.terminate()
      }, CLOSE_TIMEOUT).unref()
    })
  }

  get watchers(): number {
    return this.#watchers.size
  }

  /** Bytes that wait for clients to read them. */
  get buffered(): number {
    let sum = 0
    for (const { socket } of this.#watchers) sum += socket.bufferedAmount
    return sum
  }

  /** @param budget for what is read from other servers because of what it watches */
  add(socket: WebSocket, budget: Budget): void {
    if (this.#signal.aborted) {
      socket.terminate()
      return
    }
    const watcher: Watcher = {
      socket,
      asked: { budget },
      watched: new Map(),
      told: new Map(),
      owed: new Map(),
      lookups: 0,
      messages: 0,
      stuck: false,
      onSent: (error) => {
        if (error) return
        watcher.stuck = false
        this.#settle(watcher)
      },
    }
    this.#watchers.add(watcher)
    socket.on('message', (data) => {
      if (this.#takes(watcher)) this.#read(watcher, data.toString())
    })
    // `autoPong` would answer without looking whether there is room.
    socket.on('ping', (data) => {
      if (this.#takes(watcher) && hasRoom(watcher)) socket.pong(data, false, watcher.onSent)
    })
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      this.#watchers.delete(watcher)
      for (const watched of watcher.watched.values()) this.#unwatch(watched)
    })
  }

  /** Called whenever something was committed, by whomever. */
  apply({ tallies, polls }: Pick<News, 'tallies' | 'polls'>): void {
    for (const uri of tallies.keys()) if (this.#byPoll.has(uri)) this.#dirty.add(uri)
    for (const [uri, own] of polls) {
      const watching = this.#byPoll.get(uri)
      // Who was told of the poll as it is now needs no more than its tally, and who will be by then nothing.
      if (watching && ![...watching].every(({ told }) => told.version >= own)) this.#doubted.add(uri)
    }
    this.#schedule()
  }

  /** Looks at watched polls again, though nothing was stored. */
  recheck(concerns: (uri: string) => boolean): void {
    for (const uri of this.#byPoll.keys()) if (concerns(uri)) this.#changed.add(uri)
    this.#schedule()
  }

  /** Looks at every watched poll again: it is not known which of them changed. Nobody is told what they know. */
  recheckAll(): void {
    for (const uri of this.#byPoll.keys()) this.#doubted.add(uri)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer || this.#signal.aborted) return
    if (this.#dirty.size === 0 && this.#changed.size === 0 && this.#doubted.size === 0) return
    const wait = Math.max(0, this.#lastFlush + COALESCE - Date.now())
    this.#timer = setTimeout(() => this.#flush(), wait)
  }

  #flush(): void {
    this.#lastFlush = Date.now()
    const [changedPolls, doubtedPolls, dirty] = [this.#changed, this.#doubted, this.#dirty]
    this.#changed = new Set()
    this.#doubted = new Set()
    this.#dirty = new Set()
    // A lookup that is under way may have read what was there before the commit.
    for (const uri of [...changedPolls, ...doubtedPolls, ...dirty]) this.#ofCommits.delete(uri)
    for (const uri of changedPolls) {
      // What it finds may be older than the snapshot that everybody is owed now.
      this.#telling.delete(uri)
      dirty.delete(uri)
    }
    const tellings = [
      ...[...changedPolls].map((uri) => () => this.#oweAll(uri, changed)),
      ...[...doubtedPolls].map((uri) => () => this.#oweAll(uri, doubted)),
      ...[...dirty].map((uri) => () => {
        // Two at once could tell an older tally after a newer one: this one stays for the next flush.
        if (this.#telling.has(uri)) this.#dirty.add(uri)
        else void this.#tell(uri)
      }),
    ]
    const turn = () => {
      for (const tell of tellings.splice(0, AT_ONCE)) tell()
      this.#timer = tellings.length === 0 ? undefined : setTimeout(turn)
      this.#schedule()
    }
    turn()
  }

  /** Sends a poll's tally to all who watch it; those who can't take it now are owed a snapshot. */
  async #tell(uri: string): Promise<void> {
    const lookup = this.#lookUp(uri, ofCommits)
    this.#telling.set(uri, lookup)
    const found = await lookup
    if (this.#telling.get(uri) !== lookup) return
    this.#telling.delete(uri)
    if (!found.ok) {
      // It is told as what it is: gone, hidden, or not to be had now.
      this.#later(uri)
      return
    }
    const { options, total, voters, version, edited } = found.poll
    const counts = options.map(({ count }) => count)
    const frame = Buffer.from(
      JSON.stringify({
        type: 'tally',
        uri,
        counts,
        total,
        ...(voters === undefined ? {} : { voters }),
        version,
      } satisfies ServerMessage),
    )
    for (const watched of this.#byPoll.get(uri) ?? []) {
      const { watcher, told } = watched
      // A snapshot that is on its way may be older than this tally, so it can't be told before.
      if (watched.lookingUp || watcher.owed.has(watched) || !hasRoom(watcher)) this.#owe(watched, changed)
      else if (told.edited !== edited) {
        // C7: a tally does not say so.
        this.#owe(watched, changed)
        this.#settle(watcher)
      } else if (told.version < version) {
        // Once, by however many names it watches the poll.
        told.version = version
        send(watcher, frame)
      }
    }
  }

  /** Looks again at what could not be had. */
  #later(uri: string): void {
    this.#failed.add(uri)
    if (this.#again || this.#signal.aborted) return
    this.#again = setTimeout(() => {
      this.#again = undefined
      for (const it of this.#failed) if (this.#byPoll.has(it)) this.#changed.add(it)
      this.#failed.clear()
      this.#schedule()
    }, LOOK_AGAIN)
  }

  #oweAll(uri: string, reason: Reason): void {
    for (const watched of this.#byPoll.get(uri) ?? []) {
      this.#owe(watched, reason)
      this.#settle(watched.watcher)
    }
  }

  #owe(watched: Watched, reason: Reason): void {
    watched.failure = undefined
    const { owed } = watched.watcher
    const before = owed.get(watched)
    if (!before || before.onlyNews) owed.set(watched, reason)
  }

  /** Tells a client what it is owed, as far as its socket has room. Called whenever some of it was written. */
  #settle(watcher: Watcher): void {
    for (const [watched, reason] of watcher.owed) {
      if (watcher.lookups >= MAX_LOOKUPS || !hasRoom(watcher)) return
      if (watched.lookingUp) continue
      watcher.owed.delete(watched)
      if (watched.failure) this.#answer(watched, watched.failure, reason)
      else void this.#lookUpAndAnswer(watched, reason)
    }
  }

  async #lookUpAndAnswer(watched: Watched, reason: Reason): Promise<void> {
    const { watcher } = watched
    const { budget } = reason
    watched.lookingUp = true
    watcher.lookups++
    let found = await this.#lookUp(watched.poll, budget)
    if (found.uri !== undefined && found.uri !== watched.poll && isWatched(watched)) {
      // Commits are told by this name, and what was committed before it was known would be missed: look again.
      this.#unlist(watched)
      watched.poll = found.uri
      this.#list(watched)
      found = await this.#lookUp(found.uri, budget)
    }
    watched.lookingUp = false
    watcher.lookups--
    if (isWatched(watched)) this.#answer(watched, found, reason)
    this.#settle(watcher)
  }

  #answer(watched: Watched, found: Found, reason: Reason): void {
    const { watcher, uri, told } = watched
    watched.resolved ||= found.uri !== undefined
    if (reason.onlyNews && isKnown(told, found)) return
    if (found.ok && found.poll.version < told.version && !reason.again) {
      this.#owe(watched, again)
      return
    }
    if (!hasRoom(watcher)) {
      if (watcher.owed.has(watched)) return
      watched.failure = found.ok ? undefined : found
      watcher.owed.set(watched, reason)
      return
    }
    watched.failure = undefined
    told.error = found.ok ? undefined : found.error
    if (found.ok) {
      told.version = found.poll.version
      told.edited = found.poll.edited
      this.#ends.expect(watched.poll, found.poll.endsAt)
      send(watcher, frameOf({ type: 'snapshot', uri, poll: found.poll, now: Date.now() }))
    } else {
      if (!watched.resolved) this.#unwatch(watched)
      else if (found.error === 'InternalServerError') {
        this.#later(watched.poll)
      }
      send(watcher, frameOf({ type: 'error', uri, error: found.error, message: found.message }))
    }
  }

  /** Never rejects. */
  #lookUp(uri: string, budget: Budget): Promise<Found> {
    if (budget !== ofCommits) return this.#findOrFail(uri, budget)
    // Once for all who are to be told of a commit.
    const underway = this.#ofCommits.get(uri)
    if (underway) return underway
    const lookup = this.#findOrFail(uri, budget).finally(() => {
      if (this.#ofCommits.get(uri) === lookup) this.#ofCommits.delete(uri)
    })
    this.#ofCommits.set(uri, lookup)
    return lookup
  }

  async #findOrFail(uri: string, budget: Budget): Promise<Found> {
    try {
      return await this.#find(uri, budget)
    } catch (error) {
      this.#log.error('a poll could not be looked up', { uri, reason: reasonOf(error) })
      const message = 'something went wrong here; it has been logged'
      return { ok: false, uri: undefined, error: 'InternalServerError', message }
    }
  }

  /** Whether a client may send one more; closes the connection of one that has sent too many. */
  #takes(watcher: Watcher): boolean {
    const { socket } = watcher
    if (socket.readyState !== socket.OPEN) return false
    if (++watcher.messages <= MAX_MESSAGES) return true
    socket.close(1008, `at most ${MAX_MESSAGES} messages in ${PING_INTERVAL} ms`)
    return false
  }

  #read(watcher: Watcher, text: string): void {
    const parsed = parseJson(clientMessage, text)
    if (!parsed.ok) {
      reply(watcher, { type: 'error', error: 'InvalidRequest', message: parsed.reason })
      return
    }
    for (const uri of parsed.message.uris) {
      const watched = watcher.watched.get(uri)
      if (parsed.message.type === 'watch') this.#watch(watcher, uri, watched)
      else if (watched) this.#unwatch(watched)
    }
    this.#settle(watcher)
  }

  #watch(watcher: Watcher, uri: string, watched: Watched | undefined): void {
    if (!watched) {
      if (watcher.watched.size >= MAX_WATCHED) {
        const message = `a connection may watch ${MAX_WATCHED} polls`
        reply(watcher, { type: 'error', uri, error: 'TooManyPolls', message })
        return
      }
      watched = {
        watcher,
        uri,
        poll: uri,
        resolved: false,
        lookingUp: false,
        failure: undefined,
        told: nothingTold(),
      }
      watcher.watched.set(uri, watched)
      this.#list(watched)
    }
    // An answer that is on its way is one to this, too.
    if (!watched.lookingUp && !watcher.owed.has(watched)) watcher.owed.set(watched, watcher.asked)
  }

  #unwatch(watched: Watched): void {
    watched.watcher.watched.delete(watched.uri)
    watched.watcher.owed.delete(watched)
    this.#unlist(watched)
  }

  #list(watched: Watched): void {
    const watching = this.#byPoll.get(watched.poll) ?? new Set()
    this.#byPoll.set(watched.poll, watching.add(watched))
    const { told } = watched.watcher
    watched.told = told.get(watched.poll) ?? nothingTold()
    watched.told.names++
    told.set(watched.poll, watched.told)
  }

  #unlist(watched: Watched): void {
    const watching = this.#byPoll.get(watched.poll)
    watching?.delete(watched)
    if (--watched.told.names === 0) watched.watcher.told.delete(watched.poll)
    if (watching?.size !== 0) return
    this.#byPoll.delete(watched.poll)
    this.#ends.forget(watched.poll)
  }

  #ping(): void {
    for (const watcher of this.#watchers) {
      const { socket, stuck } = watcher
      watcher.messages = 0
      watcher.stuck = socket.bufferedAmount >= MAX_BUFFERED
      if (watcher.stuck && stuck) socket.terminate()
      else if (hasRoom(watcher)) send(watcher, frameOf({ type: 'ping' }))
    }
  }
}

const nothingTold = (): Told => ({ names: 0, version: 0, edited: false, error: undefined })

/** Whether a client was told this already: any change of a poll changes its version. */
const isKnown = (told: Told, found: Found) =>
  found.ok
    ? told.error === undefined && told.version === found.poll.version && told.edited === found.poll.edited
    : told.error === found.error

const isWatched = (watched: Watched) => watched.watcher.watched.get(watched.uri) === watched

const hasRoom = ({ socket }: Watcher) =>
  socket.readyState === socket.OPEN && socket.bufferedAmount < MAX_BUFFERED

const frameOf = (message: ServerMessage) => JSON.stringify(message)

/** Only where there is room. */
function send({ socket, onSent }: Watcher, frame: string | Buffer): void {
  socket.send(frame, { binary: false }, onSent)
}

/** Answers a message that can't be used; who does not read such answers is disconnected. */
function reply(watcher: Watcher, message: ServerMessage): void {
  if (hasRoom(watcher)) send(watcher, frameOf(message))
  else watcher.socket.close(1008, 'asks and does not read the answers')
}
