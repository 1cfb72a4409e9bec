/** The one WebSocket to the server, for all tabs: open while a poll is on some screen. */
import { MAX_URIS, parseJson, serverMessage, type ClientMessage, type PollView } from '@pollz/shared/wire'
import type { Port, Tabs } from './tabs.ts'

const MAX_BACKOFF = 60_000
/** Nothing watched for this long, in ms: the socket is closed and the worker may sleep. */
const LINGER = 5_000

export class Live {
  /** undefined: the first connection is under way */
  online: boolean | undefined
  #server: string
  #tabs: Tabs
  #socket: WebSocket | undefined
  #polls = new Map<string, PollView>()
  #failures = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #waiting = new Map<string, ((poll: PollView) => void)[]>()

  constructor(server: string, tabs: Tabs) {
    this.#server = server
    this.#tabs = tabs
  }

  watch(port: Port, uri: string): void {
    this.#tabs.shown(port).add(uri)
    const poll = this.#polls.get(uri)
    if (poll && this.online) port.postMessage({ type: 'poll', uri, poll })
    this.#say({ type: 'watch', uris: [uri] })
    this.#connect()
  }

  unwatch(port: Port, uri: string): void {
    this.#tabs.shown(port).delete(uri)
    if (this.#tabs.shows(uri)) return
    this.#say({ type: 'unwatch', uris: [uri] })
    this.#polls.delete(uri)
    setTimeout(() => this.#rest(), LINGER)
  }

  forget(port: Port): void {
    for (const uri of this.#tabs.shown(port)) this.unwatch(port, uri)
  }

  known(uri: string): PollView | undefined {
    return this.#polls.get(uri)
  }

  /** The poll behind a watched uri, as soon as the server has said what it is. */
  poll(uri: string): Promise<PollView> {
    const known = this.#polls.get(uri)
    if (known) return Promise.resolve(known)
    return new Promise((resolve) => {
      this.#waiting.set(uri, [...(this.#waiting.get(uri) ?? []), resolve])
    })
  }

  /** A newer tally, wherever it comes from. */
  update(poll: PollView): void {
    for (const [uri, known] of this.#polls)
      if (known.uri === poll.uri && known.version <= poll.version) this.#show(uri, poll)
  }

  #show(uri: string, poll: PollView): void {
    this.#polls.set(uri, poll)
    this.#tabs.send(uri, { type: 'poll', uri, poll })
    for (const resolve of this.#waiting.get(uri) ?? []) resolve(poll)
    this.#waiting.delete(uri)
  }

  #say(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  #rest(): void {
    if (this.#tabs.all().length === 0) this.#socket?.close(1000)
  }

  #connect(): void {
    if (this.#socket || this.#retry !== undefined) return
    const url = new URL('/live', this.#server)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(url)
    this.#socket = socket
    socket.onopen = () => {
      this.#failures = 0
      this.#online(true)
      const uris = this.#tabs.all()
      for (let i = 0; i < uris.length; i += MAX_URIS)
        this.#say({ type: 'watch', uris: uris.slice(i, i + MAX_URIS) })
    }
    socket.onmessage = ({ data }) => this.#read(String(data))
    socket.onclose = () => {
      this.#socket = undefined
      this.#online(false)
      if (this.#tabs.all().length === 0) return
      const wait = Math.min(500 * 2 ** this.#failures++, MAX_BACKOFF) * (0.5 + Math.random() / 2)
      this.#retry = setTimeout(() => {
        this.#retry = undefined
        if (this.#tabs.all().length > 0) this.#connect()
      }, wait)
    }
  }

  #online(online: boolean): void {
    if (this.online === online) return
    this.online = online
    this.#tabs.broadcast({ type: 'connection', online })
  }

  #read(text: string): void {
    const parsed = parseJson(serverMessage, text)
    if (!parsed.ok) {
      console.warn('pollz: the server said something else', parsed.reason)
      return
    }
    const message = parsed.message
    switch (message.type) {
      case 'snapshot':
        this.#show(message.uri, message.poll)
        return
      case 'tally': {
        const { counts, total, version } = message
        for (const known of this.#polls.values()) {
          if (known.uri !== message.uri) continue
          const options = known.options.map(({ text }, i) => ({ text, count: counts[i] ?? 0 }))
          this.update({ ...known, options, total, version })
          return
        }
        return
      }
      case 'error':
        if (message.uri === undefined) return console.warn('pollz:', message.message)
        this.#polls.delete(message.uri)
        this.#tabs.send(message.uri, { ...message, type: 'missing', uri: message.uri })
        return
      case 'ping':
        return
      default:
        message satisfies never
    }
  }
}
