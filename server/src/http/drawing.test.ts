import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { PollView } from '@pollz/shared/wire'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../log.ts'
import type { Draw } from './cards.ts'
import { createDrawing } from './drawing.ts'

// For this thread only: the one that draws has its own.
vi.mock('./card.ts', () => {
  throw new Error('a picture is drawn in the main thread')
})

const poll = (text: string, option: string): PollView => ({
  uri: 'at://did:plc:a/tech.waow.poll/1',
  repo: 'did:plc:a',
  rkey: '1',
  text,
  options: Array.from({ length: 10 }, () => ({ text: option, count: 1 })),
  total: 10,
  createdAt: '2026-11-23T20:15:00.000Z',
  edited: false,
  version: 1,
})
const tea = poll('Tea?', 'Yes')
const PNG = new Uint8Array([0x89, 0x50, 0x4e, 0x47])

let stop: AbortController
let draw: (it: PollView) => ReturnType<Draw>

beforeEach(() => {
  stop = new AbortController()
  const drawing = createDrawing(createLog('error'), stop.signal)
  draw = (it) => drawing({ poll: it, style: { theme: 'light', language: 'en' } })
})
afterEach(() => stop.abort())

const beginOf = async (drawing: ReturnType<Draw>) => (await drawing).slice(0, 4)

test.each([
  ['wide letters', poll('W'.repeat(300), 'W'.repeat(100))],
  ['emoji of many parts', poll('👩‍👩‍👧‍👦'.repeat(12), '🏳️‍🌈'.repeat(7))],
  ['many scripts', poll('漢字かな🏳️‍🌈ع'.repeat(10), '漢字👋🏽ع'.repeat(6))],
])('the heaviest there are, and not in the main thread: %s', async (name, it) => {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  expect(await beginOf(draw(it))).toEqual(PNG)
  delay.disable()
  console.log(`${name}: the longest that the main thread was held: ${Math.round(delay.max / 1e6)} ms`)
})

test('one that can’t be drawn is its own failure', async () => {
  await expect(draw({ ...tea, options: undefined! })).rejects.toThrow(TypeError)
  expect(await beginOf(draw(tea))).toEqual(PNG)
})

test('one that takes too long is given up, and the next is drawn by another thread', async () => {
  const tooLong = new AbortController()
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(tooLong.signal)
  const [first, second] = [draw(tea), draw(tea)]
  await vi.waitUntil(() => timeout.mock.calls.length === 1)
  tooLong.abort(new Error('too long'))
  await expect(first).rejects.toMatchObject({ name: 'AbortError', cause: { message: 'too long' } })
  expect(await beginOf(second)).toEqual(PNG)
  timeout.mockRestore()
})

test('a server that stops draws no more, what waits included', async () => {
  expect(await beginOf(draw(tea))).toEqual(PNG)
  const drawings = [draw(tea), draw(tea)]
  stop.abort()
  const results = await Promise.allSettled(drawings)
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await expect(draw(tea)).rejects.toThrow('aborted')
})
