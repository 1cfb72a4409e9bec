/** Thousands of clients of /live in a process of their own: `node watchers.ts URL POLLS COUNT MS`. Prints what they were told. */
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { WebSocket } from 'ws'

const [url = '', polls = '', count = '0', ms = '0'] = process.argv.slice(2)
const uris = polls.split(',')
/** Of so many one reads what it is told: the others would cost more than what is measured. */
const READER = 50
/** Connections that are opened at once. */
const AT_ONCE = 200

let messages = 0
/** From a commit, which a tally's version is near, to the client, in ms. */
const late: number[] = []
/** From asking to the first snapshot, in ms. */
const first: number[] = []

async function connect(n: number): Promise<void> {
  const began = performance.now()
  const socket = new WebSocket(`${url.replace('http', 'ws')}/live`, {
    perMessageDeflate: false,
    // Each has an address of its own.
    headers: { 'x-client': `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` },
  })
  socket.on('error', (error) => process.stderr.write(`${error.message}\n`))
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'watch', uris }))
  await once(socket, 'message')
  first.push(performance.now() - began)
  socket.on('message', (data: Buffer) => {
    messages++
    if (n % READER !== 0) return
    const told = JSON.parse(data.toString()) as { type: string; version: number }
    if (told.type === 'tally') late.push(Date.now() - told.version)
  })
}

for (let n = 0; n < Number(count); n += AT_ONCE)
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, Number(count) - n) }, (_, i) => connect(n + i)))
process.stdout.write('watching\n')
await setTimeout(Number(ms))
const p99 = (all: number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.99)] ?? 0
process.stdout.write(`${JSON.stringify({ messages, late: p99(late), first: p99(first) })}\n`)
process.exit(0)
