/**
 * Stands in for tap's protocol, where the real tap can't be made to do a thing at will: its channel (events out, acks
 * in, what is not acked is sent again), `POST /repos/add`, `/repos/remove`, `/info`, `/stats/outbox-buffer`, `/health`. Order per
 * DID is the sender's affair.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

export class TapStandIn {
  /** DIDs that the consumer asked to track, whether it let go of them later or not. */
  readonly added = new Set<string>()
  /** DIDs that it let go of. */
  readonly removed = new Set<string>()
  readonly acked = new Set<number>()
  /** Messages that were sent and not acked, by id. */
  readonly outstanding = new Map<number, string>()
  connections = 0
  onAck: (id: number) => void = () => {}
  #server: Server
  #sockets = new WebSocketServer({ noServer: true })
  #socket: WebSocket | undefined

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const named = { '/repos/add': this.added, '/repos/remove': this.removed }[request.url!]
        if (named) {
          const { dids } = JSON.parse(Buffer.concat(chunks).toString()) as { dids: string[] }
          for (const did of dids) named.add(did)
        }
        response.end(JSON.stringify(this.#answer(decodeURIComponent(request.url!))))
      })
    })
    this.#server.on('upgrade', (request, socket, head) =>
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#connected(ws)),
    )
  }

  /** It has read every repo that it was told of. */
  #answer(path: string): unknown {
    if (path === '/stats/outbox-buffer') return { outbox_buffer: this.outstanding.size }
    const [, did] = /^\/info\/(.*)/.exec(path) ?? []
    return did === undefined
      ? { status: 'ok' }
      : { did, handle: 'handle.invalid', state: 'active', rev: '', records: 0 }
  }

  static async listen(port = 0): Promise<TapStandIn> {
    const tap = new TapStandIn()
    await new Promise<void>((resolve) => tap.#server.listen(port, '127.0.0.1', resolve))
    return tap
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get connected(): boolean {
    return this.#socket?.readyState === 1
  }

  /** Bytes that wait for a consumer that does not read. */
  get buffered(): number {
    return this.#socket?.bufferedAmount ?? 0
  }

  #connected(socket: WebSocket): void {
    this.connections++
    this.#socket = socket
    socket.on('message', (data) => {
      const { type, id } = JSON.parse(data.toString()) as { type: string; id: number }
      if (type !== 'ack') return
      this.outstanding.delete(id)
      this.acked.add(id)
      this.onAck(id)
    })
    socket.on('close', () => {
      if (this.#socket !== socket) return
      // What one consumer has not acked another gets, as the real tap does it after a while.
      this.#socket = [...this.#sockets.clients].findLast(({ readyState }) => readyState === 1)
      this.redeliver()
    })
    for (const message of this.outstanding.values()) socket.send(message)
  }

  /** @param id undefined for what can't be acked */
  send(message: string, id?: number): void {
    if (id !== undefined) this.outstanding.set(id, message)
    this.#socket?.send(message)
  }

  /** Sends again all that was not acked. */
  redeliver(): void {
    for (const message of this.outstanding.values()) this.#socket?.send(message)
  }

  /** Ends the connection with an ordinary close frame. */
  disconnect(code: number): void {
    this.#socket?.close(code)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
