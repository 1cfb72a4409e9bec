/** A TCP wire between the server and a database that is reached over HTTP, with faults that a test switches on and off. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import * as fc from 'fast-check'

/**
 * - `flaky`: every connection is reset at some moment between 5 and 400 ms, whatever goes over it
 * - `refuse`: a request resets its connection and does not get through
 * - `lose`: a request gets through, and once its answer is there the connection is reset instead
 * - `hang`: a request gets through, and nothing ever comes back; also after the wire is healed
 */
export const FAULTS = ['flaky', 'refuse', 'lose', 'hang'] as const
export type Fault = (typeof FAULTS)[number]

const SHORTEST = 5
const LONGEST = 400

type Connection = {
  client: Socket
  target: Socket
  timer?: NodeJS.Timeout
  hanging: boolean
  /** Ends with the last answer that is late. */
  late?: Promise<void>
}

export class Wire {
  readonly url: string
  /** How often each fault has hit: a reset, or for `hang` a connection that hangs. */
  readonly hits: Record<Fault, number> = { flaky: 0, refuse: 0, lose: 0, hang: 0 }
  #fault: Fault | undefined
  #delay = 0
  #server: Server
  #target: URL
  #connections = new Set<Connection>()
  #waits: number[]
  #nextWait = 0

  private constructor(server: Server, target: string, seed: number) {
    this.#server = server
    this.#target = new URL(target)
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.#waits = fc.sample(fc.noBias(fc.integer({ min: SHORTEST, max: LONGEST })), { seed, numRuns: 1000 })
  }

  /**
   * Listens, without a fault.
   *
   * @param target an http URL with a port; what counts of it is where it leads
   * @param seed of the moments at which `flaky` resets
   */
  static async listen(target: string, { seed = 1 } = {}): Promise<Wire> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const wire = new Wire(server, target, seed)
    server.on('connection', (client) => wire.#join(client))
    return wire
  }

  /** From now on, on connections that are open already as well. */
  break(fault: Fault): void {
    this.heal()
    this.#fault = fault
    for (const connection of this.#connections) this.#age(connection)
  }

  /** Resets one of the connections that are open. */
  resetOne(): void {
    const [first] = this.#connections
    if (first) this.#hit('flaky', first)
  }

  /** From now on answers come so many ms late. */
  delay(ms: number): void {
    this.#delay = ms
  }

  heal(): void {
    this.#fault = undefined
    this.#delay = 0
    for (const { timer } of this.#connections) clearTimeout(timer)
  }

  async close(): Promise<void> {
    this.heal()
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const connection of this.#connections) this.#reset(connection)
    await closed
  }

  #join(client: Socket): void {
    const target = connect(Number(this.#target.port), this.#target.hostname)
    const connection: Connection = { client, target, hanging: false }
    this.#connections.add(connection)
    client.on('data', (data) => {
      if (this.#fault === 'refuse') this.#hit('refuse', connection)
      else target.write(data)
    })
    target.on('data', (data) => {
      if (this.#fault === 'hang' && !connection.hanging) {
        connection.hanging = true
        this.hits.hang++
      }
      if (connection.hanging) return
      if (this.#fault === 'lose') this.#hit('lose', connection)
      else if (this.#delay === 0 && !connection.late) client.write(data)
      else {
        // One after the other, also once the wire is healed.
        const late = setTimeout(this.#delay)
        connection.late = Promise.all([connection.late, late]).then(() => void client.write(data))
      }
    })
    for (const socket of [client, target]) {
      // What one end does to the connection, the other end sees; a hang it does not.
      socket.on('error', () => {})
      socket.on('close', (failed) => {
        if (socket === target && connection.hanging) return
        const other = socket === client ? target : client
        if (failed) other.resetAndDestroy()
        else other.end()
        clearTimeout(connection.timer)
        this.#connections.delete(connection)
      })
    }
    this.#age(connection)
  }

  #age(connection: Connection): void {
    if (this.#fault !== 'flaky') return
    const wait = this.#waits[this.#nextWait++ % this.#waits.length]
    connection.timer = globalThis.setTimeout(() => this.#hit('flaky', connection), wait)
  }

  #hit(fault: Fault, connection: Connection): void {
    this.hits[fault]++
    this.#reset(connection)
  }

  #reset({ client, target }: Connection): void {
    client.resetAndDestroy()
    target.destroy()
  }
}
