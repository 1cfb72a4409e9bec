/** The server beside a Jetstream and a relay, both stand-ins: hints are proved, or they leave nothing behind. */
import { families, familyOfPoll, home } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { emptyDatabase } from '../test/database.ts'
import { JetstreamStandIn, commitMessage } from '../test/jetstream-standin.ts'
import { NetworkStandIn, entry, makeProof } from '../test/pds-standin.ts'
import {
  CID,
  T0,
  identityMessage,
  iso,
  pollEvent,
  pollRecordIn,
  pollUri,
  recordMessage,
  voteEvent,
} from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { connectWatcher } from '../test/watcher.ts'
import { readConfig } from './config.ts'
import { createLog } from './log.ts'
import { startServer } from './server.ts'
import { openDatabase } from './store/database.ts'

const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
const collection = tokimeki.votes[0]!.nsid
const rkey = '3kaaaaaaaaaa2'
const didOf = (name: string) => `did:plc:${name.padEnd(24, 'a')}`
const alice = didOf('alice')
const bob = didOf('bob')
const poll = `at://${alice}/${tokimeki.poll}/${rkey}`

let tap: TapStandIn
let jetstream: JetstreamStandIn
let network: NetworkStandIn
let pds: string
/** of the PDS, by at-uri */
let records: Map<string, unknown>
let stop: AbortController
let base: string
let done: Promise<void>
let database: Awaited<ReturnType<typeof emptyDatabase>>

async function start(more: Record<string, string> = {}) {
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: database.url,
    DATABASE_AUTH_TOKEN: database.authToken,
    TAP_URL: tap.url,
    PLC_URL: network.plcUrl,
    JETSTREAM_URL: jetstream.url,
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
    ...more,
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  base = `http://127.0.0.1:${server.port}`
  done = server.done
  if (config.tapUrls.length > 0) await vi.waitUntil(() => tap.connected, 5000)
  if (config.jetstreamUrls.length > 0) await vi.waitUntil(() => jetstream.connected, 5000)
}

async function restart(more: Record<string, string> = {}): Promise<void> {
  stop.abort()
  await done
  await start(more)
}

beforeEach(async () => {
  database = await emptyDatabase()
  records = new Map()
  tap = await TapStandIn.listen()
  jetstream = await JetstreamStandIn.listen()
  network = await NetworkStandIn.start()
  pds = await network.serve(async (request, response) => {
    const query = new URL(request.url!, 'http://pds').searchParams
    const [did, nsid, key] = ['did', 'collection', 'rkey'].map((name) => query.get(name)!)
    const record = records.get(`at://${did}/${nsid}/${key}`)
    const proof = await makeProof({ did: did!, key: network.key }, async (add) =>
      add({ l: null, e: record === undefined ? [] : [entry(`${nsid}/${key}`, await add(record))] }),
    )
    response.end(proof)
  })
  for (const did of [alice, bob]) network.register(did, pds)
  records.set(poll, JSON.parse(JSON.stringify(pollRecordIn(tokimeki, { options: ['yes', 'no'], time: T0 }))))
  await start()
})

afterEach(async () => {
  stop.abort()
  await done
  await tap.close()
  await jetstream.close()
  network.close()
  await database.close()
})

/** Has somebody vote with another app. @returns what Jetstream tells of it */
function voted(did: string, option: number, key = rkey): string {
  const written = { poll: { uri: poll, cid: CID }, choices: [option], createdAt: iso(T0 + 1) }
  const { record } = tokimeki.writeVote(written)[0]!
  records.set(`at://${did}/${collection}/${key}`, record)
  return commitMessage({ did, collection, rkey: key, record })
}

async function ask(uri: string): Promise<PollView> {
  return (await (await fetch(`${base}/api/polls/${encodeURIComponent(uri)}`)).json()) as PollView
}

/** undefined: it can't be had now */
async function counts(): Promise<number[] | undefined> {
  const { options }: Partial<PollView> = await ask(poll)
  return options?.map(({ count }) => count)
}

const measured = async (line: RegExp) =>
  Number(line.exec(await (await fetch(`${base}/metrics`)).text())?.[1] ?? 0)
const read = (outcome: string) =>
  measured(new RegExp(`^pollz_hints_total{outcome="${outcome}"} (\\d+)$`, 'm'))

/** What Jetstream tells of all the time, whoever votes. */
const sign = () =>
  JSON.stringify({ did: alice, time_us: Date.now() * 1000, kind: 'account', account: { active: true } })

/** Where Jetstream was, as it is remembered. */
async function cursor(): Promise<unknown> {
  const client = await openDatabase(database)
  const { rows } = await client.execute(`SELECT value FROM state WHERE name = 'jetstream'`)
  client.close()
  return rows[0]?.['value']
}

async function accounts(): Promise<unknown[]> {
  const client = await openDatabase(database)
  const { rows } = await client.execute('SELECT did FROM accounts ORDER BY did')
  client.close()
  return rows.map((row) => row['did'])
}

test('a voter whom tap does not know is counted at once, by their own record, and tracked from then on', async () => {
  expect(await counts()).toEqual([0, 0])
  const message = voted(bob, 1)
  // What it says of the record is not read.
  jetstream.send(message.replace('"optionIndex":1', '"optionIndex":0'))
  await vi.waitUntil(() => tap.added.has(bob))
  await vi.waitFor(async () => expect(await counts()).toEqual([0, 1]))
  // From here on it is tap that tells.
  jetstream.send(voted(bob, 0))
  const other = didOf('carol')
  network.register(other, pds)
  jetstream.send(voted(other, 1))
  await vi.waitUntil(() => tap.added.has(other))
  await vi.waitFor(async () => expect(await counts()).toEqual([0, 2]))
})

test.each([
  ['a vote', () => recordMessage(voteEvent(bob, pollUri(alice, rkey), 0, T0), 1)],
  ['a poll', () => recordMessage(pollEvent(pollUri(bob, rkey), ['yes', 'no'], T0), 1)],
])(
  'tap is told of an account that was erased, when it is said to do something again: it had %s',
  async (_, message) => {
    tap.send(message(), 1)
    tap.send(identityMessage(bob, 'deleted', undefined, 2), 2)
    await vi.waitUntil(() => tap.acked.has(2))
    jetstream.send(voted(bob, 1))
    await vi.waitUntil(() => tap.added.has(bob))
    // C5: until tap says that it is back.
    expect(await counts()).toEqual([0, 0])
  },
)

test('with no tap every change of a vote is read, deletes too, and every poll says that votes may be missing', async () => {
  await restart({ TAP_URL: '' })
  jetstream.send(voted(bob, 1))
  await vi.waitUntil(async () => (await counts())?.[1] === 1)
  jetstream.send(voted(bob, 0))
  await vi.waitUntil(async () => (await counts())?.[0] === 1)
  expect(await counts()).toEqual([1, 0])
  records.delete(`at://${bob}/${collection}/${rkey}`)
  jetstream.send(commitMessage({ did: bob, collection, rkey, operation: 'delete' }))
  await vi.waitUntil(async () => (await counts())?.[0] === 0)
  const homePoll = `at://${alice}/${home.poll}/${rkey}`
  const family = familyOfPoll.get(home.poll)!
  records.set(homePoll, JSON.parse(JSON.stringify(pollRecordIn(family, { options: ['a', 'b'], time: T0 }))))
  expect(await ask(homePoll)).toMatchObject({ uri: homePoll, incomplete: true })
})

test('a poll that is made elsewhere is there before anybody asks for it', async () => {
  jetstream.send(commitMessage({ did: alice, collection: tokimeki.poll, rkey }))
  await vi.waitUntil(() => tap.added.has(alice))
  expect(await (await fetch(`${base}/api/polls`)).json()).toMatchObject([{ uri: poll }])
})

test('one that lies leaves nothing: no row, nobody tracked, no tally changed', async () => {
  jetstream.send(voted(bob, 1))
  await vi.waitUntil(() => tap.added.has(bob))
  expect(await counts()).toEqual([0, 1])
  const before = await accounts()
  const carol = didOf('carol')
  network.register(carol, pds)
  const made = Array.from({ length: 50 }, (_, i) => didOf(`liar${i}`))
  jetstream.send(
    'nonsense',
    ...made.map((did) => commitMessage({ did, collection, rkey })),
    // She exists, and has never voted.
    commitMessage({ did: carol, collection, rkey }),
    commitMessage({ did: carol, collection: tokimeki.poll, rkey }),
    commitMessage({ did: bob, collection, rkey, operation: 'delete' }),
    commitMessage({ did: 'did:web:127.0.0.1%3A9', collection, rkey }),
    '{"did":"did:plc:bob","time_us":7,"kind":"account","account":{"active":false,"status":"deleted"}}',
  )
  await vi.waitUntil(async () => (await read('absent')) === 2 && (await read('failed')) >= made.length)
  expect(await accounts()).toEqual(before)
  expect([...tap.added].toSorted()).toEqual([alice, bob].toSorted())
  expect(await counts()).toEqual([0, 1])
})

test('a flood of hints that lead to servers that hang delays nobody who asks', async () => {
  let hanging = 0
  const silent = await network.serve(() => void hanging++, '127.0.0.2')
  const made = Array.from({ length: 300 }, (_, i) => didOf(`hangs${String(i).replaceAll('0', 'z')}`))
  for (const did of made) network.register(did, silent)
  jetstream.send(...made.map((did) => commitMessage({ did, collection, rkey })))
  await vi.waitUntil(() => hanging > 0)
  voted(bob, 1)
  const response = await fetch(`${base}/api/votes`, {
    method: 'POST',
    body: JSON.stringify({ uri: `at://${bob}/${collection}/${rkey}` }),
  })
  expect(response.status).toBe(200)
  expect(await measured(/^pollz_waiting_hints (\d+)$/m)).toBeGreaterThan(0)
  // Announced, they are tracked too: tap does not find them by itself.
  await vi.waitUntil(() => tap.added.has(bob))
})

test('a voter’s records for several options are their set, in whatever order they are announced', async () => {
  const redDwarf = familyOfPoll.get('app.reddwarf.embed.poll')!
  const uri = `at://${alice}/${redDwarf.poll}/${rkey}`
  const options = ['a', 'b', 'c', 'd']
  records.set(uri, JSON.parse(JSON.stringify(pollRecordIn(redDwarf, { options, time: T0 }))))
  const choose = (did: string, choices: number[]) => {
    const written = redDwarf.writeVote({ poll: { uri, cid: CID }, choices, createdAt: iso(T0 + 1) })
    for (const { nsid } of redDwarf.votes) records.delete(`at://${did}/${nsid}/${rkey}`)
    for (const it of written) records.set(`at://${did}/${it.collection}/${rkey}`, it.record)
  }
  const announce = async (did: string, ...choices: number[]) => {
    for (const choice of choices) {
      const body = JSON.stringify({ uri: `at://${did}/${redDwarf.votes[choice]!.nsid}/${rkey}` })
      expect((await fetch(`${base}/api/votes`, { method: 'POST', body })).status).toBe(200)
    }
  }
  // They chose a and b; then, while nobody heard of it, b and d.
  const orders = [
    [0, 1, 3],
    [0, 3, 1],
    [1, 0, 3],
    [1, 3, 0],
    [3, 0, 1],
    [3, 1, 0],
  ]
  for (const [n, order] of orders.entries()) {
    const did = didOf(`voter${'abcdef'[n]}`)
    network.register(did, pds)
    choose(did, [0, 1])
    await announce(did, 1, 0)
    choose(did, [1, 3])
    await announce(did, ...order)
    const votes = await fetch(`${base}/api/polls/${encodeURIComponent(uri)}/votes?voter=${did}`)
    expect(await votes.json()).toMatchObject([{ voter: did, options: [1, 3] }])
  }
  expect(await ask(uri)).toMatchObject({
    options: [{ count: 0 }, { count: orders.length }, { count: 0 }, { count: orders.length }],
    voters: orders.length,
  })
})

test('after a restart it goes on where it was, and a new tap is told of everybody', async () => {
  await vi.waitUntil(async () => (await fetch(`${base}/ready`)).ok)
  jetstream.send(voted(bob, 1))
  await vi.waitUntil(() => tap.added.has(bob))
  await vi.waitUntil(async () => (await cursor()) !== undefined, 20_000)
  tap.added.clear()
  await restart()
  expect(Number(jetstream.asked[1]!.get('cursor'))).toBeGreaterThan((Date.now() - 120_000) * 1000)
  await vi.waitUntil(() => tap.added.has(bob))
})

describe('a relay', () => {
  let relay: string
  /** of `collection`, in pages */
  let pages: string[][]
  let asked: string[]

  beforeEach(async () => {
    pages = []
    asked = []
    relay = await network.serve((request, response) => {
      const query = new URL(request.url!, 'http://relay').searchParams
      const at = Number(query.get('cursor') ?? 0)
      asked.push(`${query.get('collection')} ${at}`)
      const named = query.get('collection') === collection ? pages : []
      const body = {
        repos: (named[at] ?? []).map((did) => ({ did })),
        ...(at + 1 < named.length ? { cursor: String(at + 1) } : {}),
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }, '127.0.0.3')
  })

  test('names voters from before, page by page: tap is told of those that it does not track', async () => {
    jetstream.send(voted(bob, 1))
    await vi.waitUntil(() => tap.added.has(bob))
    const voters = Array.from({ length: 130 }, (_, i) => didOf(`voter${String(i).replaceAll('0', 'z')}`))
    pages = [voters.slice(0, 70), [bob, 'nobody'], voters.slice(70)]
    tap.added.clear()
    await restart({ RELAY_URL: relay })
    const told = () => measured(/^pollz_past_voters_total (\d+)$/m)
    await vi.waitUntil(async () => (await told()) === voters.length)
    expect(voters.filter((did) => !tap.added.has(did))).toEqual([])
    expect(tap.added.has('nobody')).toBe(false)
    expect(asked.filter((it) => it.startsWith(collection))).toEqual(
      [0, 1, 2].map((n) => `${collection} ${n}`),
    )
    // It is tap whom their votes come from.
    const [first] = voters as [string]
    const record = records.get(`at://${bob}/${collection}/${rkey}`)
    tap.send(
      recordMessage(
        { did: first, collection, rkey, rev: '3kaaaaaaaaaa2', action: 'create', record, live: false },
        1,
      ),
      1,
    )
    await vi.waitUntil(async () => (await counts())?.[1] === 2)
  })

  test('until it has named all, a poll of another family says that votes may be missing, and so it does while no Jetstream is heard', async () => {
    let answer = () => {}
    const answered = new Promise<void>((resolve) => (answer = resolve))
    const slow = await network.serve(async (request, response) => {
      await answered
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"repos":[]}')
    }, '127.0.0.3')
    await restart({ RELAY_URL: slow })
    const { messages, socket } = await connectWatcher(base)
    socket.send(JSON.stringify({ type: 'watch', uris: [poll] }))
    const said = () => messages.map((it) => it.type === 'snapshot' && it.poll.incomplete)
    await vi.waitUntil(() => said().length > 0)
    expect(said()[0]).toBe(true)
    const listed = async () =>
      ((await (await fetch(`${base}/api/polls`)).json()) as Partial<PollView>[]).map((it) => it.incomplete)
    expect(await listed()).toEqual([true])
    answer()
    jetstream.send(sign())
    // It is told without being asked again.
    await vi.waitUntil(() => said().at(-1) === undefined)
    expect(await listed()).toEqual([undefined])
    socket.terminate()
    await vi.waitUntil(async () => (await cursor()) !== undefined, 20_000)
    await restart({ RELAY_URL: 'http://127.0.0.1:9' })
    // What was named before is known, and what was told meanwhile comes.
    await vi.waitUntil(async () => !('incomplete' in (await ask(poll))))
    expect(await ask(poll)).toMatchObject({ uri: poll })
    // After more than it keeps, the last walk does not name whoever voted meanwhile.
    stop.abort()
    await done
    const past = Date.now() - 10 * 24 * 3_600_000
    const client = await openDatabase(database)
    await client.execute(`UPDATE state SET value = ${past} WHERE name LIKE 'walked %'`)
    await client.execute(`UPDATE state SET value = ${past * 1000} WHERE name LIKE 'jetstream%'`)
    client.close()
    await start({ RELAY_URL: 'http://127.0.0.1:9' })
    jetstream.send(sign())
    await vi.waitUntil(async () => Number(await cursor()) > past * 1000, 20_000)
    expect(await ask(poll)).toMatchObject({ uri: poll, incomplete: true })
  })

  test('whose list leads back to its beginning is left', async () => {
    const liar = await network.serve((request, response) => {
      asked.push(request.url!)
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ repos: [], cursor: request.url!.includes('cursor=a') ? 'b' : 'a' }))
    }, '127.0.0.3')
    await restart({ RELAY_URL: liar })
    const walked = families.flatMap(({ votes }) => votes).length - 1
    await vi.waitUntil(() => asked.length === 3 * walked)
    expect(await counts()).toEqual([0, 0])
    expect(asked).toHaveLength(3 * walked)
  })
})
