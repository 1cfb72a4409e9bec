import type { PollView } from '@pollz/shared/wire'
import { expect, test, vi } from 'vitest'
import { Handles } from './handles.ts'

const poll = { repo: 'did:plc:a', text: '?' } as PollView

test('one question for all who ask, and none where it is known', async () => {
  const ask = vi.fn<() => Promise<string>>(async () => 'a.example')
  const handles = new Handles(ask)
  const all = await Promise.all([handles.named(poll), handles.named(poll)])
  expect(all.map(({ handle }) => handle)).toEqual(['a.example', 'a.example'])
  expect((await handles.named({ ...poll, handle: 'known.example' })).handle).toBe('known.example')
  expect(ask).toHaveBeenCalledTimes(1)
})

test('a page does not wait for a name that does not come, and has it later', async () => {
  let answer: (handle: string) => void = () => {}
  const asked = new Promise<string>((resolve) => (answer = resolve))
  const handles = new Handles(() => asked)
  expect((await handles.named(poll)).handle).toBeUndefined()
  answer('a.example')
  expect((await handles.named(poll)).handle).toBe('a.example')
})

test('that there is none is believed for a while only', async () => {
  // The cache's clock, which it reads at most once a ms.
  const clock = vi.spyOn(performance, 'now')
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const ask = vi.fn<() => Promise<string | undefined>>(async () => undefined)
  const handles = new Handles(ask)
  await handles.named(poll)
  await handles.named(poll)
  expect(ask).toHaveBeenCalledTimes(1)
  clock.mockReturnValue(performance.now() + 61_000)
  vi.advanceTimersByTime(1)
  ask.mockResolvedValue('a.example')
  expect((await handles.named(poll)).handle).toBe('a.example')
  vi.useRealTimers()
  clock.mockRestore()
})
