/** PDSes that mean no good: each costs a refusal, and neither memory nor time nor a request into another network. */
import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { Secp256k1Keypair } from '@atproto/crypto'
import { cidForCbor } from '@atproto/lex'
import type { BlockMap } from '@atproto/repo'
import { home } from '@pollz/shared/families'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { NetworkStandIn, entry, makeProof } from '../../test/pds-standin.ts'
import { unlimited } from './budget.ts'
import { createRepos, type Repos } from './repos.ts'

const budget = unlimited('test')
const at = { collection: home.vote, rkey: '3kaaaaaaaaaa2' }
const path = `${at.collection}/${at.rkey}`
const record = { $type: home.vote, option: 1 }

let network: NetworkStandIn
let repos: Repos
const stop = new AbortController()
const open = (signal: AbortSignal, more: { now?: () => number } = {}) =>
  createRepos({ plcUrl: network.plcUrl, handleResolverUrl: network.plcUrl, local: true, signal, ...more })

beforeAll(async () => {
  network = await NetworkStandIn.start()
  repos = open(stop.signal)
})

afterAll(() => {
  stop.abort()
  network.close()
})

let made = 0
const newDid = () => `did:plc:${String(made++).padStart(24, 'a')}`

async function readFrom(listener: RequestListener) {
  const did = newDid()
  network.register(did, await network.serve(listener))
  return repos.readRecord({ did, ...at, budget })
}

/** A repo with one record on a PDS that answers at once. */
async function honestRepo(time?: number): Promise<string> {
  const did = newDid()
  const proof = await makeProof(
    { did, key: network.key },
    async (add) => add({ l: null, e: [entry(path, await add(record))] }),
    time,
  )
  network.register(did, await network.serve((_, response) => response.end(proof)))
  return did
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
    'UpstreamFailure',
  ],
  [
    'says that it will be large',
    (_, response) => response.writeHead(200, { 'content-length': String(2 ** 40) }).write(chunk),
    'UpstreamFailure',
  ],
  ['answers a status that none is', (_, response) => response.writeHead(999).end(), 'UpstreamFailure'],
  ['answers without a body', (_, response) => response.writeHead(204).end(), 'InvalidProof'],
])('a PDS that %s', async (_, listener, error) => {
  expect(await readFrom(listener)).toMatchObject({ ok: false, error })
})

describe('an answer without end is left after 128 kB', () => {
  const endless: RequestListener = (_, response) => {
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more)
    more()
  }
  const raw =
    (head: string): RequestListener =>
    ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`)
      const more = () => {
        while (!socket.destroyed && socket.write(chunk));
      }
      socket.on('drain', more)
      more()
    }
  test.each<[string, RequestListener]>([
    ['in chunks', endless],
    ['until the connection ends', raw('connection: close')],
    ['whatever a content-length says', raw('content-length: 1000')],
    [
      'packed into less',
      (_, response) =>
        response
          .writeHead(200, { 'content-encoding': 'gzip', connection: 'close' })
          .end(gzipSync(Buffer.alloc(64 * 1024 * 1024))),
    ],
  ])('%s', async (_, listener) => {
    let sent: number | undefined
    const read = await readFrom((request, response) => {
      const { socket } = request
      socket.on('error', () => {})
      socket.on('close', () => (sent = socket.bytesWritten))
      listener(request, response)
    })
    expect(read).toMatchObject({ ok: false })
    await vi.waitUntil(() => sent !== undefined, 5_000)
    // What the sockets between hold comes on top.
    expect(sent).toBeLessThan(16 * 1024 * 1024)
  })
})

test('a proof of more than 128 kB is refused, one of less is not', async () => {
  const sized = async (bytes: number) => {
    const did = newDid()
    const proof = await makeProof({ did, key: network.key }, async (add) => {
      const value = await add({ ...record, note: 'x'.repeat(bytes) })
      return add({ l: null, e: [entry(path, value)] })
    })
    network.register(did, await network.serve((_, response) => response.end(proof)))
    return repos.readRecord({ did, ...at, budget })
  }
  expect(await sized(120_000)).toMatchObject({ ok: true, value: { record } })
  expect(await sized(132_000)).toMatchObject({ ok: false, error: 'UpstreamFailure' })
})

test('a PDS that leads elsewhere is not followed', async () => {
  let asked = 0
  const elsewhere = await network.serve((_, response) => {
    asked++
    response.end('{}')
  })
  const read = await readFrom((_, response) => response.writeHead(302, { location: elsewhere }).end())
  expect(read).toMatchObject({ ok: false, error: 'UpstreamFailure' })
  expect(asked).toBe(0)
})

test('a PDS that never answers is left after ten seconds', { timeout: 40_000 }, async () => {
  const did = newDid()
  let asked = 0
  network.register(did, await network.serve(() => asked++))
  const drips = await network.serve((_, response) => {
    const timer = setInterval(() => response.write('x'), 100)
    response.on('close', () => clearInterval(timer))
  })
  const slow = newDid()
  network.register(slow, drips)
  // Its document is kept, and so the first suspect, but there is no time left to use another.
  const moved = newDid()
  let silent = false
  const refuses: RequestListener = (_, response) => void (silent || response.writeHead(500).end())
  network.register(moved, await network.serve(refuses))
  await repos.readRecord({ did: moved, ...at, budget })
  silent = true
  const over = setTimeout(15_000, 'over', { ref: false })
  const began = Date.now()
  const reads = [did, slow, moved].map((it) => repos.readRecord({ did: it, ...at, budget }))
  for (const read of reads)
    expect(await Promise.race([read, over])).toMatchObject({ ok: false, error: 'UpstreamFailure' })
  console.log(`silent PDSes were left after ${Date.now() - began} ms`)
  expect(asked).toBe(1)
  // The repo may have moved: the next read starts with its document.
  await setImmediate()
  const before = network.asked.length
  await Promise.race([repos.readRecord({ did, ...at, budget }), vi.waitUntil(() => asked === 2)])
  expect(network.asked.slice(before)).toEqual([did])
})

test('a handle that does not lead back to the DID is nobody’s', async () => {
  const did = newDid()
  network.register(did, network.plcUrl)
  // The resolver here knows no handles.
  expect(await repos.handleOf({ did, budget })).toBeUndefined()
  expect(await repos.resolveRepo({ repo: 'somebody.example', budget })).toMatchObject({
    ok: false,
    error: 'RepoNotFound',
  })
})

describe('a DID document', () => {
  test('of more than 64 kB is refused', async () => {
    const did = newDid()
    network.register(did, network.plcUrl, { alsoKnownAs: [`at://${'x'.repeat(70_000)}`] })
    const read = await repos.readRecord({ did, ...at, budget })
    expect(read).toMatchObject({ ok: false, error: 'UpstreamFailure' })
    expect(read.ok || read.message).toMatch(/too large/i)
  })

  test.each(['zzz', 'z6Mk', 'uAAAA'])('with the signing key %s is refused', async (publicKeyMultibase) => {
    const did = newDid()
    const method = { id: '#atproto', type: 'Multikey', controller: did, publicKeyMultibase }
    network.register(did, network.plcUrl, { verificationMethod: [method] })
    expect(await repos.readRecord({ did, ...at, budget })).toMatchObject({ ok: false, error: 'InvalidProof' })
  })

  test('is read anew where a repo has moved', async () => {
    const did = await honestRepo()
    const honest = await repos.readRecord({ did, ...at, budget })
    expect(honest).toMatchObject({ ok: true, value: { record } })
    const other = newDid()
    const refuses: RequestListener = (_, response) =>
      response.writeHead(400).end(JSON.stringify({ error: 'RepoDeactivated' }))
    network.register(other, await network.serve(refuses))
    expect(await repos.readRecord({ did: other, ...at, budget })).toMatchObject({ error: 'RepoInactive' })
    const proof = await makeProof({ did: other, key: network.key }, async (add) =>
      add({ l: null, e: [entry(path, await add(record))] }),
    )
    network.register(other, await network.serve((_, response) => response.end(proof)))
    expect(await repos.readRecord({ did: other, ...at, budget })).toMatchObject({ ok: true })
  })
})

describe('a repo that is not there', () => {
  test('says who says so', async () => {
    const refuses: RequestListener = (_, response) =>
      response.writeHead(400).end(JSON.stringify({ error: 'RepoNotFound' }))
    expect(await readFrom(refuses)).toMatchObject({ error: 'RepoNotFound', gone: 'NotHosted' })
    const tombstoned = newDid()
    network.tombstone(tombstoned)
    for (const read of [
      await repos.readRecord({ did: tombstoned, ...at, budget }),
      await repos.status({ did: tombstoned, budget }),
    ])
      expect(read).toMatchObject({ error: 'RepoNotFound', gone: 'DidTombstoned' })
    const absent = await repos.readRecord({ did: newDid(), ...at, budget })
    expect(absent).toMatchObject({ error: 'RepoNotFound', gone: 'DidNotFound' })
    const nowhere = newDid()
    network.register(nowhere, '', { service: [] })
    const read = await repos.readRecord({ did: nowhere, ...at, budget })
    expect(read).toMatchObject({ error: 'RepoNotFound' })
    expect(read).not.toHaveProperty('gone')
  })

  test('is not gone because a did:web’s host fails', async () => {
    let status = 500
    const host = await network.serve((_, response) => response.writeHead(status).end())
    const did = `did:web:localhost%3A${new URL(host).port}`
    expect(await repos.readRecord({ did, ...at, budget })).toMatchObject({ error: 'UpstreamFailure' })
    status = 404
    expect(await repos.readRecord({ did, ...at, budget })).toMatchObject({ gone: 'DidNotFound' })
  })
})

describe('the status of an account', () => {
  async function statusFrom(answer: (did: string) => unknown) {
    const did = newDid()
    const pds = await network.serve((_, response) => response.end(JSON.stringify(answer(did))))
    network.register(did, pds)
    return repos.status({ did, budget })
  }

  test.each([
    [{ active: true }, 'active'],
    [{ active: true, status: 'desynchronized' }, 'active'],
    [{ active: false, status: 'takendown' }, 'takendown'],
    [{ active: false, status: 'suspended' }, 'suspended'],
    [{ active: false, status: 'deactivated' }, 'deactivated'],
    [{ active: false, status: 'deleted' }, 'deleted'],
    [{ active: false, status: 'active' }, 'deactivated'],
    [{ active: false, status: 'throttled' }, 'deactivated'],
    [{ active: false }, 'deactivated'],
  ])('%j is %s', async (answer, status) => {
    expect(await statusFrom((did) => ({ did, ...answer }))).toEqual({ ok: true, value: { status } })
  })

  test('of another account, or none, is no answer', async () => {
    expect(await statusFrom(() => ({ did: 'did:plc:other', active: true }))).toMatchObject({
      error: 'UpstreamFailure',
    })
    expect(await statusFrom((did) => ({ did }))).toMatchObject({ error: 'UpstreamFailure' })
  })

  test('is asked of the PDS that the document names now', async () => {
    const did = newDid()
    const says = (status: string) =>
      network.serve((_, response) => response.end(JSON.stringify({ did, active: false, status })))
    network.register(did, await says('deactivated'))
    await repos.status({ did, budget })
    network.register(did, await says('takendown'))
    expect(await repos.status({ did, budget })).toMatchObject({ value: { status: 'takendown' } })
  })
})

describe('64 reads that hang delay nobody else', () => {
  const addresses = Array.from({ length: 64 }, (_, i) => `127.0.2.${i + 1}`)

  test.each([
    ['one address and 64 silent hosts', () => 'mallory', (i: number) => addresses[i]!, 8],
    ['64 addresses and one silent host', (i: number) => `mallory ${i}`, () => '127.0.3.1', 16],
    ['one address and one silent host', () => 'mallory', () => '127.0.3.1', 8],
    ['one address and 64 silent hosts of DIDs', () => 'mallory', undefined, 8],
  ])('%s', async (name, budgetOf, addressOf, places) => {
    const local = new AbortController()
    const reader = open(local.signal)
    const timed = async () => {
      const did = await honestRepo()
      const began = performance.now()
      const read = await reader.readRecord({ did, ...at, budget: unlimited('honest') })
      expect(read).toMatchObject({ ok: true, value: { record } })
      return Math.round(performance.now() - began)
    }
    // The threads start with the first proof.
    await timed()
    const alone = await timed()

    let hanging = 0
    let settled = 0
    const silent: RequestListener = () => hanging++
    const reads = await Promise.all(
      addresses.map(async (_, i) => {
        const url = await network.serve(silent, addressOf ? addressOf(i) : '127.0.0.1')
        const did = addressOf ? newDid() : `did:web:localhost%3A${new URL(url).port}`
        if (addressOf) network.register(did, url)
        return { did, ...at, budget: unlimited(budgetOf(i)) }
      }),
    )
    const hung = reads.map((it) => reader.readRecord(it).finally(() => settled++))
    await vi.waitUntil(() => hanging === places)

    const beside = await timed()
    expect(settled).toBe(0)
    expect(hanging).toBe(places)
    console.log(`${name}: an honest read took ${beside} ms, ${alone} ms without them`)
    local.abort()
    for (const read of await Promise.all(hung)) expect(read).toMatchObject({ ok: false })
  })
})

test('a budget has so many reads waiting and no more, another still has its own', async () => {
  const local = new AbortController()
  const reader = open(local.signal)
  const did = newDid()
  network.register(did, await network.serve(() => {}, '127.0.3.2'))
  let settled = 0
  const read = () => reader.readRecord({ did, ...at, budget: unlimited('mallory') })
  const hung = Array.from({ length: 8 + 256 }, () => read().finally(() => settled++))
  expect(await read()).toMatchObject({ ok: false, error: 'Busy' })
  const honest = { did: await honestRepo(), ...at, budget: unlimited('honest') }
  expect(await reader.readRecord(honest)).toMatchObject({ ok: true })
  expect(settled).toBe(0)
  local.abort()
  await Promise.all(hung)
})

describe('a hostile proof', () => {
  const nested = async (blocks: BlockMap) => {
    const bytes = Buffer.alloc(120_000, 0x81)
    // {"a": [[[…]]]}
    bytes.set([0xa1, 0x61, 0x61])
    bytes[bytes.length - 1] = 0x80
    const cid = await cidForCbor(bytes)
    blocks.set(cid, bytes)
    return cid
  }

  test.each<[string, Parameters<typeof makeProof>[1]]>([
    [
      'of CBOR that is nested 120,000 deep',
      async (add, blocks) => add({ l: null, e: [entry(path, await nested(blocks))] }),
    ],
    [
      'of 3,000 blocks, and not the one that it needs',
      async (add, blocks) => {
        for (let i = 0; i < 3_000; i++) await add(i)
        const value = await add(record)
        blocks.delete(value)
        return add({ l: null, e: [entry(path, value)] })
      },
    ],
    [
      'of 1,200 nodes one below the other, the last of which is missing',
      async (add, blocks) => {
        const last = await add({ l: null, e: [] })
        blocks.delete(last)
        let tree = last
        for (let i = 0; i < 1_200; i++) tree = await add({ l: tree, e: [] })
        return tree
      },
    ],
  ])('%s is refused, and the next is verified', async (_, tree) => {
    const did = newDid()
    const proof = await makeProof({ did, key: network.key }, tree)
    expect(proof.length).toBeGreaterThan(90_000)
    network.register(did, await network.serve((_request, response) => response.end(proof)))
    await repos.readRecord({ did: await honestRepo(), ...at, budget })

    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    let ticks = 0
    const state = { done: false }
    const reading = repos.readRecord({ did, ...at, budget }).finally(() => (state.done = true))
    while (!state.done) {
      await setImmediate()
      ticks++
    }
    delay.disable()
    expect(await reading).toMatchObject({ ok: false, error: 'InvalidProof' })
    console.log(`the event loop turned ${ticks} times, at most ${(delay.max / 1e6).toFixed(1)} ms apart`)
    expect(await repos.readRecord({ did: await honestRepo(), ...at, budget })).toMatchObject({ ok: true })
  })

  test('of a tree whose nodes share their subtrees is read along one path', async () => {
    const did = newDid()
    // 4 kB that are a tree of 2^40 leaves to whoever walks all of it.
    const proof = await makeProof({ did, key: network.key }, async (add) => {
      const value = await add(record)
      let tree = await add({ l: null, e: [entry(path, value)] })
      for (let i = 0; i < 40; i++) tree = await add({ l: tree, e: [entry(`z/${i}`, value, tree)] })
      return tree
    })
    network.register(did, await network.serve((_, response) => response.end(proof)))
    expect(await repos.readRecord({ did, ...at, budget })).toMatchObject({ ok: true, value: { record } })
  })

  test('by another key proves nothing', async () => {
    const did = newDid()
    const proof = await makeProof({ did, key: await Secp256k1Keypair.create() }, async (add) =>
      add({ l: null, e: [entry(path, await add(record))] }),
    )
    network.register(did, await network.serve((_, response) => response.end(proof)))
    expect(await repos.readRecord({ did, ...at, budget })).toMatchObject({ error: 'InvalidProof' })
  })

  test('C2 with a rev more than five minutes ahead of our clock is refused', async () => {
    const now = 1_800_000_000_000
    const reader = open(stop.signal, { now: () => now })
    const ahead = async (ms: number) =>
      reader.readRecord({ did: await honestRepo((now + ms) * 1000), ...at, budget })
    expect(await ahead(4 * 60_000)).toMatchObject({ ok: true, value: { record } })
    expect(await ahead(5 * 60_000)).toMatchObject({ ok: true, value: { record } })
    expect(await ahead(5 * 60_000 + 1)).toMatchObject({ ok: false, error: 'InvalidProof' })
  })
})

test('bytes and links of a record come as JSON has them', async () => {
  const did = newDid()
  const bytes = randomBytes(4)
  let link = ''
  const proof = await makeProof({ did, key: network.key }, async (add) => {
    const cid = await add({})
    link = cid.toString()
    return add({ l: null, e: [entry(path, await add({ ...record, bytes, link: cid }))] })
  })
  network.register(did, await network.serve((_, response) => response.end(proof)))
  expect(await repos.readRecord({ did, ...at, budget })).toMatchObject({
    value: {
      record: { bytes: { $bytes: bytes.toString('base64').replaceAll('=', '') }, link: { $link: link } },
    },
  })
})

test('a relay, and a PLC directory, that the operator named may be on http and a private address; a PDS may not', async () => {
  const reader = createRepos({
    plcUrl: network.plcUrl,
    handleResolverUrl: undefined,
    local: false,
    signal: stop.signal,
  })
  const relayUrl = await network.serve((_, response) =>
    response.end('{"repos":[{"did":"did:plc:bob"}],"cursor":""}'),
  )
  // An empty cursor ends a list too.
  expect(await reader.listRepos({ relayUrl, collection: home.vote, cursor: undefined, budget })).toEqual({
    ok: true,
    value: { dids: ['did:plc:bob'], cursor: undefined },
  })
  const did = await honestRepo()
  const before = network.asked.length
  expect(await reader.readRecord({ did, ...at, budget })).toMatchObject({ error: 'UpstreamFailure' })
  expect(network.asked.slice(before)).toContain(did)
})

test('one who has a name has one share, however many hosts they give it', async () => {
  const hostOf = async (pds: string) => {
    const did = newDid()
    network.register(did, pds)
    const read = await repos.hostOf({ did, budget })
    return read.ok ? read.value : read.error
  }
  expect(await hostOf('https://1.pds.evil.example')).toBe('evil.example')
  expect(await hostOf('https://2.Evil.example:8443/path')).toBe('evil.example')
  expect(await hostOf('http://127.0.0.2:9')).toBe('127.0.0.2')
  expect(await hostOf('http://[::1]:9')).toBe('[::1]')
  const ofWeb = async (did: string) => repos.hostOf({ did, budget })
  expect(await ofWeb('did:web:1.evil.example%3A9')).toEqual({ ok: true, value: 'evil.example' })
  expect(await ofWeb('did:web:2.evil.example:path')).toEqual({ ok: true, value: 'evil.example' })
  expect(await repos.hostOf({ did: newDid(), budget })).toMatchObject({ error: 'RepoNotFound' })
})
