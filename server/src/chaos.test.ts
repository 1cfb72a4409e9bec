/**
 * The real server process under `kill -9`: 50,000 events, killed at random at least 20 times. Whatever was acked has to
 * be in the database at once, the tallies have to equal a recount, and in the end everything is counted as the oracle
 * counts it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { emptyDatabase } from '../test/database.ts'
import { Oracle } from '../test/oracle.ts'
import { T0, identityMessage, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { readEvent, type Change } from './ingest/events.ts'
import { openDatabase, type DatabaseOptions } from './store/database.ts'
import { findPoll } from './store/queries.ts'
import { recount } from './store/recount.ts'

const EVENTS = 50_000
const KILLS = 20
const VOTERS = 3000
const POLLS = 60
/** Events under way at once, as with the real tap. */
const WINDOW = 4000

const main = join(import.meta.dirname, 'main.ts')

let server: ChildProcess | undefined

function startServer({ url, authToken = '' }: DatabaseOptions, tapUrl: string): ChildProcess {
  return spawn('node', [main], {
    env: {
      ...process.env,
      PORT: '0',
      HOST: '127.0.0.1',
      DATABASE_URL: url,
      DATABASE_AUTH_TOKEN: authToken,
      TAP_URL: tapUrl,
      LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

afterEach(() => server?.kill('SIGKILL'))

const random = (below: number) => Math.floor(Math.random() * below)

test(`nothing acked is missing after ${KILLS} kills in ${EVENTS} events`, { timeout: 300_000 }, async () => {
  const database = await emptyDatabase()
  const tap = await TapStandIn.listen()
  const oracle = new Oracle()
  const polls = Array.from({ length: POLLS }, (_, i) => pollUri(`did:plc:author${i % 20}`, `poll${i}`))
  /** By id, what was sent. */
  const changes: Change[] = []
  const busy = new Set<string>()

  /** The next event; of one account none while another of it is under way, as tap does it. */
  function sendNext(): void {
    const id = changes.length
    let message: string
    let did: string
    do did = `did:plc:voter${random(VOTERS)}`
    while (busy.has(did))
    const time = T0 + id * 1000
    const kind = Math.random()
    if (id < POLLS) message = recordMessage(pollEvent(polls[id]!, ['a', 'b', 'c'], time), id)
    else if (kind < 0.02)
      message = identityMessage(did, Math.random() < 0.5 ? 'active' : 'deactivated', '', id)
    else {
      const option = kind < 0.07 ? null : random(4)
      const rkey = kind < 0.2 ? { rkey: `own${random(3)}` } : {}
      message = recordMessage(voteEvent(did, polls[random(POLLS)]!, option, time, rkey), id)
    }
    const change = readEvent(message).change!
    changes.push(change)
    oracle.deliver(change)
    busy.add(change.did)
    tap.send(message, id)
  }
  tap.onAck = (id) => {
    busy.delete(changes[id]!.did)
    if (changes.length < EVENTS) sendNext()
  }
  for (let i = 0; i < WINDOW / 2; i++) sendNext()

  /** Every acked version, or a newer one of the same record, is in the database. */
  async function checkAcked(): Promise<void> {
    const client = await openDatabase(database)
    const { rows } = await client.execute(`
      SELECT a.did || ' ' || CASE v.rkey WHEN '' THEN p.vote_rkey ELSE v.rkey END AS record, v.rev
      FROM votes v JOIN accounts a ON a.id = v.voter LEFT JOIN polls p ON p.id = v.poll`)
    const stored = new Map(rows.map((row) => [row['record'], String(row['rev'])]))
    const missing = [...tap.acked].filter((id) => {
      const change = changes[id]!
      return change.type === 'vote' && !((stored.get(`${change.did} ${change.rkey}`) ?? '') >= change.rev)
    })
    expect(missing).toEqual([])
    expect(await recount(client)).toEqual([])
    client.close()
  }

  let kills = 0
  while (kills < KILLS) {
    server = startServer(database, tap.url)
    const acked = tap.acked.size
    // Now and then at once, while it starts or takes its first batch.
    const enough = acked + random((2 * (EVENTS - acked)) / (KILLS - kills + 2))
    await vi.waitUntil(() => tap.acked.size >= enough, { timeout: 30_000, interval: 1 })
    const ended = new Promise((resolve) => server!.once('exit', resolve))
    server.kill('SIGKILL')
    await ended
    kills++
    await vi.waitUntil(() => !tap.connected, 5000)
    await checkAcked()
  }
  server = startServer(database, tap.url)
  await vi.waitUntil(() => tap.connected && tap.acked.size === EVENTS, { timeout: 60_000, interval: 5 })

  const ended = new Promise((resolve) => server!.once('exit', resolve))
  server.kill('SIGTERM')
  expect(await ended).toBe(0)
  await checkAcked()
  const client = await openDatabase(database)
  for (const poll of polls) {
    const found = await findPoll(client, poll)
    const counts = found.state === 'there' ? found.poll.options.map(({ count }) => count) : found.state
    expect({ poll, counts }).toEqual({ poll, counts: oracle.counts(poll) })
  }
  client.close()
  await tap.close()
  await database.close()
})
