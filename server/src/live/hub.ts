/** Who watches what, and telling them: a snapshot at once, then at most a few tallies a second per poll. */
import { MAX_WATCHED, PING_INTERVAL, clientMessage, parseJson, type ServerMessage } from '@pollz/shared/wire'
import type { WebSocket } from 'ws'
import { unlimited, type Budget } from '../ingest/budget.ts'
import type { Found } from './lookup.ts'
import type { Applied } from '../store/counting/apply.ts'

/** A poll is pushed at most this often, in ms: faster than this nobody reads. */
const COALESCE = 250
/** Messages of one client between two pings: a page that is scrolled fast sends some dozens. */
const MAX_MESSAGES = 1_000
/** Bytes a slow client may have waiting; above it, it gets the newest tally later instead of every one. */
const MAX_BUFFERED = 256 * 1024

/** Lookups caused by a commit are charged to no client. */
const ofCommits = unlimited('commits')

type Watcher = {
  socket: WebSocket
  budget: Budget
  /** uri as asked to uri with DID; null while it is looked up */ asked: Map<string, string | null>
  /** since the last ping */
  messages: number
}

export class Hub {
  #watchers = new Set<Watcher>()
  #byPoll = new Map<string, Set<Watcher>>()
  #dirty = new Set<string>()
  #changed = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #lastFlush = 0
  #find: (uri: string, budget: Budget) => Promise<Found>

  /** @param find never rejects */
  constructor(find: (uri: string, budget: Budget) => Promise<Found>, signal: AbortSignal) {
    this.#find = find
    const ping = setInterval(() => this.#ping(), PING_INTERVAL * 0.9)
    signal.addEventListener('abort', () => {
      clearInterval(ping)
      clearTimeout(this.#timer)
      for (const { socket } of this.#watchers) socket.close(1001, 'the server is stopping')
    })
  }

  get watchers(): number {
    return this.#watchers.size
  }

  /** @param budget for what is read from other servers because of what it watches */
  add(socket: WebSocket, budget: Budget): void {
    const watcher: Watcher = { socket, budget, asked: new Map(), messages: 0 }
    this.#watchers.add(watcher)
    socket.on('message', (data) => {
      if (++watcher.messages > MAX_MESSAGES)
        socket.close(1008, `at most ${MAX_MESSAGES} messages in ${PING_INTERVAL} ms`)
      else this.#read(watcher, data.toString())
    })
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      this.#watchers.delete(watcher)
      for (const uri of watcher.asked.keys()) this.#unwatch(watcher, uri)
    })
  }

  /** Called after each commit. */
  apply({ tallies, polls }: Applied): void {
    for (const uri of tallies.keys()) if (this.#byPoll.has(uri)) this.#dirty.add(uri)
    for (const uri of polls) if (this.#byPoll.has(uri)) this.#changed.add(uri)
    this.#schedule()
  }

  /** Looks at watched polls again, though nothing was stored. */
  recheck(concerns: (uri: string) => boolean): void {
    for (const uri of this.#byPoll.keys()) if (concerns(uri)) this.#changed.add(uri)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer || (this.#dirty.size === 0 && this.#changed.size === 0)) return
    const wait = Math.max(0, this.#lastFlush + COALESCE - Date.now())
    this.#timer = setTimeout(() => void this.#flush(), wait)
  }

  async #flush(): Promise<void> {
    this.#lastFlush = Date.now()
    this.#timer = undefined
    const changed = [...this.#changed]
    const dirty = [...this.#dirty].filter((uri) => !this.#changed.has(uri))
    this.#changed.clear()
    this.#dirty.clear()
    for (const uri of changed) {
      const found = await this.#find(uri, ofCommits)
      for (const watcher of this.#byPoll.get(uri) ?? [])
        for (const [asked, canonical] of watcher.asked)
          if (canonical === uri) send(watcher, answer(asked, found))
    }
    for (const uri of dirty) {
      const found = await this.#find(uri, ofCommits)
      if (!found.ok) continue
      const { options, total, version } = found.poll
      const counts = options.map(({ count }) => count)
      const frame = Buffer.from(JSON.stringify({ type: 'tally', uri, counts, total, version }))
      for (const { socket } of this.#byPoll.get(uri) ?? []) {
        if (socket.bufferedAmount > MAX_BUFFERED) this.#dirty.add(uri)
        else socket.send(frame, { binary: false })
      }
    }
    this.#schedule()
  }

  #read(watcher: Watcher, text: string): void {
    const parsed = parseJson(clientMessage, text)
    if (!parsed.ok) {
      send(watcher, { type: 'error', error: 'InvalidRequest', message: parsed.reason })
      return
    }
    for (const uri of parsed.message.uris) {
      if (parsed.message.type === 'watch') void this.#watch(watcher, uri)
      else this.#unwatch(watcher, uri)
    }
  }

  async #watch(watcher: Watcher, uri: string): Promise<void> {
    if (!watcher.asked.has(uri) && watcher.asked.size >= MAX_WATCHED) {
      const message = `a connection may watch ${MAX_WATCHED} polls`
      send(watcher, { type: 'error', uri, error: 'TooManyPolls', message })
      return
    }
    if (!watcher.asked.has(uri)) watcher.asked.set(uri, null)
    const found = await this.#find(uri, watcher.budget)
    // Meanwhile it may have been let go.
    if (!watcher.asked.has(uri) || !this.#watchers.has(watcher)) return
    if (found.uri !== undefined) {
      watcher.asked.set(uri, found.uri)
      const watching = this.#byPoll.get(found.uri) ?? new Set()
      this.#byPoll.set(found.uri, watching.add(watcher))
    }
    send(watcher, answer(uri, found))
  }

  #unwatch(watcher: Watcher, uri: string): void {
    const canonical = watcher.asked.get(uri)
    watcher.asked.delete(uri)
    if (!canonical || [...watcher.asked.values()].includes(canonical)) return
    const watching = this.#byPoll.get(canonical)
    watching?.delete(watcher)
    if (watching?.size === 0) this.#byPoll.delete(canonical)
  }

  #ping(): void {
    for (const watcher of this.#watchers) {
      watcher.messages = 0
      if (watcher.socket.bufferedAmount > 4 * MAX_BUFFERED) watcher.socket.terminate()
      else send(watcher, { type: 'ping' })
    }
  }
}

function answer(asked: string, found: Found): ServerMessage {
  return found.ok
    ? { type: 'snapshot', uri: asked, poll: found.poll }
    : { type: 'error', uri: asked, error: found.error, message: found.message }
}

function send({ socket }: Watcher, message: ServerMessage): void {
  if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message))
}
