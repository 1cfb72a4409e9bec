/** Servers and PDSes that cheat: proxies in front of real ones, which change what those answer. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CountedVotes } from '@pollz/shared/wire'

export type Proxy = { url: string; close: () => void }

/**
 * Passes requests on.
 *
 * @param to base URL
 * @param alter the answer to a GET of this URL; undefined: as it is
 */
export async function proxy(
  to: string,
  alter: (url: URL, body: Buffer) => Buffer | undefined | Promise<Buffer | undefined>,
): Promise<Proxy> {
  const answer = async (request: IncomingMessage) => {
    const url = new URL(request.url!, to)
    // Of these alone an answer is what was asked for, whatever a client keeps.
    const { accept = '*/*' } = request.headers
    const response = await fetch(url, { headers: { accept }, redirect: 'manual' })
    const body = Buffer.from(await response.arrayBuffer())
    return { response, body: (await alter(url, body)) ?? body }
  }
  const server: Server = createServer((request, out) => {
    answer(request).then(
      ({ response, body }) => {
        const headers: Record<string, string> = { 'access-control-allow-origin': '*' }
        for (const name of ['content-type', 'content-security-policy']) {
          const value = response.headers.get(name)
          if (value !== null) headers[name] = value
        }
        out.writeHead(response.status, headers).end(body)
      },
      () => out.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** A companion server that lies about one poll's votes. */
export const lyingServer = (server: string, lie: (votes: CountedVotes) => void) =>
  proxy(server, (url, body) => {
    if (!url.pathname.endsWith('/votes.json')) return undefined
    const votes = JSON.parse(body.toString()) as CountedVotes
    lie(votes)
    return Buffer.from(JSON.stringify(votes))
  })

/** Counts of the votes that it lists, for a lie that is consistent. */
export function sumUp({ poll, votes }: CountedVotes): void {
  for (const [i, option] of poll.options.entries())
    option.count = votes.filter(({ options }) => options.includes(i)).length
  poll.total = poll.options.reduce((sum, { count }) => sum + count, 0)
}

/** A PLC directory that sends those who look for one account to another PDS. */
export const misleadingPlc = (plc: string, did: string, pds: string) =>
  proxy(plc, (url, body) => {
    if (decodeURIComponent(url.pathname) !== `/${did}`) return undefined
    const document = JSON.parse(body.toString()) as { service: { serviceEndpoint: string }[] }
    document.service[0]!.serviceEndpoint = pds
    return Buffer.from(JSON.stringify(document))
  })

/** An index of links, as far as the check asks one (Constellation, which can't be had offline). */
export async function constellationStandIn(
  records: { did: string; collection: string; rkey: string }[],
): Promise<Proxy & { asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, out) => {
    const url = new URL(request.url!, 'http://standin')
    out.setHeader('access-control-allow-origin', '*')
    if (url.pathname !== '/xrpc/blue.microcosm.links.getBacklinks') return out.writeHead(404).end()
    asked.push(`${url.searchParams.get('subject')} ${url.searchParams.get('source')}`)
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const page = records.slice(from, from + 2)
    const cursor = from + 2 < records.length ? String(from + 2) : null
    return out
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ total: records.length, records: page, cursor }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
