import type { PollView } from '@pollz/shared/wire'
import { expect, test, vi } from 'vitest'
import { unlimited } from '../ingest/budget.ts'
import { Questions } from './questions.ts'

const budget = unlimited('somebody')
const poll = { text: '', post: 'at://did:plc:a/app.bsky.feed.post/1' } as PollView

test('the post is read once for all who ask, and a poll stays one object', async () => {
  const read = vi.fn<() => Promise<string>>(async () => 'Tea?')
  const questions = new Questions(read)
  const [first, second] = await Promise.all([questions.asked(poll, budget), questions.asked(poll, budget)])
  expect([first.text, second.text]).toEqual(['Tea?', 'Tea?'])
  expect((await questions.asked({ ...poll }, budget)).text).toBe('Tea?')
  expect(await questions.asked(poll, budget)).toBe(await questions.asked(poll, budget))
  expect(read).toHaveBeenCalledTimes(1)
})

test('a poll that has a question of its own, or no post, is left as it is', async () => {
  const read = vi.fn<() => Promise<string>>()
  const questions = new Questions(read)
  for (const other of [{ ...poll, text: 'Mine' }, { text: '' } as PollView])
    expect(await questions.asked(other, budget)).toBe(other)
  expect(read).not.toHaveBeenCalled()
})

test('who may not have more read is shown what is known', async () => {
  const read = vi.fn<() => Promise<string>>(async () => 'Tea?')
  const questions = new Questions(read)
  const spent = { name: 'somebody', take: async () => false }
  expect((await questions.asked(poll, spent)).text).toBe('')
  expect(read).not.toHaveBeenCalled()
  await questions.asked(poll, budget)
  expect((await questions.asked({ ...poll }, spent)).text).toBe('Tea?')
})

test('a text that does not come is not waited for, and there later', async () => {
  let answer: (text: string) => void = () => {}
  const asked = new Promise<string>((resolve) => (answer = resolve))
  const questions = new Questions(() => asked)
  expect((await questions.asked(poll, budget)).text).toBe('')
  answer('Tea?')
  expect((await questions.asked(poll, budget)).text).toBe('Tea?')
})
