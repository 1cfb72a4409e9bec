/** Reading records with their proof, from a real PDS, by a server that has no tap: what is announced, and reconciling. */
import { mkdtempSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Secp256k1Keypair } from '@atproto/crypto'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import { createRepos, verify } from '@pollz/server/ingest/repos'
import { createLog } from '@pollz/server/log'
import { readConfig } from '@pollz/server/config'
import { startServer } from '@pollz/server/server'
import { home } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Account } from './network.ts'

let network: TestNetworkNoAppView
let stop: AbortController
let base: string
let done: Promise<void>
let alice: Account
let bob: Account
let poll: string

async function serve(env: Record<string, string> = {}): Promise<void> {
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: `file:${join(mkdtempSync(join(tmpdir(), 'pollz-proofs-')), 'test.db')}`,
    TAP_URL: '',
    PLC_URL: network.plc.url,
    HANDLE_RESOLVER_URL: network.pds.url,
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
    ...env,
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  base = `http://127.0.0.1:${server.port}`
  done = server.done
}

async function restart(env: Record<string, string> = {}): Promise<void> {
  stop.abort()
  await done
  await serve(env)
}

beforeAll(async () => {
  network = await TestNetworkNoAppView.create({})
  alice = await Account.create(network.pds.url, 'http://127.0.0.1', 'alice.test')
  bob = await Account.create(network.pds.url, 'http://127.0.0.1', 'bob.test')
  poll = await alice.makePoll('Tea?', ['yes', 'no'])
  await serve()
})

afterAll(async () => {
  stop?.abort()
  await done
  await network?.close()
})

async function post(path: string, uri: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${base}${path}`, { method: 'POST', body: JSON.stringify({ uri }) })
  return { status: response.status, body: await response.json() }
}

async function get(uri: string, query = ''): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${base}/api/polls/${encodeURIComponent(uri)}${query}`)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const voteUri = (account: Account) => `at://${account.did}/${home.vote}/${voteRkey(poll)}`
const unvote = (account: Account) =>
  account.agent.com.atproto.repo.deleteRecord({
    repo: account.did,
    collection: home.vote,
    rkey: voteRkey(poll),
  })

describe('a poll nobody has indexed yet', () => {
  test('is read from its PDS when it is asked for, by DID or by handle', async () => {
    expect(await get(poll)).toMatchObject({ status: 200, body: { uri: poll, text: 'Tea?', total: 0 } })
    expect(await get(poll.replace(alice.did, alice.handle))).toMatchObject({ body: { uri: poll } })
  })

  test('that is not there is 404, an account that is not there too', async () => {
    expect((await get(`at://${alice.did}/${home.poll}/3kaaaaaaaaaa2`)).status).toBe(404)
    expect((await get(`at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/${home.poll}/3kaaaaaaaaaa2`)).status).toBe(404)
    expect((await get(`at://nobody.test/${home.poll}/3kaaaaaaaaaa2`)).status).toBe(404)
  })
})

describe('a vote that is announced', () => {
  test('is counted at once, changed at once, taken back at once', async () => {
    await bob.vote(poll, 1)
    expect(await post('/api/votes', voteUri(bob))).toMatchObject({
      status: 200,
      body: { uri: poll, total: 1, options: [{ count: 0 }, { count: 1 }] },
    })
    await bob.vote(poll, 0)
    expect((await post('/api/votes', voteUri(bob))).body).toMatchObject({
      options: [{ count: 1 }, { count: 0 }],
    })
    await unvote(bob)
    // Proven absent.
    expect((await post('/api/votes', voteUri(bob))).body).toMatchObject({ uri: poll, total: 0 })
  })

  test('that never was is refused, and so is what names no vote', async () => {
    expect((await post('/api/votes', voteUri(alice))).status).toBe(404)
    expect((await post('/api/votes', poll)).status).toBe(400)
    expect((await post('/api/votes', 'https://example.com')).status).toBe(400)
  })

  test('an announced poll is read anew', async () => {
    const uri = await alice.makePoll('Sugar?', ['one', 'two', 'three'])
    expect(await post('/api/polls', uri)).toMatchObject({ status: 200, body: { uri, text: 'Sugar?' } })
  })
})

describe('a proof', () => {
  const at = () => ({ did: alice.did, collection: home.poll, rkey: poll.split('/')[4]! })
  async function car(rkey = at().rkey): Promise<Uint8Array> {
    const query = new URLSearchParams({ ...at(), rkey })
    const response = await fetch(`${network.pds.url}/xrpc/com.atproto.sync.getRecord?${query}`)
    return new Uint8Array(await response.arrayBuffer())
  }
  const key = async () => (await network.pds.ctx.actorStore.keypair(alice.did)).did()

  test('proves the record, or its absence, as of the commit’s rev', async () => {
    const { rev } = (await alice.agent.com.atproto.sync.getLatestCommit({ did: alice.did })).data
    expect(await verify(await car(), at(), await key())).toMatchObject({ rev, record: { text: 'Tea?' } })
    const absent = { ...at(), rkey: '3kaaaaaaaaaa2' }
    expect(await verify(await car(absent.rkey), absent, await key())).toMatchObject({ rev, record: null })
  })

  test('by another key, of another repo, of another record or with a changed byte proves nothing', async () => {
    const other = (await Secp256k1Keypair.create()).did()
    const bytes = await car()
    await expect(verify(bytes, at(), other)).rejects.toThrow('signature')
    await expect(verify(bytes, { ...at(), did: bob.did }, await key())).rejects.toThrow('did')
    const text = Buffer.from(bytes).indexOf('Tea?')
    const changed = Uint8Array.from(bytes)
    changed[text]! ^= 1
    await expect(verify(changed, at(), await key())).rejects.toThrow(/./)
    await expect(verify(new Uint8Array(10), at(), await key())).rejects.toThrow(/./)
    // A proof of one record's absence is none of another's.
    await expect(verify(bytes.slice(0, bytes.length / 2), at(), await key())).rejects.toThrow(/./)
  })

  test('a PDS that lies is refused with 502 and counts nothing', async () => {
    const mallory = await Account.create(network.pds.url, 'http://127.0.0.1', 'mallory.test')
    await mallory.vote(poll, 1)
    // It serves Mallory's repo, with option 0 where the record says 1.
    const liar: Server = createServer(async (request, response) => {
      const honest = await fetch(`${network.pds.url}${request.url}`)
      const body = Buffer.from(await honest.arrayBuffer())
      const option = body.indexOf(Buffer.from('\x66option\x01', 'latin1'))
      if (option !== -1) body[option + 7] = 0
      response
        .writeHead(honest.status, { 'content-type': honest.headers.get('content-type') ?? '' })
        .end(body)
    })
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve))
    const { ctx } = network.pds
    const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
    await ctx.plcClient.updatePds(mallory.did, ctx.plcRotationKey, url)
    const before = (await get(poll)).body['total']
    expect(await post('/api/votes', voteUri(mallory))).toMatchObject({
      status: 502,
      body: { error: 'InvalidProof' },
    })
    expect((await get(poll)).body['total']).toBe(before)
    liar.close()
  })
})

describe('C10 reconcile', () => {
  test('?verify=true heals a delete and an edit that nobody told of', async () => {
    const carol = await Account.create(network.pds.url, 'http://127.0.0.1', 'carol.test')
    for (const voter of [bob, carol]) {
      await voter.vote(poll, 1)
      await post('/api/votes', voteUri(voter))
    }
    expect((await get(poll)).body).toMatchObject({ options: [{ count: 0 }, { count: 2 }] })
    await unvote(bob)
    await carol.vote(poll, 0)
    expect((await get(poll, '?verify=true')).body).toMatchObject({
      options: [{ count: 1 }, { count: 0 }],
      verified: { read: 3, failed: 0, complete: true },
    })
  })

  test('the background job heals deletes, edits and records it never heard of', async () => {
    const voters = await Promise.all(
      ['dan', 'erin', 'frank'].map((name) =>
        Account.create(network.pds.url, 'http://127.0.0.1', `${name}.test`),
      ),
    )
    const [dan, erin, frank] = voters as [Account, Account, Account]
    await restart({ RECONCILE_PAUSE: '20' })
    await get(poll)
    for (const voter of voters) {
      await voter.vote(poll, 1)
      await post('/api/votes', voteUri(voter))
    }
    expect((await get(poll)).body).toMatchObject({ options: [{ count: 0 }, { count: 3 }] })
    await unvote(dan)
    await erin.vote(poll, 0)
    const second = await alice.makePoll('Milk?', ['yes', 'no'])
    await frank.vote(second, 0)
    await vi.waitFor(
      async () => {
        expect((await get(poll)).body).toMatchObject({ options: [{ count: 1 }, { count: 1 }] })
        expect((await get(second)).body).toMatchObject({ options: [{ count: 1 }, { count: 0 }] })
      },
      { timeout: 10_000 },
    )
  })
})

test('a server that is not local reads nothing from its own network', async () => {
  let asked = 0
  const inside = createServer((_, response) => {
    asked++
    response.end('{}')
  })
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve))
  const { port } = inside.address() as AddressInfo
  const repos = createRepos({ plcUrl: 'https://plc.directory', handleResolverUrl: undefined, local: false })
  for (const host of [
    `localhost%3A${port}`,
    '127.0.0.1',
    `127.0.0.1%3A${port}`,
    '169.254.169.254',
    '10.0.0.1',
  ]) {
    const read = await repos.readRecord(`did:web:${host}`, home.vote, 'x')
    expect(read.ok).toBe(false)
  }
  expect(asked).toBe(0)
  inside.close()
})
