/**
 * `npm run soak -- [MINUTES]`: everything at once for ten minutes, on loopback, and it stops by itself. People vote; others
 * watch, come and go, read slowly or not at all; each part is killed and started again in turn; a connection to the database
 * is reset each second. In the end nothing is lost, every machine has the same result, and memory has stayed flat: a line,
 * and a picture of it in e2e/artifacts.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { LibsqlServer } from '../test/libsql-server.ts'
import { Oracle } from '../test/oracle.ts'
import { Process, Watcher } from '../test/processes.ts'
import { T0, identityMessage, pollEvent, pollUri, recordMessage, voteEvent } from '../test/records.ts'
import { libsqlServer } from '../test/remote.ts'
import { TapStandIn } from '../test/tap-standin.ts'
import { Wire } from '../test/wire.ts'
import { readEvent } from '../src/ingest/events.ts'
import { openDatabase } from '../src/store/database.ts'
import { recount } from '../src/store/recount.ts'

const minutes = Number(process.argv[2] ?? 10)
if (!(minutes > 0 && minutes <= 60)) {
  process.stderr.write('soak: expected a number of minutes, at most 60\n')
  process.exit(2)
}
/** ms */
const DURATION = minutes * 60_000
const VOTES_PER_SECOND = 200
const WATCHERS = 100
/** Clients that read nothing, and that are gone without a word. */
const DEAF = 20
/** How often a part is killed, in ms. */
const KILL_EVERY = 20_000
const SAMPLE_EVERY = 2_000

const say = (message: string) => process.stderr.write(`▸ ${message}\n`)
const random = (below: number) => Math.floor(Math.random() * below)
const polls = Array.from({ length: 40 }, (_, i) => pollUri(`did:plc:author${i % 10}`, `poll${i}`))

const tap = await TapStandIn.listen()
const primary = await LibsqlServer.start()
const wire = await Wire.listen(primary.url)
const replica = libsqlServer === 'sqld' ? await primary.startReplica() : undefined
const database = { url: wire.url, authToken: primary.authToken }
const start = (role: string, { url, authToken }: { url: string; authToken: string }) =>
  new Process({
    ROLE: role,
    DATABASE_URL: url,
    DATABASE_AUTH_TOKEN: authToken,
    TAP_URL: tap.url,
    PLC_URL: 'http://127.0.0.1:9',
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'info',
  }).start()
const parts: Record<string, Process> = {
  'ingest 1': await start('ingest', database),
  'ingest 2': await start('ingest', database),
  'serve 1': await start('serve', database),
  'serve 2': await start('serve', replica ?? database),
}
const servers = [parts['serve 1']!, parts['serve 2']!]
say(
  `two ingest, two serve, ${replica ? 'sqld and a replica' : 'a stand-in for a libSQL server'}; ${minutes} minutes`,
)

const oracle = new Oracle()
const sent: { did: string; at: number }[] = []
const busy = new Set<string>()
const acks: number[] = []
tap.onAck = (id) => {
  const it = sent[id]
  if (!it || !busy.delete(it.did)) return
  acks.push(performance.now() - it.at)
}
function sendNext(): void {
  const id = sent.length
  let did: string
  do did = `did:plc:voter${random(20_000)}`
  while (busy.has(did))
  const time = T0 + id * 1000
  const kind = Math.random()
  const message =
    id < polls.length
      ? recordMessage(pollEvent(polls[id]!, ['a', 'b', 'c'], time), id)
      : kind < 0.02
        ? identityMessage(did, kind < 0.01 ? 'active' : 'deactivated', '', id)
        : recordMessage(
            voteEvent(did, polls[random(polls.length)]!, kind < 0.07 ? null : random(3), time),
            id,
          )
  const change = readEvent(message).change!
  oracle.deliver(change)
  sent.push({ did: change.did, at: performance.now() })
  busy.add(change.did)
  tap.send(message, id)
}

const watchers: Watcher[] = []
const wrong: string[] = []
const late: number[] = []
const join20 = () => Array.from({ length: 20 }, () => polls[random(polls.length)]!)
const addWatcher = () => watchers.push(new Watcher(servers[random(2)]!, [...new Set(join20())]))
function removeWatcher(): void {
  const [gone] = watchers.splice(random(watchers.length), 1)
  gone!.end()
  wrong.push(...gone!.wrong)
  late.push(...gone!.late)
}
for (let i = 0; i < WATCHERS; i++) addWatcher()
/** They ask for everything and read nothing. */
const deaf: WebSocket[] = []
function addDeaf(): void {
  const socket = new WebSocket(`${servers[random(2)]!.url.replace('http', 'ws')}/live`)
  socket.on('error', () => {})
  socket.on('open', () => {
    socket.pause()
    socket.send(JSON.stringify({ type: 'watch', uris: polls }))
  })
  deaf.push(socket)
}

type Sample = { at: number; megabytes: Record<string, number> }
const samples: Sample[] = []
function sample(): void {
  const megabytes: Record<string, number> = {}
  for (const [name, { pid }] of Object.entries(parts)) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const kilobytes = /VmRSS:\s+(\d+)/.exec(status)?.[1]
      if (kilobytes !== undefined) megabytes[name] = Math.round(Number(kilobytes) / 1024)
    } catch {
      // It is being started again.
    }
  }
  samples.push({ at: Date.now(), megabytes })
}

const began = Date.now()
const until = began + DURATION
const kills: (() => Promise<unknown>)[] = [
  ...['ingest 1', 'ingest 2', 'serve 1', 'serve 2'].map((name) => async () => {
    say(`${name} is killed`)
    await parts[name]!.end('SIGKILL')
    await parts[name]!.start()
  }),
  async () => {
    say('the database is killed')
    await primary.restart()
  },
  ...(replica
    ? [
        async () => {
          say('the replica is killed')
          await replica.restart()
        },
      ]
    : []),
]
const voting = setInterval(() => {
  const due = ((Date.now() - began) / 1000) * VOTES_PER_SECOND
  while (sent.length < due && busy.size < 5_000) sendNext()
}, 20)
const moving = setInterval(() => {
  removeWatcher()
  addWatcher()
  if (deaf.length >= DEAF) deaf.shift()!.terminate()
  addDeaf()
}, 250)
const resetting = setInterval(() => wire.resetOne(), 1_000)
const sampling = setInterval(sample, SAMPLE_EVERY)
let next = 0
for (let at = began + KILL_EVERY; at < until; at += KILL_EVERY) {
  await setTimeout(Math.max(0, at - Date.now()))
  await kills[next++ % kills.length]!()
}
await setTimeout(Math.max(0, until - Date.now()))
for (const timer of [voting, moving, resetting, sampling]) clearInterval(timer)

say('what is under way is waited for')
const deadline = Date.now() + 60_000
const settled = async (isSo: () => boolean | Promise<boolean>) => {
  while (!(await isSo())) {
    if (Date.now() > deadline) return false
    await setTimeout(100)
  }
  return true
}
const failures: string[] = []
if (!(await settled(() => busy.size === 0))) failures.push(`${busy.size} events were never acked`)
for (const [i, server] of servers.entries()) {
  for (const uri of polls) {
    const expected = JSON.stringify(oracle.counts(uri))
    let served = ''
    const isRight = async () => {
      const { options } = await server.poll(uri).catch(() => ({ options: undefined }))
      served = JSON.stringify(options?.map(({ count }) => count))
      return served === expected
    }
    if (!(await settled(isRight))) failures.push(`serve ${i + 1}: ${uri} is ${served} instead of ${expected}`)
  }
}
while (watchers.length > 0) removeWatcher()
for (const it of wrong) failures.push(`a watcher was told an older tally: ${it}`)
const client = await openDatabase(primary)
for (const it of await recount(client)) failures.push(`differs from a recount: ${JSON.stringify(it)}`)
client.close()

const p99 = (all: number[]) => Math.round(all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.99)] ?? 0)
console.log(
  `${sent.length} events, ${acks.length} acked, p99 ${p99(acks)} ms from sent to acked, with each part killed`,
)
console.log(`${late.length} tallies told, p99 ${p99(late)} ms from the commit to the watcher`)
console.log(`${wire.hits.flaky} connections to the database reset, ${next} parts killed`)
for (const name of Object.keys(parts)) {
  const all = samples.flatMap(({ megabytes }) => megabytes[name] ?? [])
  const [early, end] = [all.slice(0, all.length / 2), all.slice(all.length / 2)].map((it) =>
    Math.max(0, ...it),
  )
  console.log(`${name}: at most ${early} MB in the first half, ${end} MB in the second`)
}
const folder = join(import.meta.dirname, '../../e2e/artifacts')
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'soak.svg'), picture(samples))
console.log(`a picture of it: ${join('e2e', 'artifacts', 'soak.svg')}`)
for (const it of failures) console.error(`✗ ${it}`)
for (const process of Object.values(parts)) await process.end('SIGTERM')
for (const socket of deaf) socket.terminate()
await replica?.close()
await wire.close()
await primary.close()
await tap.close()
process.exit(failures.length > 0 ? 1 : 0)

/** Memory of each process over time. */
function picture(all: Sample[]): string {
  const [width, height, left, bottom] = [900, 360, 60, 40]
  const names = Object.keys(parts)
  const colors = ['#1185fe', '#e8590c', '#2f9e44', '#9c36b5']
  const most = Math.max(100, ...all.flatMap(({ megabytes }) => Object.values(megabytes)))
  const x = (at: number) => left + ((at - began) / DURATION) * (width - left - 20)
  const y = (mb: number) => height - bottom - (mb / most) * (height - bottom - 20)
  const line = (name: string, i: number) =>
    `<polyline fill="none" stroke="${colors[i]}" stroke-width="2" points="${all
      .flatMap(({ at, megabytes }) =>
        megabytes[name] === undefined ? [] : [`${x(at).toFixed(1)},${y(megabytes[name]).toFixed(1)}`],
      )
      .join(' ')}"/><text x="${left + 130 * i}" y="${height - 10}" fill="${colors[i]}">${name}</text>`
  const grid = [0, 0.5, 1].map((share) => {
    const mb = Math.round(most * share)
    return `<line x1="${left}" x2="${width - 20}" y1="${y(mb)}" y2="${y(mb)}" stroke="#ccc"/>
  <text x="8" y="${y(mb) + 4}">${mb} MB</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">
  <rect width="100%" height="100%" fill="#fff"/>
  ${[...grid, ...names.map(line)].join('\n  ')}
</svg>
`
}
