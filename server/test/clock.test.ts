import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { Clock } from './clock.ts'

const HOUR = 3_600_000

/** In the process and in a thread of it: what each way of asking says, once for each line that is sent. */
const PROGRAM = `
const { Worker } = require('node:worker_threads')
const ask = '[Date.now(), new Date().getTime(), Date.parse(Date()), new Date(0).getTime()]'
const worker = new Worker(
  "const { parentPort } = require('node:worker_threads'); parentPort.on('message', () => parentPort.postMessage(" + ask + '))',
  { eval: true },
)
worker.on('message', (inThread) => console.log(JSON.stringify([eval(ask), inThread])))
process.stdin.on('data', () => worker.postMessage(''))
`

let child: ReturnType<typeof spawn>

afterEach(() => child?.kill('SIGKILL'))

test('a process and its threads follow each step, back and forth', async () => {
  const clock = new Clock()
  child = spawn('node', ['-e', PROGRAM], {
    env: { ...process.env, ...clock.env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  /** How far each answer is from the real clock, in hours. */
  const hoursOff = async () => {
    child.stdin!.write('\n')
    const [line] = (await once(child.stdout!, 'data')) as [Buffer]
    const answers = JSON.parse(line.toString()) as [number, number, number, number][]
    expect(answers.map((times) => times[3])).toEqual([0, 0])
    // Without -0, which is not 0 here.
    const hours = (time: number) => Math.round((time - Date.now()) / HOUR) || 0
    return answers.map((times) => times.slice(0, 3).map(hours))
  }
  const both = (hours: number) => [
    [hours, hours, hours],
    [hours, hours, hours],
  ]
  expect(await hoursOff()).toEqual(both(0))
  for (const hours of [-1, 24, 0]) {
    clock.set(hours * HOUR)
    await expect.poll(hoursOff).toEqual(both(hours))
  }
})
