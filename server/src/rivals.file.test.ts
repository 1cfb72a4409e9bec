/** Two processes that would ingest into one file: a file takes one. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { newFile } from '../test/database.ts'
import { TapStandIn } from '../test/tap-standin.ts'

let tap: TapStandIn
let children: ChildProcess[]

beforeEach(async () => {
  tap = await TapStandIn.listen()
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await tap.close()
})

function start(url: string, role = 'all') {
  const child = spawn('node', [join(import.meta.dirname, 'main.ts')], {
    env: { ...process.env, ROLE: role, PORT: '0', HOST: '127.0.0.1', DATABASE_URL: url, TAP_URL: tap.url },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  const it = { child, log: '', exited: once(child, 'exit') as Promise<[number | null]> }
  child.stderr!.on('data', (data: Buffer) => (it.log += data.toString()))
  return it
}

test('the second is refused in words that say what to do, and the first goes on', async () => {
  const url = newFile()
  const first = start(url)
  await vi.waitUntil(() => tap.connected)
  // One that only serves is no rival.
  const serving = start(url, 'serve')
  const second = start(url, 'ingest')
  expect(await second.exited).toEqual([1, null])
  expect(second.log).toMatch(
    /DATABASE_URL: file:.* is ingested into by another process .*: stop one of them; several need a libSQL server/,
  )
  expect(tap.connections).toBe(1)
  expect([first, serving].map(({ child }) => child.exitCode)).toEqual([null, null])
})

test('one that was killed is followed at once', async () => {
  const url = newFile()
  const first = start(url)
  await vi.waitUntil(() => tap.connected)
  first.child.kill('SIGKILL')
  await first.exited
  const second = start(url)
  await vi.waitUntil(() => tap.connections === 2)
  expect(second.log).toContain('this process ingests')
})
