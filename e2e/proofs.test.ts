/** Reading records with their proof, from a real PDS, by a server that has no tap: what is announced, and reconciling. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Secp256k1Keypair } from '@atproto/crypto'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import { unlimited } from '@pollz/server/ingest/budget'
import { createRepos, verify } from '@pollz/server/ingest/repos'
import { createLog } from '@pollz/server/log'
import { readConfig } from '@pollz/server/config'
import { openDatabase } from '@pollz/server/store/database'
import { startServer } from '@pollz/server/server'
import { home } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { identityMessage, recordMessage, voteEvent } from '../server/test/records.ts'
import { TapStandIn } from '../server/test/tap-standin.ts'
import { Account } from './network.ts'

let network: TestNetworkNoAppView
let stop: AbortController
let base: string
/** Of the database of the server that runs. */
let databaseUrl: string
let done: Promise<void>
let alice: Account
let bob: Account
let poll: string

async function serve(env: Record<string, string> = {}): Promise<void> {
  stop = new AbortController()
  databaseUrl = env['DATABASE_URL'] ?? `file:${join(mkdtempSync(join(tmpdir(), 'pollz-proofs-')), 'test.db')}`
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: databaseUrl,
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

async function post(
  path: string,
  uri: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${base}${path}`, { method: 'POST', headers, body: JSON.stringify({ uri }) })
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
    expect(await verify({ car: await car(), at: at(), key: await key() })).toMatchObject({
      rev,
      record: { text: 'Tea?' },
    })
    const absent = { ...at(), rkey: '3kaaaaaaaaaa2' }
    expect(await verify({ car: await car(absent.rkey), at: absent, key: await key() })).toMatchObject({
      rev,
      record: null,
    })
  })

  test('by another key, of another repo, of another record or with a changed byte proves nothing', async () => {
    const other = (await Secp256k1Keypair.create()).did()
    const bytes = await car()
    await expect(verify({ car: bytes, at: at(), key: other })).rejects.toThrow('signature')
    await expect(verify({ car: bytes, at: { ...at(), did: bob.did }, key: await key() })).rejects.toThrow(
      'did',
    )
    const text = Buffer.from(bytes).indexOf('Tea?')
    const changed = Uint8Array.from(bytes)
    changed[text]! ^= 1
    await expect(verify({ car: changed, at: at(), key: await key() })).rejects.toThrow(/./)
    await expect(verify({ car: new Uint8Array(10), at: at(), key: await key() })).rejects.toThrow(/./)
    // A proof of one record's absence is none of another's.
    await expect(
      verify({ car: bytes.slice(0, bytes.length / 2), at: at(), key: await key() }),
    ).rejects.toThrow(/./)
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

test('C10: a round lists only what a repo has, and heals what it has no more of', async () => {
  const quinn = await Account.create(network.pds.url, 'http://127.0.0.1', 'quinn.test')
  await quinn.vote(poll, 1)
  await restart()
  await get(poll)
  await post('/api/votes', voteUri(quinn))
  expect((await get(poll)).body['total']).toBe(1)
  await unvote(quinn)
  const listed = new Set<string>()
  const onRequest = (message: unknown) => {
    const url = new URL((message as { request: { path: string } }).request.path, 'http://pds')
    if (url.pathname.endsWith('listRecords')) listed.add(url.searchParams.get('collection')!)
  }
  subscribe('undici:request:create', onRequest)
  const env = { RECONCILE_PAUSE: '20', DATABASE_URL: databaseUrl }
  await restart(env)
  await vi.waitFor(async () => expect((await get(poll)).body['total']).toBe(0), { timeout: 10_000 })
  // Alice has polls of our own family, and nobody has anything of another.
  await vi.waitUntil(() => listed.has(home.poll), { timeout: 10_000 })
  unsubscribe('undici:request:create', onRequest)
  expect([...listed].filter((it) => it !== home.poll && it !== home.vote)).toEqual([])
  await restart()
})

test('C10: the server checks polls of its own, and heals what it has missed', async () => {
  const ruth = await Account.create(network.pds.url, 'http://127.0.0.1', 'ruth.test')
  await restart({ SELF_CHECK_PAUSE: '50' })
  await get(poll)
  await ruth.vote(poll, 1)
  await post('/api/votes', voteUri(ruth))
  const checked = async () =>
    Object.fromEntries(
      (await (await fetch(`${base}/metrics`)).text())
        .matchAll(/^pollz_self_checks_total\{verdict="(\w+)"\} (\d+)$/gm)
        .map(([, verdict, n]) => [verdict, Number(n)]),
    ) as Partial<Record<string, number>>
  await vi.waitUntil(async () => ((await checked())['right'] ?? 0) > 1, { timeout: 20_000 })
  expect((await checked())['wrong']).toBeUndefined()
  // Nobody tells it.
  await unvote(ruth)
  await vi.waitFor(async () => expect((await get(poll)).body['total']).toBe(0), { timeout: 20_000 })
  const after = (await checked())['right'] ?? 0
  // A poll without votes is none to check, so one that has some is.
  await ruth.vote(poll, 0)
  await post('/api/votes', voteUri(ruth))
  await vi.waitUntil(async () => ((await checked())['right'] ?? 0) > after, { timeout: 20_000 })
  expect((await checked())['wrong']).toBeGreaterThan(0)
  await unvote(ruth)
  await post('/api/votes', voteUri(ruth))
  await restart()
})

const newAccount = (name: string) => Account.create(network.pds.url, 'http://127.0.0.1', `${name}.test`)

/** By the PDS's operator. */
const setTakenDown = (did: string, applied: boolean) =>
  alice.agent.com.atproto.admin.updateSubjectStatus(
    { subject: { $type: 'com.atproto.admin.defs#repoRef', did }, takedown: { applied, ref: 'test' } },
    { headers: network.pds.adminAuthHeaders(), encoding: 'application/json' },
  )
const deleteAccount = (did: string) =>
  alice.agent.com.atproto.admin.deleteAccount(
    { did },
    { headers: network.pds.adminAuthHeaders(), encoding: 'application/json' },
  )

/** Names a repo in the PLC directory whose PDS is somewhere. */
async function registerAt(pds: string, handle: string): Promise<string> {
  const { plcClient, plcRotationKey } = network.pds.ctx
  const signingKey = (await Secp256k1Keypair.create()).did()
  const rotationKeys = [plcRotationKey.did()]
  return plcClient.createDid({ signingKey, handle, pds, rotationKeys, signer: plcRotationKey })
}

async function rows(sql: string, ...args: (string | number)[]): Promise<unknown[][]> {
  const client = await openDatabase({ url: databaseUrl, authToken: undefined })
  const result = await client.execute({ sql, args })
  client.close()
  return result.rows.map((row) => Object.values(row))
}

async function listen(server: Server, host = '127.0.0.1'): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('the status of an account is what its PDS says, or who knows that there is none', async () => {
  const end = new AbortController()
  const repos = createRepos({
    plcUrl: network.plc.url,
    handleResolverUrl: network.pds.url,
    local: true,
    signal: end.signal,
  })
  const status = (did: string) => repos.status({ did, budget: unlimited('test') })
  const is = (value: string) => ({ ok: true, value: { status: value } })
  const isGone = (gone: string) => ({ ok: false, error: 'RepoNotFound', gone })
  const { plcClient, plcRotationKey } = network.pds.ctx

  const grace = await newAccount('grace')
  expect(await status(grace.did)).toEqual(is('active'))
  await grace.agent.com.atproto.server.deactivateAccount({})
  expect(await status(grace.did)).toEqual(is('deactivated'))
  await grace.agent.com.atproto.server.activateAccount()
  expect(await status(grace.did)).toEqual(is('active'))
  await setTakenDown(grace.did, true)
  expect(await status(grace.did)).toEqual(is('takendown'))
  await setTakenDown(grace.did, false)
  expect(await status(grace.did)).toEqual(is('active'))

  // Its document is known, and leads to where it was.
  const other = await listen(
    createServer((_, response) => response.writeHead(400).end('{"error":"RepoNotFound"}')).unref(),
  )
  await plcClient.updatePds(grace.did, plcRotationKey, other)
  expect(await status(grace.did)).toMatchObject(isGone('NotHosted'))
  await plcClient.updatePds(grace.did, plcRotationKey, network.pds.url)
  await deleteAccount(grace.did)
  expect(await status(grace.did)).toMatchObject(isGone('NotHosted'))
  await plcClient.tombstone(grace.did, plcRotationKey)
  // This PLC directory answers 404, the public one 410.
  expect(await status(grace.did)).toMatchObject(isGone('DidNotFound'))
  expect(await status('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa')).toMatchObject(isGone('DidNotFound'))
  end.abort()
})

describe('C5 what nobody told of', () => {
  let tap: TapStandIn
  let next = 1
  /** DIDs in the order in which PDSes were asked for their status. */
  const asked: string[] = []
  const onRequest = (message: unknown) => {
    const { path } = (message as { request: { path: string } }).request
    const did = /getRepoStatus\?did=([^&]*)/.exec(path)?.[1]
    if (did !== undefined) asked.push(decodeURIComponent(did))
  }
  async function deliver(...messages: ((id: number) => string)[]): Promise<void> {
    const ids = messages.map((message) => {
      tap.send(message(next), next)
      return next++
    })
    await vi.waitUntil(() => ids.every((id) => tap.acked.has(id)), 5_000)
  }
  const withTap = async (env: Record<string, string>) => {
    tap.added.clear()
    tap.removed.clear()
    await restart({ TAP_URL: tap.url, ...env })
    await vi.waitUntil(() => tap.connected, 5_000)
  }
  const counts = async () => (await get(poll)).body['total']
  const becomes = (total: number) => vi.waitUntil(async () => (await counts()) === total, 10_000)
  const statusOf = async (did: string) =>
    (await rows('SELECT status FROM accounts WHERE did = ?', did))[0]?.[0]

  beforeAll(async () => {
    tap = await TapStandIn.listen()
    subscribe('undici:request:create', onRequest)
  })
  afterAll(async () => {
    unsubscribe('undici:request:create', onRequest)
    await restart()
    await tap.close()
  })

  test('an account that is active on its PDS becomes active, one that is not stops counting', async () => {
    const [heidi, ivan, judy] = await Promise.all(['heidi', 'ivan', 'judy'].map(newAccount))
    // Nothing is asked by itself yet.
    await withTap({})
    await get(poll)
    for (const voter of [heidi!, ivan!, judy!]) {
      await voter.vote(poll, 1)
      await post('/api/votes', voteUri(voter))
    }
    await deliver((id) => identityMessage(heidi!.did, 'deactivated', 'heidi.test', id))
    await becomes(2)
    await ivan!.agent.com.atproto.server.deactivateAccount({})
    await deleteAccount(judy!.did)
    expect(await counts()).toBe(2)

    asked.length = 0
    await withTap({ DATABASE_URL: databaseUrl, RECONCILE_PAUSE: '20' })
    await becomes(1)
    await vi.waitUntil(async () => (await statusOf(judy!.did)) === 'deleted', 10_000)
    expect(await statusOf(heidi!.did)).toBe('active')
    expect(await statusOf(ivan!.did)).toBe('deactivated')
    const votes = 'SELECT count(*) FROM votes v JOIN accounts a ON a.id = v.voter WHERE a.did = ?'
    expect(await rows(votes, judy!.did)).toEqual([[0]])
    // It was asked a second time not at once, but when it was its turn again.
    const first = asked.indexOf(judy!.did)
    const second = asked.indexOf(judy!.did, first + 1)
    expect(asked.slice(first + 1, second)).toContain(alice.did)
    // What is only not active is kept for its return.
    expect(await rows(votes, ivan!.did)).toEqual([[1]])
    await ivan!.agent.com.atproto.server.activateAccount()
    await becomes(2)
  })

  test('where it was is remembered over a restart', async () => {
    await withTap({ RECONCILE_PAUSE: '0' })
    await get(poll)
    for (const name of ['kim', 'nina', 'oscar']) {
      const voter = await newAccount(name)
      await voter.vote(poll, 0)
      await post('/api/votes', voteUri(voter))
    }
    const order = (await rows('SELECT did FROM accounts ORDER BY id')).flat()
    expect(order).toHaveLength(4)

    asked.length = 0
    await withTap({ DATABASE_URL: databaseUrl, RECONCILE_PAUSE: '300' })
    await vi.waitUntil(() => asked.length === 2, { timeout: 10_000, interval: 5 })
    await withTap({ DATABASE_URL: databaseUrl, RECONCILE_PAUSE: '300' })
    await vi.waitUntil(() => asked.includes(order[3] as string), { timeout: 10_000, interval: 5 })
    // The second may not have been written down in time.
    expect([order, order.toSpliced(2, 0, order[1])]).toContainEqual(asked)
  })

  test('the author of a poll that was proved not to exist is tracked no longer', async () => {
    await withTap({ RECONCILE_PAUSE: '20' })
    const leo = await newAccount('leo')
    const absent = `at://${leo.did}/${home.poll}/3kaaaaaaaaaa2`
    await deliver((id) => recordMessage(voteEvent(bob.did, absent, 0, Date.now() * 1000 - 1e6), id))
    await vi.waitUntil(() => tap.added.has(leo.did), 5_000)
    await vi.waitUntil(() => tap.removed.has(leo.did), 10_000)
    // Nor is one who never was.
    const nobody = 'did:plc:cccccccccccccccccccccccc'
    const ofNobody = `at://${nobody}/${home.poll}/3kaaaaaaaaaa2`
    await deliver((id) => recordMessage(voteEvent(bob.did, ofNobody, 0, Date.now() * 1000 - 1e6), id))
    await vi.waitUntil(() => tap.added.has(nobody), 5_000)
    await vi.waitUntil(() => tap.removed.has(nobody), 20_000)
    // Who has votes of their own, or a poll that is there, is not let go of.
    await get(poll)
    await vi.waitUntil(() => tap.added.has(alice.did), 5_000)
    expect(tap.removed.has(alice.did)).toBe(false)
    // tap forgets whom it says to be deleted: one who is back is tracked anew.
    tap.added.clear()
    await deliver((id) => identityMessage(alice.did, 'deleted', 'handle.invalid', id))
    await vi.waitUntil(() => tap.added.has(alice.did), 10_000)
    expect(await get(poll)).toMatchObject({ status: 200, body: { text: 'Tea?' } })
  })

  test('nothing anonymous leaves a row or a tracked repo, a real poll does', async () => {
    await withTap({ RECONCILE_PAUSE: '0', READS_PER_MINUTE: '0' })
    const made = Array.from(
      { length: 50 },
      (_, i) => `did:plc:${String(i).replace(/[01]/g, 'x').padStart(24, 'b')}`,
    )
    const real = [alice, bob].map(({ did }) => did)
    await Promise.all(
      [...made, ...real, 'did:web:127.0.0.1%3A9'].flatMap((did) => {
        const uri = `at://${did}/${home.poll}/3kaaaaaaaaaa3`
        return [
          get(uri).then(({ status }) => expect(status).toBeGreaterThanOrEqual(404)),
          post('/api/polls', uri),
          post('/api/votes', `at://${did}/${home.vote}/3kaaaaaaaaaa3`),
          get(uri, '?verify=true'),
        ]
      }),
    )
    const held = () =>
      rows(
        'SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM polls), (SELECT count(*) FROM votes)',
      )
    expect(await held()).toEqual([[0, 0, 0]])
    await post('/api/polls', poll)
    await vi.waitUntil(() => tap.added.size > 0, 5_000)
    expect([...tap.added]).toEqual([alice.did])
    expect(await held()).toEqual([[1, 1, 0]])
  })

  test('a view of a poll by a handle that tap told of costs nothing', async () => {
    await withTap({ RECONCILE_PAUSE: '0', READS_PER_MINUTE: '1' })
    await get(poll)
    await deliver((id) => identityMessage(alice.did, 'active', alice.handle, id))
    const byHandle = poll.replace(alice.did, alice.handle)
    for (let i = 0; i < 20; i++) expect((await get(byHandle)).status).toBe(200)
    // There is nothing left for what is not known.
    expect((await get(`at://nobody.test/${home.poll}/3kaaaaaaaaaa2`)).status).toBe(429)
  })
})

test('an announcement is answered while 64 others hang', async () => {
  await restart({ CLIENT_ADDRESS_HEADER: 'x-client' })
  let asked = 0
  const silent = createServer(() => asked++)
  await listen(silent, '0.0.0.0')
  const { port } = silent.address() as AddressInfo
  // A host for each of the first half, one for all of the second.
  const dids = await Promise.all(
    Array.from({ length: 64 }, (_, i) =>
      registerAt(`http://127.0.0.${i < 32 ? 10 + i : 9}:${port}`, `silent${i}.test`),
    ),
  )
  const mia = await newAccount('mia')
  await mia.vote(poll, 0)
  await get(poll)
  const announce = async () => {
    const began = performance.now()
    expect((await post('/api/votes', voteUri(mia), { 'x-client': '192.0.2.1' })).status).toBe(200)
    return performance.now() - began
  }
  await announce()
  const alone = await announce()
  let answered = 0
  const hanging = dids.map((did, i) =>
    post('/api/votes', `at://${did}/${home.vote}/3kaaaaaaaaaa2`, { 'x-client': `198.51.100.${i}` }).finally(
      () => answered++,
    ),
  )
  await vi.waitUntil(() => asked === 32 + 16, 5_000)
  const beside = await announce()
  expect(answered).toBe(0)
  console.log(`an announcement: ${alone.toFixed(1)} ms, beside 64 that hang ${beside.toFixed(1)} ms`)
  silent.closeAllConnections()
  silent.close()
  await restart()
  await Promise.allSettled(hanging)
})
