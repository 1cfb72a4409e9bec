/** PDSes that mean no good: each costs a refusal, and neither memory nor time nor a request into another network. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Secp256k1Keypair } from '@atproto/crypto'
import { home } from '@pollz/shared/families'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRepos, type Repos } from './repos.ts'

const servers: Server[] = []
let repos: Repos
let key: string
/** What a did:plc's document names as its PDS. */
const pdsOf = new Map<string, string>()
let insideAsked = 0
let inside: string

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeAll(async () => {
  key = (await Secp256k1Keypair.create()).did().replace('did:key:', '')
  const plc = await serve((request, response) => {
    const did = decodeURIComponent(request.url!.slice(1))
    const pds = pdsOf.get(did)
    if (pds === undefined) return void response.writeHead(404).end('{}')
    response.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        id: did,
        alsoKnownAs: ['at://somebody.example'],
        verificationMethod: [
          { id: `${did}#atproto`, type: 'Multikey', controller: did, publicKeyMultibase: key },
        ],
        service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: pds }],
      }),
    )
  })
  inside = await serve((_, response) => {
    insideAsked++
    response.end('{}')
  })
  repos = createRepos({ plcUrl: plc, handleResolverUrl: plc, local: true })
})

afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

let next = 0
async function readFrom(listener: RequestListener) {
  const did = `did:plc:${String(next++).padStart(24, 'a')}`
  pdsOf.set(did, await serve(listener))
  return repos.readRecord(did, home.vote, '3kaaaaaaaaaa2')
}

const chunk = Buffer.alloc(64 * 1024)

test.each<[string, RequestListener, string]>([
  ['answers no CAR', (_, response) => response.end('not a CAR'), 'InvalidProof'],
  ['answers nothing', (_, response) => response.end(), 'InvalidProof'],
  [
    'fails',
    (_, response) => response.writeHead(500).end('<h1>Internal Server Error</h1>'),
    'UpstreamFailure',
  ],
  ['answers JSON that is none', (_, response) => response.writeHead(400).end('{"error":'), 'UpstreamFailure'],
  [
    'ends in the middle',
    (_, response) => response.writeHead(200).write('x', () => response.destroy()),
    'InvalidProof',
  ],
  [
    'says that it will be large',
    (_, response) => response.writeHead(200, { 'content-length': String(2 ** 40) }).write(chunk),
    'UpstreamFailure',
  ],
])('a PDS that %s', async (_, listener, error) => {
  expect(await readFrom(listener)).toMatchObject({ ok: false, error })
})

test('a PDS that never ends is left after a megabyte', async () => {
  let sent = 0
  const read = await readFrom((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length
    }
    response.on('drain', more)
    more()
  })
  expect(read).toMatchObject({ ok: false })
  expect(sent).toBeLessThan(16 * 1024 * 1024)
})

test('a PDS that leads elsewhere is not followed', async () => {
  const read = await readFrom((_, response) => response.writeHead(302, { location: inside }).end())
  expect(read).toMatchObject({ ok: false, error: 'UpstreamFailure' })
  expect(insideAsked).toBe(0)
})

test('a PDS that never answers is left after ten seconds', { timeout: 40_000 }, async () => {
  const began = Date.now()
  expect(await readFrom(() => {})).toMatchObject({ ok: false, error: 'UpstreamFailure' })
  // Twice: the second time with a fresh document, for the repo may have moved.
  expect(Date.now() - began).toBeLessThan(30_000)
})

test('a handle that does not lead back to the DID is nobody’s', async () => {
  const did = 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb'
  pdsOf.set(did, inside)
  // The resolver here knows no handles.
  expect(await repos.handleOf(did)).toBeUndefined()
  expect(await repos.resolveRepo('somebody.example')).toMatchObject({ ok: false, error: 'RepoNotFound' })
})
