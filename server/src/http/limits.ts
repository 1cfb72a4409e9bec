/** How much of this server one address may have. */
import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import type { Context } from 'hono'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Budget } from '../ingest/budget.ts'

/** Open connections to /live from one address: many people may sit behind one. */
export const MAX_CONNECTIONS = 200

export type Limits = {
  /** For what a request makes this server read from others. */
  budget: (c: Context) => Budget
  budgetOf: (request: IncomingMessage) => Budget
  addressOf: (request: IncomingMessage) => string
}

/**
 * @param perMinute what one address may have read from other servers; 0: no limit
 * @param onRefused called whenever an address has had too much
 * @param header that a proxy in front of this server puts the client's address into; undefined: there is none
 */
export function createLimits(perMinute: number, header: string | undefined, onRefused: () => void): Limits {
  const limiter = perMinute > 0 ? new RateLimiterMemory({ points: perMinute, duration: 60 }) : undefined
  const addressOf = (request: IncomingMessage) => {
    const named = header === undefined ? undefined : request.headers[header.toLowerCase()]
    // Each proxy appends the address that it sees: what stands before the last comma is the client's own word.
    const last = [named].flat().at(-1)?.split(',').at(-1)?.trim()
    return networkOf(last || (request.socket.remoteAddress ?? ''))
  }
  const budgetOf = (request: IncomingMessage): Budget => {
    const name = addressOf(request)
    const take = async (reads: number) =>
      !limiter ||
      limiter.consume(name, reads).then(
        () => true,
        () => {
          onRefused()
          return false
        },
      )
    return { name, take }
  }
  return {
    addressOf,
    budgetOf,
    budget: (c) => budgetOf((c.env as { incoming: IncomingMessage }).incoming),
  }
}

/** Whoever has one IPv6 address has a whole network of them. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head.split(':').filter((it) => it !== '')
  if (tail !== undefined) {
    const after = tail.split(':').filter((it) => it !== '')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  return `${groups
    .slice(0, 4)
    .map((it) => Number.parseInt(it, 16).toString(16))
    .join(':')}::/64`
}
