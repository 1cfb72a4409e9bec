/**
 * Stands in for Jetstream, where the real one can't be made to do a thing at will: to lie, to flood, to fall silent. It
 * sends what it is given, filtered by nothing.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

/** A commit as Jetstream tells of it. `time`: microseconds since 1970 */
export const commitMessage = (of: {
  did: string
  collection: string
  rkey: string
  time?: number
  operation?: string
  record?: unknown
}) => {
  const { did, time = Date.now() * 1000, operation = 'create', collection, rkey, record = {} } = of
  return JSON.stringify({
    did,
    time_us: time,
    kind: 'commit',
    commit: { rev: '3kaaaaaaaaaa2', operation, collection, rkey, record, cid: 'bafyrei' },
  })
}

export class JetstreamStandIn {
  /** What each connection asked for, in their order. */
  readonly asked: URLSearchParams[] = []
  #server: WebSocketServer
  #socket: WebSocket | undefined

  private constructor(server: WebSocketServer) {
    this.#server = server
    server.on('connection', (socket, request) => {
      this.asked.push(new URL(request.url!, 'ws://jetstream').searchParams)
      this.#socket = socket
    })
  }

  /** @param silent it answers no ping */
  static async listen({ silent = false } = {}): Promise<JetstreamStandIn> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/subscribe', autoPong: !silent })
    await once(server, 'listening')
    return new JetstreamStandIn(server)
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get connected(): boolean {
    return this.#socket?.readyState === 1
  }

  /** Bytes that wait for a listener that does not read. */
  get buffered(): number {
    return this.#socket?.bufferedAmount ?? 0
  }

  /** What is not text is sent as bytes. */
  send(...messages: (string | Buffer)[]): void {
    for (const message of messages) this.#socket?.send(message)
  }

  disconnect(): void {
    this.#socket?.close(1012)
  }

  async close(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
