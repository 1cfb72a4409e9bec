import { loadImage } from '@napi-rs/canvas'
import type { PollView } from '@pollz/shared/wire'
import { unlimited } from '../ingest/budget.ts'
import { describe, expect, test, vi } from 'vitest'
import { drawCard, HEIGHT, WIDTH } from './card.ts'
import { Cards } from './cards.ts'

const poll = (text: string, options: string[], counts: number[] = [], version = 1): PollView => ({
  uri: 'at://did:plc:a/tech.waow.poll/1',
  repo: 'did:plc:a',
  rkey: '1',
  handle: 'a.example',
  text,
  options: options.map((it, i) => ({ text: it, count: counts[i] ?? 0 })),
  total: counts.reduce((sum, count) => sum + count, 0),
  createdAt: '2026-11-23T20:15:00.000Z',
  edited: false,
  version,
})

describe('a picture of the size that cards have', () => {
  test.each([
    ['two options', poll('Tea?', ['Yes', 'No'], [3, 1])],
    ['all that there can be', poll('W'.repeat(300), Array(10).fill('W'.repeat(100)) as string[], [1])],
    ['no letters at all', poll('', ['', ' \n\t'])],
    ['what can’t be drawn', poll('\u0000\ud800\u202e\u{10ffff}', ['\u0007', '\udfff'])],
    ['emoji of many parts', poll('👩‍👩‍👧‍👦'.repeat(12), ['🏳️‍🌈'.repeat(7), '👋🏽'])],
    ['both ways', poll('ما هو أفضل مشروب؟ tea', ['قهوة', 'tea'], [1, 1])],
  ])('%s', async (_, it) => {
    const image = await loadImage(await drawCard(it))
    expect([image.width, image.height]).toEqual([WIDTH, HEIGHT])
  })
})

describe('are kept', () => {
  const budget = unlimited('test')
  const drawn = () => {
    let n = 0
    return vi.fn<() => Promise<Buffer>>(async () => Buffer.from(String(++n)))
  }

  test('while the tally is the same, and a little longer', async () => {
    vi.useFakeTimers()
    const draw = drawn()
    const cards = new Cards(draw)
    const of = async (version: number) => (await cards.of(poll('?', ['a', 'b'], [], version), budget))!
    expect(await of(1)).toEqual({ version: 1, png: Buffer.from('1') })
    await of(1)
    // Votes come fast: it is not drawn for each of them.
    expect((await of(2)).version).toBe(1)
    expect(draw).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(6_000)
    expect(await of(3)).toEqual({ version: 3, png: Buffer.from('2') })
    vi.advanceTimersByTime(6_000)
    await of(3)
    expect(draw).toHaveBeenCalledTimes(2)
    vi.useRealTimers()
  })

  test('and one that failed is drawn again', async () => {
    const draw = drawn().mockRejectedValueOnce(new Error('out of memory'))
    const cards = new Cards(draw)
    await expect(cards.of(poll('?', ['a', 'b']), budget)).rejects.toThrow('out of memory')
    expect(await cards.of(poll('?', ['a', 'b']), budget)).toMatchObject({ version: 1 })
  })
})
