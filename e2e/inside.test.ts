/** A server on the internet connects to nothing in its own network, whatever name somebody gives it. */
import { execFileSync } from 'node:child_process'
import dns from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { mkdtempSync, readFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import { Socket, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Secp256k1Keypair } from '@atproto/crypto'
import { unlimited } from '@pollz/server/ingest/budget'
import { createRepos, type Repos } from '@pollz/server/ingest/repos'
import { home } from '@pollz/shared/families'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

/** In DNS this is an address of our own network. */
const INSIDE = 'inside.pollz-test.tech'
/** All names below this are hosts on the internet, which `internet` stands in for. (The reader refuses example.com, so these are no such names.) */
const OUTSIDE = '.outside.pollz-test.tech'
const budget = unlimited('tests')
const at = { collection: home.vote, rkey: '3kaaaaaaaaaa2', budget }

const stop = new AbortController()
/** What there is to protect: it has the port of its address, and 443 only in name. */
const inside = createServer((socket) => {
  reached++
  socket.destroy()
})
let reached = 0
/** Connections that were begun to anything but the internet, as ADDRESS:PORT. */
let begun: string[] = []
/** Hosts of the internet that were asked. */
let asked: string[] = []
let internet: ReturnType<typeof createTlsServer>
let key: string
let insidePort: number

/** PDSes that documents of did:plc name, and where hosts redirect to. */
let places: string[]

beforeAll(async () => {
  key = (await Secp256k1Keypair.create()).did().replace('did:key:', '')
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve))
  insidePort = (inside.address() as AddressInfo).port
  places = [
    `https://127.0.0.1:${insidePort}`,
    `https://localhost:${insidePort}`,
    `https://${INSIDE}:${insidePort}`,
    `https://[::ffff:127.0.0.1]:${insidePort}`,
    `https://2130706433:${insidePort}`,
    `http://127.0.0.1:${insidePort}`,
  ]

  const folder = mkdtempSync(join(tmpdir(), 'pollz-inside-'))
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=internet']
  execFileSync('openssl', [...request, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' })
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  internet = createTlsServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    (ask, response) => {
      const host = ask.headers.host!
      asked.push(host)
      const place = places[Number(/\d+/.exec(host === `plc${OUTSIDE}` ? ask.url! : host)?.[0])]!
      if (host !== `plc${OUTSIDE}`) return void response.writeHead(302, { location: place }).end()
      const did = decodeURIComponent(ask.url!.slice(1))
      response.end(
        JSON.stringify({
          id: did,
          verificationMethod: [
            { id: `${did}#atproto`, type: 'Multikey', controller: did, publicKeyMultibase: key },
          ],
          service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: place }],
        }),
      )
    },
  )
  await new Promise<void>((resolve) => internet.listen(0, '127.0.0.1', resolve))
  const internetPort = (internet.address() as AddressInfo).port

  const lookup = dns.lookup
  vi.spyOn(dns, 'lookup').mockImplementation(((name: string, ...rest: unknown[]) =>
    Reflect.apply(lookup, dns, [name === INSIDE ? '127.0.0.1' : name, ...rest])) as typeof lookup)
  syncBuiltinESMExports()
  vi.spyOn(Resolver.prototype, 'resolveTxt').mockRejectedValue(new Error('no such record'))
  const connect = Socket.prototype.connect
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
    // Node passes on its arguments as one array.
    const [options] = (Array.isArray(args[0]) ? args[0] : args) as [{ host?: string }]
    if (options.host?.endsWith(OUTSIDE))
      Object.assign(options, { host: '127.0.0.1', port: internetPort, lookup: undefined })
    else this.on('connectionAttempt', (address: string, port: number) => begun.push(`${address}:${port}`))
    return Reflect.apply(connect, this, args) as Socket
  })
})

afterAll(() => {
  stop.abort()
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  vi.unstubAllEnvs()
  inside.close()
  internet.closeAllConnections()
  internet.close()
})

const reader = (local: boolean) =>
  createRepos({
    plcUrl: `https://plc${OUTSIDE}`,
    handleResolverUrl: undefined,
    local,
    signal: stop.signal,
  })

type Attempt = { name: string; make: (repos: Repos) => Promise<{ ok: boolean }>; to: string; via?: string }

function attempts(): Attempt[] {
  const onPort = (name: string, more: Partial<Attempt> & Pick<Attempt, 'make'>) => ({
    name,
    to: `:${insidePort}`,
    ...more,
  })
  const didWeb = ['localhost', '127.0.0.1', INSIDE].map((host) =>
    onPort(`did:web of ${host}`, {
      make: (repos) => repos.readRecord({ did: `did:web:${host}%3A${insidePort}`, ...at }),
    }),
  )
  const usual = { name: `did:web of ${INSIDE} on 443`, to: ':443' }
  return [
    ...didWeb,
    { ...usual, make: (repos) => repos.readRecord({ did: `did:web:${INSIDE}`, ...at }) },
    {
      name: `.well-known of the handle ${INSIDE}`,
      to: ':443',
      make: (repos) => repos.resolveRepo({ repo: INSIDE, budget }),
    },
    ...places.map((place, i) =>
      onPort(`a redirect of a handle's host to ${place}`, {
        via: `host${i}${OUTSIDE}`,
        make: (repos) => repos.resolveRepo({ repo: `host${i}${OUTSIDE}`, budget }),
      }),
    ),
    ...places.map((place, i) =>
      onPort(`a did:plc whose PDS is ${place}`, {
        via: `plc${OUTSIDE}`,
        make: (repos) => repos.readRecord({ did: `did:plc:${String(i).padEnd(24, 'a')}`, ...at }),
      }),
    ),
  ]
}

test('a server that is not local connects to nothing in its own network', async () => {
  const [local, remote] = [reader(true), reader(false)]
  const outcomes = []
  for (const { name, make, to, via } of attempts()) {
    begun = []
    await make(local)
    const leadsThere = begun.some((it) => it.endsWith(to))
    begun = []
    asked = []
    reached = 0
    const { ok } = await make(remote)
    // Whoever is on the way there has to be asked, or it was refused for another reason.
    outcomes.push({
      name,
      leadsThere,
      ok,
      begun,
      reached,
      onTheWay: via === undefined || asked.includes(via),
    })
  }
  expect(outcomes).toEqual(
    attempts().map(({ name }) => ({
      name,
      // The control: to a local server the same name leads there.
      leadsThere: true,
      ok: false,
      begun: [],
      reached: 0,
      onTheWay: true,
    })),
  )
})
