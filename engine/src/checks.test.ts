import 'fake-indexeddb/auto'
import type { Check, ToPage } from '@pollz/shared/engine'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { Checks, type RunCheck } from './checks.ts'
import { Pages, type Port } from './pages.ts'

const poll = 'at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/tech.waow.poll/3kabc'
const byHandle = 'at://alice.test/tech.waow.poll/3kabc'

type Judged = Awaited<ReturnType<RunCheck>>
const judged = (change: Partial<Judged> = {}): Judged => ({
  verdict: 'right',
  poll: undefined,
  counts: [1, 2],
  voters: 3,
  claimed: { counts: [1, 2], voters: 3 },
  listed: 3,
  proved: 3,
  findings: [],
  doubts: [],
  terms: 'terms of the first time',
  at: '2026-01-01T00:00:00.000Z',
  ...change,
})

let told: Check[]
let port: Port
let pages: Pages
let run: ReturnType<typeof vi.fn<RunCheck>>
/** of the server whose checks are kept */
let server: string

beforeEach(() => {
  told = []
  port = {
    postMessage: (message: ToPage) => {
      if (message.type === 'check') told.push(message.check)
    },
  }
  pages = new Pages()
  pages.add(port, 1)
  pages.shown(port).add(poll).add(byHandle)
  run = vi.fn<RunCheck>(async (_, onProgress) => {
    onProgress(1, 4)
    return judged()
  })
  server = `https://${crypto.randomUUID()}.example`
})

function start(): { checks: Checks; stop: AbortController } {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const canonical = async () => poll
  const plc = 'https://plc.example'
  return { checks: new Checks({ run, server, plc, pages, canonical, signal: stop.signal }), stop }
}

test('a page hears how it goes, and what came of it; later by any name of the poll', async () => {
  const { checks } = start()
  await checks.begin(byHandle, 'https://second.example', false)
  expect(run.mock.calls[0]![0]).toMatchObject({ poll, server, second: 'https://second.example' })
  expect(told.map(({ name }) => name)).toEqual(['running', 'running', 'done'])
  expect(told[1]).toEqual({ name: 'running', done: 1, of: 4 })
  expect(told.at(-1)).toMatchObject({ verdict: 'right', here: false, at: Date.parse('2026-01-01T00:00:00Z') })
  told.length = 0
  await start().checks.tellLast(port, poll)
  expect(told).toEqual([expect.objectContaining({ name: 'done', verdict: 'right' })])
})

test('C7: what the poll said is remembered, and compared the next time', async () => {
  const { checks } = start()
  await checks.begin(poll, undefined, false)
  // Nothing could be read of it this time.
  run.mockResolvedValueOnce(judged({ terms: undefined }))
  await checks.begin(poll, undefined, false)
  await checks.begin(poll, undefined, false)
  expect(run.mock.calls.map(([{ termsBefore }]) => termsBefore)).toEqual([
    undefined,
    'terms of the first time',
    'terms of the first time',
  ])
})

test('counted here no server is asked', async () => {
  await start().checks.begin(poll, 'https://second.example', true)
  expect(run.mock.calls[0]![0].server).toBeUndefined()
  expect(told.at(-1)).toMatchObject({ here: true, counts: [1, 2], voters: 3 })
})

test('one is under way at a time, and can be stopped', async () => {
  run.mockImplementation(
    (_, __, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
  )
  const { checks } = start()
  const first = checks.begin(poll, undefined, false)
  await checks.begin(poll, undefined, false)
  await vi.waitUntil(() => run.mock.calls.length > 0)
  expect(run).toHaveBeenCalledTimes(1)
  checks.stop(poll)
  await first
  expect(told.at(-1)).toEqual({ name: 'stopped' })
  // Nothing came of it.
  told.length = 0
  await checks.tellLast(port, poll)
  expect(told).toEqual([])
})

test('one that can’t be done says why; of many findings the first are told, and how many there are', async () => {
  run.mockRejectedValueOnce(new Error('https://pollz.example does not answer'))
  const { checks } = start()
  await checks.begin(poll, undefined, false)
  expect(told.at(-1)).toEqual({ name: 'failed', detail: 'https://pollz.example does not answer' })
  const findings = Array.from({ length: 70 }, (_, i) => ({
    fault: 'added' as const,
    uri: `at://did:plc:${i}/a.b.c/d`,
  }))
  run.mockResolvedValueOnce(judged({ verdict: 'wrong', findings }))
  await checks.begin(poll, undefined, false)
  const last = told.at(-1) as Check & { name: 'done' }
  expect([last.findings.length, last.found]).toEqual([50, 70])
})
