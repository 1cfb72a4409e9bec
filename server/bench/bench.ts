/**
 * `npm run bench -w server`: how fast votes are stored and read, each figure beside what it is compared with, measured
 * in the same run. Prints a table and writes it to bench-results.json. Takes some minutes; loopback only. After `--` the names of
 * the parts to run: growth, recount, storing, acks, reads, pages, lists, watchers, arrivals, many.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { once } from 'node:events'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { createClient } from '@libsql/client'
import { voteRkey } from '@pollz/shared/votes'
import { tid } from '@pollz/shared/tid'
import { LibsqlServer } from '../test/libsql-server.ts'
import { Process, Watcher } from '../test/processes.ts'
import { T0, pollEvent, recordMessage, voteEvent } from '../test/records.ts'
import { libsqlServer } from '../test/remote.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { openDatabase } from '../src/store/database.ts'
import { busiestPolls } from '../src/store/queries.ts'
import { recount } from '../src/store/recount.ts'
import {
  POLLS,
  bytesPerVote,
  fill,
  fillLists,
  pollNumber,
  somePoll,
  voterNumber,
  votersOf,
} from './database.ts'

type Result = {
  name: string
  unit: string
  ours: number
  reference: number
  referenceName: string
  ratio: number
}

const MILLION = 1_000_000
const FIVE_MILLION = 5_000_000
const EVENTS = 150_000
/** Events under way at once: tap has no limit over all accounts. */
const WINDOW = 20_000

const folder = mkdtempSync(join(tmpdir(), 'pollz-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const results: Result[] = []
const say = (message: string) => process.stderr.write(`▸ ${message}\n`)

function report(name: string, unit: string, ours: number, reference: number, referenceName: string): void {
  results.push({ name, unit, ours, reference, referenceName, ratio: ours / reference })
}

const seconds = async (run: () => unknown): Promise<number> => {
  const started = performance.now()
  await run()
  return (performance.now() - started) / 1000
}

const random = (below: number) => Math.floor(Math.random() * below)

/** Votes, 94 % of them new, 5 % changed, 1 % deleted; ten of eleven voters have voted before. */
type Vote = { voter: number; poll: number; option: number | null; time: number }

function someVotes(count: number, voters: number, from: number): Vote[] {
  const made: Vote[] = []
  return Array.from({ length: count }, (_, i) => {
    const time = from + i * 1000
    const kind = Math.random()
    const old = kind < 0.06 && made.length > 0 ? made[random(made.length)]! : undefined
    const vote = old
      ? { ...old, option: kind < 0.01 ? null : random(3), time }
      : { voter: random(Math.ceil(voters * 1.1)), poll: somePoll(), option: random(3), time }
    made.push(vote)
    return vote
  })
}

const polls = Array.from({ length: POLLS }, (_, i) => pollNumber(i))

const toMessage = (vote: Vote, id: number) =>
  recordMessage(voteEvent(voterNumber(vote.voter), polls[vote.poll]!, vote.option, vote.time), id)

/** A fresh copy of the database with a million votes. */
let copies = 0
function copy(of: string): string {
  const path = join(folder, `copy${copies++}.db`)
  copyFileSync(of, path)
  return path
}

type Running = { tap: TapStandIn; url: string; child: ChildProcess; stop: () => Promise<void> }

let port = 38_000 + random(1000)

async function startServer(path: string, env: Record<string, string> = {}): Promise<Running> {
  const tap = await TapStandIn.listen()
  const { url, child } = spawnServer(path, tap.url, env)
  while (!tap.connected) await new Promise((resolve) => setTimeout(resolve, 20))
  return {
    tap,
    url,
    child,
    stop: async () => {
      child.kill('SIGTERM')
      await new Promise((resolve) => child.once('exit', resolve))
      await tap.close()
    },
  }
}

function spawnServer(
  path: string,
  tapUrl: string,
  env: Record<string, string> = {},
): { url: string; child: ChildProcess } {
  const url = `http://127.0.0.1:${++port}`
  const child = spawn('node', [join(import.meta.dirname, '../src/main.ts')], {
    env: {
      ...process.env,
      PORT: String(port),
      HOST: '127.0.0.1',
      DATABASE_URL: `file:${path}`,
      TAP_URL: tapUrl,
      RECONCILE_PAUSE: '0',
      LOG_LEVEL: 'error',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return { url, child }
}

/** Sends messages, thousands under way at once, until all are acked. */
function storeAll(tap: TapStandIn, messages: string[]): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0
    let acked = 0
    const next = () => {
      if (sent < messages.length) tap.send(messages[sent]!, sent++)
    }
    tap.onAck = () => {
      if (++acked === messages.length) resolve()
      else next()
    }
    for (let i = 0; i < WINDOW; i++) next()
  })
}

const megabytes = (child: ChildProcess, field: string) =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) /
  1024

/** The longest that a server answers nothing else while these are asked for again and again, their lists having got old, in ms. */
async function longestBlock(url: string, paths: string[]): Promise<number> {
  // Made once: what is measured is not the first drawing of a page.
  for (const path of paths) await fetch(url + path, { headers: { accept: 'text/html' } })
  let longest = 0
  for (const until = performance.now() + 12_000; performance.now() < until;) {
    const asked = paths.map((path) => fetch(url + path).then((response) => response.text()))
    for (let i = 0; i < 20; i++) {
      const began = performance.now()
      await (await fetch(`${url}/health`)).text()
      longest = Math.max(longest, performance.now() - began)
    }
    await Promise.all(asked)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  return longest
}

/** Seconds of a core that each thread of a process has taken so far, by its name and number. */
function coreSeconds(pid: number): Map<string, number> {
  const taken = new Map<string, number>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [head, tail] = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')
    const [user, system] = tail!.split(' ').slice(11, 13)
    taken.set(`${head!.split('(')[1]} ${thread}`, (Number(user) + Number(system)) / 100)
  }
  return taken
}

/**
 * Where the time goes: cores that the server's threads take from now on, and what this process takes to drive it.
 *
 * @returns ends the measurement and says it. Whole: cores of all the server's threads
 */
function watchCores({ pid }: ChildProcess, doing: string): () => number {
  const [began, before, driver] = [performance.now(), coreSeconds(pid!), process.cpuUsage()]
  return () => {
    const took = (performance.now() - began) / 1000
    const cores = [...coreSeconds(pid!)].map(
      ([name, n]) => [name, (n - (before.get(name) ?? 0)) / took] as const,
    )
    const all = cores.reduce((sum, [, n]) => sum + n, 0)
    const { user, system } = process.cpuUsage(driver)
    const busiest = cores
      .toSorted(([, a], [, b]) => b - a)
      .filter(([, n]) => n >= 0.02)
      .map(([name, n]) => `${name} ${n.toFixed(2)}`)
    const left = availableParallelism() - all - (user + system) / 1e6 / took
    say(
      `where the time goes, ${doing}: of ${availableParallelism()} cores the server ${all.toFixed(2)} (${busiest.join(', ')}), ` +
        `whoever asks of it ${((user + system) / 1e6 / took).toFixed(2)}, others or nobody ${left.toFixed(2)}`,
    )
    return all
  }
}

const percentile = (sorted: number[], share: number) => sorted[Math.floor(sorted.length * share)]!

/** (a): text keys, a statement per event, each its own transaction. */
async function originalsWay(votes: Vote[]): Promise<number> {
  const client = createClient({ url: `file:${join(folder, 'original.db')}` })
  await client.execute(
    'CREATE TABLE votes (uri TEXT PRIMARY KEY, subject TEXT NOT NULL, option INTEGER NOT NULL, voter TEXT NOT NULL, created_at TEXT)',
  )
  await client.execute('CREATE INDEX idx_votes_subject ON votes (subject)')
  await client.execute('CREATE UNIQUE INDEX idx_votes_subject_voter ON votes (subject, voter)')
  await client.execute(`
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${MILLION - 1})
    INSERT OR IGNORE INTO votes SELECT 'at://did:plc:voter' || i || '/tech.waow.vote/' || abs(random()),
      'at://did:plc:author' || abs(random() % ${POLLS}) || '/tech.waow.poll/3kaaaaaaaaaa2', 1, 'did:plc:voter' || i,
      '2026-01-01T00:00:00Z' FROM n`)
  const took = await seconds(async () => {
    for (const { voter, poll, option } of votes)
      await client.execute({
        sql: `INSERT INTO votes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET option = excluded.option`,
        args: [
          `at://${voterNumber(voter)}/tech.waow.vote/${voteRkey(polls[poll]!)}`,
          polls[poll]!,
          option ?? 0,
          voterNumber(voter),
          '2026-01-01T00:00:00Z',
        ],
      })
  })
  client.close()
  return votes.length / took
}

/** (b): the same rows into the same table, prepared, in one transaction, without tallies, rules or a network. */
async function ceiling(path: string, votes: Vote[]): Promise<number> {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -262144')
  const upsert = db.prepare(
    `INSERT INTO votes (poll, voter, family, rkey, option, made, rev) VALUES (?, ?, 0, '', ?, ?, ?)
     ON CONFLICT DO UPDATE SET option = excluded.option, made = excluded.made, rev = excluded.rev`,
  )
  const took = await seconds(() => {
    db.exec('BEGIN')
    for (const { poll, voter, option, time } of votes)
      upsert.run(poll + 1, POLLS + voter + 1, option ?? 0, time, tid(time))
    db.exec('COMMIT')
  })
  db.close()
  return votes.length / took
}

const BARE = `require('node:http').createServer((_, response) => {
  response.writeHead(200, { 'content-type': process.env.TYPE }).end(process.env.BODY)
}).listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'))`

/** How fast node:http alone answers with the same body. @returns requests/s */
async function bareRate(body: string, type: string, at: (url: string) => string): Promise<number> {
  const child = spawn('node', ['-e', BARE], {
    env: { ...process.env, PORT: String(++port), BODY: body, TYPE: type },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = `http://127.0.0.1:${port}`
  await once(child.stdout, 'data')
  await readRate(url, 2000, at)
  const rate = await readRate(url, 5000, at)
  child.kill('SIGKILL')
  return rate
}

/** The address of twenty polls' tallies. */
const tallies = (url: string) =>
  `${url}/api/tallies?${polls
    .slice(0, 20)
    .map((uri) => `uri=${encodeURIComponent(uri)}`)
    .join('&')}`

/** Requests from a thread of their own. @returns requests/s */
async function readRate(
  url: string,
  ms: number,
  at = tallies,
  headers: Record<string, string> = {},
): Promise<number> {
  const worker = new Worker(new URL('./readers.ts', import.meta.url), {
    workerData: { url: at(url), ms, headers },
  })
  const requests = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  return (requests / ms) * 1000
}

/** Names of the parts to run; none: all. */
const only = process.argv.slice(2)
const part = async (name: string, run: () => Promise<void>) => {
  if (only.length === 0 || only.includes(name)) await run()
}

const growing = join(folder, 'growing.db')
const base = join(folder, 'million.db')

await part('growth', async () => {
  say('a database of ten thousand votes, then a hundred thousand, a million, five million')
  const rates: { votes: number; rate: number }[] = []
  for (const votes of [10_000, 100_000, MILLION, FIVE_MILLION]) {
    await fill(growing, votes)
    if (votes === MILLION) copyFileSync(growing, base)
    const path = copy(growing)
    const server = await startServer(path)
    const messages = someVotes(50_000, votersOf(votes), T0 * 1.01).map(toMessage)
    rates.push({ votes, rate: messages.length / (await seconds(() => storeAll(server.tap, messages))) })
    await server.stop()
    rmSync(path)
  }
  const [smallest] = rates
  for (const { votes, rate } of rates.slice(1))
    report(`stored at ${votes} votes`, 'events/s', rate, smallest!.rate, `at ${smallest!.votes} votes`)

  const size = bytesPerVote(base)
  report('bytes per vote', 'bytes', size.own, 90, 'at most')
  report('bytes per vote, whole file', 'bytes', size.file, bytesPerVote(growing).file, 'at five million')
})
if (!existsSync(base)) await fill(base, MILLION)

await part('recount', async () => {
  say('a recount of a million')
  const client = await openDatabase({ url: `file:${base}`, authToken: undefined })
  const took = await seconds(async () => {
    const differences = await recount(client)
    if (differences.length > 0) throw new Error(`${differences.length} differences`)
  })
  report('recount of a million votes', 's', took, 1, 'at most')
  client.close()
})

await part('storing', async () => {
  say('storing, end to end, beside the original’s way and the ceiling')
  const votes = someVotes(EVENTS, votersOf(MILLION), T0 * 1.01)
  const server = await startServer(copy(base))
  const messages = votes.map(toMessage)
  const said = watchCores(server.child, 'storing')
  const rate = messages.length / (await seconds(() => storeAll(server.tap, messages)))
  said()
  await server.stop()
  report(
    'events stored, end to end',
    'events/s',
    rate,
    await originalsWay(votes.slice(0, 3000)),
    'the original’s way (a)',
  )
  report('events stored, end to end', 'events/s', rate, await ceiling(copy(base), votes), 'bare upserts (b)')
  report('events stored, end to end', 'events/s', rate, 30_000, 'what tap claims')
})

await part('acks', async () => {
  say('ack latency at 1,000 events/s')
  const server = await startServer(copy(base))
  const messages = someVotes(10_000, votersOf(MILLION), T0 * 1.01).map(toMessage)
  const sentAt = new Map<number, number>()
  const latencies: number[] = []
  const said = watchCores(server.child, 'at 1,000 events/s')
  await new Promise<void>((resolve) => {
    server.tap.onAck = (id) => {
      latencies.push(performance.now() - sentAt.get(id)!)
      if (latencies.length === messages.length) resolve()
    }
    const started = performance.now()
    let sent = 0
    const timer = setInterval(() => {
      const due = Math.min(messages.length, Math.floor(performance.now() - started))
      for (; sent < due; sent++) {
        sentAt.set(sent, performance.now())
        server.tap.send(messages[sent]!, sent)
      }
      if (sent === messages.length) clearInterval(timer)
    }, 2)
  })
  said()
  const sorted = latencies.toSorted((a, b) => a - b)
  report('ack latency, p50', 'ms', percentile(sorted, 0.5), percentile(sorted, 0.99), 'p99')
  report('ack latency, p99', 'ms', percentile(sorted, 0.99), 50, 'at most')
  await server.stop()
})

await part('reads', async () => {
  say('cached reads, idle and under a backlog of a million events')
  const messages = someVotes(MILLION, votersOf(MILLION), T0 * 1.01).map(toMessage)
  const backlog = new Worker(new URL('./backlog.ts', import.meta.url), { workerData: { messages } })
  const tapUrl = await new Promise<string>((resolve) => backlog.once('message', resolve))
  const { url, child } = spawnServer(copy(base), tapUrl)
  const ready = () =>
    fetch(`${url}/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await ready())) await new Promise((resolve) => setTimeout(resolve, 20))
  await readRate(url, 2000)
  const saidIdle = watchCores(child, 'reading')
  const idle = await readRate(url, 5000)
  saidIdle()
  const bare = await bareRate(await (await fetch(tallies(url))).text(), 'application/json', tallies)
  report('reads of 20 tallies, idle', 'requests/s', idle, bare, 'bare node:http, the same bytes')
  const memory = megabytes(child, 'VmRSS')
  backlog.postMessage('go')
  const saidBusy = watchCores(child, 'reading and storing')
  const busy = await readRate(url, 10_000)
  saidBusy()
  report('reads of 20 tallies while storing', 'requests/s', busy, idle, 'idle')
  report('memory under a backlog of a million', 'MB', megabytes(child, 'VmHWM'), memory, 'before it')
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const stored = Number(/^pollz_events_total (\d+)$/m.exec(metrics)?.[1])
  if (!(stored > 0)) throw new Error('nothing was stored meanwhile')
  say(`stored meanwhile: ${stored} events`)
  child.kill('SIGKILL')
  await backlog.terminate()
})

await part('pages', async () => {
  say('a poll’s page')
  const { url, stop } = await startServer(copy(base))
  const [, , did, , rkey] = polls[0]!.split('/')
  const at = (it: string) => `${it}/poll/${did}/${rkey}`
  const headers = { accept: 'text/html' }
  const response = await fetch(at(url), { headers })
  const [html, tag] = [await response.text(), response.headers.get('etag')!]
  await readRate(url, 2000, at, headers)
  const ours = await readRate(url, 5000, at, headers)
  report(
    'a poll’s page',
    'requests/s',
    ours,
    await bareRate(html, 'text/html', at),
    'bare node:http, the same bytes',
  )
  const confirmed = await readRate(url, 5000, at, { ...headers, 'if-none-match': tag })
  report('a poll’s page, confirmed (304)', 'requests/s', confirmed, ours, 'sent')
  await stop()
})

await part('lists', async () => {
  say('the home page at 200,000 polls a week and a million accounts')
  const path = join(folder, 'lists.db')
  await fillLists(path)
  const server = await startServer(path)
  const path0 = ['/', '/api/polls', '/api/polls?sort=busiest']
  const blocked = await longestBlock(server.url, path0)
  const client = await openDatabase({ url: `file:${path}`, authToken: undefined })
  const since = (Date.now() - 7 * 24 * 3_600_000) * 1000
  const whole = (await seconds(() => busiestPolls(client, 10, since))) * 1000
  client.close()
  report('home page and lists', 'ms without an answer', blocked, whole, 'the look at all polls')
  await server.stop()
})

await part('watchers', async () => {
  // A process may open 20,000 files on many machines, and has some others.
  for (const count of [10_000, 19_000]) {
    say(`${count} watchers of a poll with 1,000 votes a second`)
    const server = await startServer(copy(base), { CLIENT_ADDRESS_HEADER: 'x-client' })
    const before = megabytes(server.child, 'VmRSS')
    const watchers = spawn(
      'node',
      [join(import.meta.dirname, 'watchers.ts'), server.url, polls[0]!, String(count), '15000'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(watchers.stdout, 'data')
    const each = ((megabytes(server.child, 'VmRSS') - before) * 1024) / count
    let sent = 0
    const began = performance.now()
    const cores = watchCores(server.child, `${count} watchers`)
    const voting = setInterval(() => {
      for (; sent < performance.now() - began; sent++)
        server.tap.send(
          recordMessage(voteEvent(`did:plc:new${sent}`, polls[0]!, sent % 3, T0 + sent), sent),
          sent,
        )
    }, 5)
    const said = String((await once(watchers.stdout, 'data'))[0])
    clearInterval(voting)
    const taken = cores()
    const { messages, late } = JSON.parse(said) as { messages: number; late: number }
    const name = `${count.toLocaleString('en')} watchers, 1,000 votes/s`
    report(`${name}: the server with the storing`, 'cores', taken, 0.5, 'at most')
    report(`${name}: commit to client, p99`, 'ms', late, 80, 'at most')
    report(`${name}: each`, 'kB', each, 10, 'at most')
    report(`${name}: messages sent`, '', messages, sent * count, 'a message per vote')
    await server.stop()
  }
})

await part('arrivals', async () => {
  say('10,000 watchers that come one after the other as fast as they can, each with twenty polls')
  const server = await startServer(copy(base), { CLIENT_ADDRESS_HEADER: 'x-client' })
  const uris = polls.slice(0, 20).join(',')
  const watchers = spawn(
    'node',
    [join(import.meta.dirname, 'watchers.ts'), server.url, uris, '10000', '2000'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const took = await seconds(() => once(watchers.stdout, 'data'))
  const { first } = JSON.parse(String((await once(watchers.stdout, 'data'))[0])) as { first: number }
  report('10,000 watchers arrive with twenty polls', 's', took, 3, 'at most')
  report('10,000 watchers arrive: first tally, p99', 'ms', first, 1000, 'at most')
  await server.stop()
})

await part('many', async () => {
  if (libsqlServer === 'standin') {
    say('many machines need a sqld on the PATH')
    return
  }
  say('from a vote that one machine stores to a watcher at another, on a replica')
  const tap = await TapStandIn.listen()
  const primary = await LibsqlServer.start()
  const replica = await primary.startReplica()
  const start = (role: string, { url, authToken }: LibsqlServer) =>
    new Process({
      ROLE: role,
      DATABASE_URL: url,
      DATABASE_AUTH_TOKEN: authToken,
      TAP_URL: tap.url,
      PLC_URL: 'http://127.0.0.1:9',
      RECONCILE_PAUSE: '0',
    }).start()
  const processes = [await start('ingest', primary), await start('serve', replica)]
  while (!tap.connected) await new Promise((resolve) => setTimeout(resolve, 20))
  const watcher = new Watcher(processes[1]!, [polls[0]!])
  tap.send(recordMessage(pollEvent(polls[0]!, ['a', 'b', 'c'], T0), 0), 0)
  for (let i = 1; i <= 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100 + random(300)))
    tap.send(recordMessage(voteEvent(`did:plc:voter${i}`, polls[0]!, 0, T0 + i), i), i)
  }
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const late = watcher.late.toSorted((a, b) => a - b)
  report('commit to a watcher at another machine, p95', 'ms', percentile(late, 0.95), 500, 'at most')
  watcher.end()
  for (const it of processes) await it.end('SIGTERM')
  await replica.close()
  await primary.close()
  await tap.close()
})

const digits = (n: number) => (n >= 100 ? Math.round(n).toLocaleString('en') : n.toPrecision(3))
console.table(
  results.map(({ name, unit, ours, reference, referenceName, ratio }) => ({
    measured: name,
    ours: `${digits(ours)} ${unit}`,
    reference: `${digits(reference)} ${referenceName}`,
    ratio: ratio.toFixed(2),
  })),
)
writeFileSync(join(import.meta.dirname, '../../bench-results.json'), `${JSON.stringify(results, null, 2)}\n`)
process.exit(0)
