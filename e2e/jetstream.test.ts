/** The real Jetstream, where a `jetstream` command is on the PATH, beside the real tap and PDS: nobody is missed. */
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { delimiter, join } from 'node:path'
import { openDatabase } from '@pollz/server/store/database'
import { stateOf } from '@pollz/server/store/queries'
import { familyOfPoll, type Family } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pollRecordIn } from '../server/test/records.ts'
import { freePort, startNetwork, type Account, type Network } from './network.ts'
import { start, until, type Started } from './processes.ts'

const tap = process.env['POLLZ_TAP']
const isThere = process.env['PATH']!.split(delimiter).some((folder) => existsSync(join(folder, 'jetstream')))

const families = ['tech.tokimeki.poll.poll', 'pub.leaflet.poll.definition', 'app.reddwarf.embed.poll'].map(
  (nsid) => familyOfPoll.get(nsid)!,
)
const tokimeki = families[0]!

/**
 * The PLC directory of the local network has keys in a form that is older than what plc.directory serves, and that
 * Jetstream does not know.
 */
async function servePlcAsMultikey(plcUrl: string, port: number): Promise<Server> {
  const server = createServer(async (request, response) => {
    const answer = await fetch(new URL(request.url!, plcUrl))
    const text = await answer.text()
    const type = answer.headers.get('content-type') ?? ''
    if (!text.includes('verificationMethod"'))
      return void response.writeHead(answer.status, { 'content-type': type }).end(text)
    const document = JSON.parse(text) as { id: string; verificationMethod: object[] }
    const data = await fetch(new URL(`/${document.id}/data`, plcUrl))
    const { verificationMethods } = (await data.json()) as { verificationMethods: { atproto: string } }
    document.verificationMethod = [
      {
        id: `${document.id}#atproto`,
        type: 'Multikey',
        controller: document.id,
        publicKeyMultibase: verificationMethods.atproto.replace('did:key:', ''),
      },
    ]
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(document))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return server
}

describe.skipIf(!tap || !isThere)('with the real Jetstream', () => {
  const stop = new AbortController()
  let network: Network
  let plc: Server
  let jetstream: Started
  let jetstreamPort: number
  let plcPort: number
  let alice: Account
  const stopJetstream = new AbortController()

  async function startJetstream(): Promise<void> {
    const command = ['jetstream', 'serve', '--addr', `127.0.0.1:${jetstreamPort}`, '--debug-addr', '']
    command.push('--relay-url', network.pdsUrl, '--plc-url', `http://127.0.0.1:${plcPort}`)
    command.push('--data-dir', join(network.folder, 'jetstream'), '--backfill-repos', alice.did)
    jetstream = start(command, {}, join(network.folder, 'jetstream.log'), stopJetstream.signal)
    await until(`Jetstream (log: ${network.folder}/jetstream.log)`, async () =>
      /^pollz_jetstream 1$/m.test(await (await fetch(`${network.serverUrl}/metrics`)).text()),
    )
  }

  beforeAll(async () => {
    jetstreamPort = await freePort(0)
    plcPort = await freePort(0)
    network = await startNetwork({
      ports: { plc: 0, pds: 0, tap: 0, server: 0 },
      tap: JSON.parse(tap!) as string[],
      environment: { JETSTREAM_URL: `ws://127.0.0.1:${jetstreamPort}` },
      say: () => {},
      signal: stop.signal,
    })
    plc = await servePlcAsMultikey(network.plcUrl, plcPort)
    alice = await network.createAccount('alice.test')
    await startJetstream()
  })

  afterAll(async () => {
    stopJetstream.abort()
    await jetstream?.ended
    stop.abort()
    await network?.done
    plc?.close()
  })

  const put = (by: Account, collection: string, rkey: string, record: object) =>
    by.agent.com.atproto.repo.putRecord({
      repo: by.did,
      collection,
      rkey,
      validate: false,
      record: JSON.parse(JSON.stringify(record)) as Record<string, unknown>,
    })

  /** @returns the poll's at-uri and cid */
  async function makePoll(family: Family): Promise<{ uri: string; cid: string }> {
    const time = Date.now() * 1000
    const record = pollRecordIn(family, { options: ['yes', 'no'], time })
    return (await put(alice, family.poll, tid(time), record)).data
  }

  /** As the clients of the family do it. */
  async function vote(by: Account, family: Family, poll: { uri: string; cid: string }, option: number) {
    const now = Date.now()
    const draft = { poll, choices: [option], createdAt: new Date(now).toISOString() }
    for (const { collection, record } of family.writeVote(draft))
      await put(by, collection, tid(now * 1000), record)
  }

  async function counts(uri: string): Promise<number[] | undefined> {
    const response = await fetch(`${network.serverUrl}/api/polls/${encodeURIComponent(uri)}`)
    const { options } = (await response.json()) as { options?: { count: number }[] }
    return options?.map(({ count }) => count)
  }

  /** As long as it takes to read a voter a third time: on a machine that is busy a proof may come too late. */
  const PATIENCE = 100_000
  const shows = (uri: string, expected: number[]) =>
    until(`${uri}: ${expected.join()}`, async () => (await counts(uri))?.join() === expected.join(), PATIENCE)

  const isTracked = async (did: string) => {
    const response = await fetch(`${network.tapUrl}/info/${did}`)
    return response.ok && ((await response.json()) as { state: string }).state === 'active'
  }

  test.each(families)(
    '$poll: who never voted here is counted within seconds, and tracked',
    async (family) => {
      const name = family.poll.split('.')[1]!
      const voter = await network.createAccount(`voter-${name}.test`)
      const poll = await makePoll(family)
      expect(await counts(poll.uri)).toEqual([0, 0])
      expect(await isTracked(voter.did)).toBe(false)
      const voted = performance.now()
      await vote(voter, family, poll, 1)
      await shows(poll.uri, [0, 1])
      console.log(`${family.poll}: ${Math.round(performance.now() - voted)} ms from the vote to its count`)
      await until('tap tracks the voter', () => isTracked(voter.did))
      // The next one comes through tap.
      const second = await makePoll(family)
      await vote(voter, family, second, 0)
      await shows(second.uri, [1, 0])
    },
  )

  test('who votes while the server is away is counted when it is back', async () => {
    const voter = await network.createAccount('meanwhile.test')
    const poll = await makePoll(tokimeki)
    expect(await counts(poll.uri)).toEqual([0, 0])
    const database = await openDatabase({ url: `file:${network.folder}/pollz.db`, authToken: undefined })
    await until('it has remembered where Jetstream was', () => stateOf(database, 'jetstream'))
    database.close()
    await network.killServer()
    await vote(voter, tokimeki, poll, 1)
    expect(await isTracked(voter.did)).toBe(false)
    await network.startServer()
    await shows(poll.uri, [0, 1])
    await until('tap tracks the voter', () => isTracked(voter.did))
  })
})
