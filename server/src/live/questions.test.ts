import type { PollView } from '@pollz/shared/wire'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { unlimited, type Budget } from '../ingest/budget.ts'
import type { RepoRead } from '../ingest/repos.ts'
import { PATIENCE, Questions } from './questions.ts'

const budget = unlimited('somebody')
const others = unlimited('others')
const poll = {
  uri: 'at://did:plc:a/tech.tokimeki.poll.poll/1',
  text: '',
  post: 'at://did:plc:a/app.bsky.feed.post/1',
} as PollView

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

type Text = RepoRead<string | undefined>
const saying = (value: string | undefined): Text => ({ ok: true, value })
const away: Text = { ok: false, error: 'UpstreamFailure', message: 'away' }

const ask = vi.fn<(post: string, budget: Budget) => Promise<Text>>()
const onChange = vi.fn<(poll: string) => void>()
let questions: Questions

/** What the poll is shown with to whoever does not wait. */
const shown = async (to = budget) => (await questions.asked(poll, to)).text
/** What it is shown with once what that had read has come. */
async function shownAfter(ms: number, to = budget): Promise<string> {
  await vi.advanceTimersByTimeAsync(ms)
  await shown(to)
  await vi.advanceTimersByTimeAsync(0)
  return shown(to)
}

beforeEach(() => {
  vi.useFakeTimers()
  ask.mockReset().mockResolvedValue(saying('Tea?'))
  onChange.mockReset()
  questions = new Questions(ask, onChange)
})
afterEach(() => vi.useRealTimers())

test('the post is read once for all that one client asks, and kept for all who ask later', async () => {
  const both = await Promise.all([
    questions.asked(poll, budget, PATIENCE),
    questions.asked({ ...poll }, budget, PATIENCE),
  ])
  expect(both.map(({ text }) => text)).toEqual(['Tea?', 'Tea?'])
  expect(await shown(others)).toBe('Tea?')
  expect(ask).toHaveBeenCalledTimes(1)
})

test('a poll that has a question of its own, or no post, is left as it is', async () => {
  for (const other of [{ ...poll, text: 'Mine' }, { text: '' } as PollView])
    expect(await questions.asked(other, budget, PATIENCE)).toBe(other)
  expect(ask).not.toHaveBeenCalled()
})

test('who may not have more read is shown what is known, until they may', async () => {
  const take = vi.fn<Budget['take']>().mockResolvedValueOnce(false).mockResolvedValue(true)
  const spent = { name: 'somebody', take }
  expect((await questions.asked(poll, spent, PATIENCE)).text).toBe('')
  expect(ask).not.toHaveBeenCalled()
  expect((await questions.asked(poll, spent, PATIENCE)).text).toBe('Tea?')
  expect(await shown(spent)).toBe('Tea?')
  expect(take).toHaveBeenCalledTimes(2)
})

test('a client whose places are full keeps no question from the others', async () => {
  ask.mockImplementation(async (_, { name }) =>
    name === budget.name ? new Promise(() => {}) : saying('Tea?'),
  )
  expect(await shown()).toBe('')
  expect((await questions.asked(poll, others, PATIENCE)).text).toBe('Tea?')
  ask.mockImplementation(async (_, { name }) => (name === budget.name ? away : saying('Tea?')))
  const next = { ...poll, uri: 'at://did:plc:a/tech.tokimeki.poll.poll/2' }
  expect((await questions.asked(next, budget, PATIENCE)).text).toBe('')
  expect((await questions.asked(next, others, PATIENCE)).text).toBe('Tea?')
})

test('a text that does not come is not waited for, and who watches is told when it is there', async () => {
  const text = Promise.withResolvers<Text>()
  ask.mockReturnValue(text.promise)
  const answered: string[] = []
  await Promise.all([
    questions.asked(poll, budget, 1).then((it) => answered.push(`a page: ${it.text}`)),
    questions.asked(poll, budget).then((it) => answered.push(`a tally: ${it.text}`)),
  ])
  expect(answered).toEqual(['a tally: ', 'a page: '])
  expect(onChange).not.toHaveBeenCalled()
  text.resolve(saying('Tea?'))
  await vi.advanceTimersByTimeAsync(0)
  expect(onChange.mock.calls).toEqual([[poll.uri]])
  expect(await shown()).toBe('Tea?')
  expect(ask).toHaveBeenCalledTimes(1)
})

test('a text is read anew after an hour, the old one is shown meanwhile, and news are told', async () => {
  await shownAfter(0)
  onChange.mockReset()
  expect(await shownAfter(HOUR - 1)).toBe('Tea?')
  expect(ask).toHaveBeenCalledTimes(1)
  await shownAfter(1)
  expect(ask).toHaveBeenCalledTimes(2)
  expect(onChange).not.toHaveBeenCalled()
  ask.mockResolvedValue(saying('Coffee?'))
  await vi.advanceTimersByTimeAsync(HOUR)
  expect((await questions.asked(poll, budget, PATIENCE)).text).toBe('Tea?')
  expect(await shownAfter(0)).toBe('Coffee?')
  expect(onChange.mock.calls).toEqual([[poll.uri]])
})

test('what was deleted is shown no longer, and what is there again is', async () => {
  await shownAfter(0)
  ask.mockResolvedValue(saying(undefined))
  expect(await shownAfter(HOUR)).toBe('')
  expect(onChange).toHaveBeenCalledTimes(2)
  ask.mockResolvedValue(saying('Tea!'))
  expect(await shownAfter(MINUTE - 1)).toBe('')
  expect(await shownAfter(2)).toBe('Tea!')
  expect(onChange).toHaveBeenCalledTimes(3)
})

test('while its server is away the text that is known is shown for a day, and it is asked once a minute', async () => {
  await shownAfter(0)
  ask.mockReset().mockResolvedValue(away)
  expect(await shownAfter(HOUR)).toBe('Tea?')
  expect(await shownAfter(MINUTE - 1)).toBe('Tea?')
  expect(ask).toHaveBeenCalledTimes(1)
  await shownAfter(2)
  expect(ask).toHaveBeenCalledTimes(2)
  expect(await shownAfter(DAY - HOUR - 2 * MINUTE)).toBe('Tea?')
  expect(await shownAfter(MINUTE + 1)).toBe('')
})

test('an answer that comes late is not believed over one that was asked for later', async () => {
  const late = Promise.withResolvers<Text>()
  ask.mockReturnValueOnce(late.promise).mockResolvedValueOnce(saying(undefined))
  await shown()
  await shownAfter(1, others)
  late.resolve(saying('Tea?'))
  await vi.advanceTimersByTimeAsync(0)
  expect(await shown()).toBe('')
})

test('a poll that names another post has another question', async () => {
  await shownAfter(0)
  const other = { ...poll, post: 'at://did:plc:a/app.bsky.feed.post/2' }
  ask.mockImplementation(async (post) => saying(post === other.post ? 'Coffee?' : 'Tea?'))
  expect((await questions.asked(other, budget)).text).toBe('')
  await vi.advanceTimersByTimeAsync(0)
  expect((await questions.asked(other, budget)).text).toBe('Coffee?')
  expect(onChange).toHaveBeenCalledTimes(2)
})
