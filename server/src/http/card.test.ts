import { createCanvas, loadImage } from '@napi-rs/canvas'
import type { PollView } from '@pollz/shared/wire'
import { unlimited } from '../ingest/budget.ts'
import { describe, expect, test, vi } from 'vitest'
import { drawCard, factsOf, HEIGHT, WIDTH } from './card.ts'
import { Cards, type Draw, type Style } from './cards.ts'

const style: Style = { theme: 'light', language: 'en' }

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
    const image = await loadImage(drawCard({ poll: it, style }))
    expect([image.width, image.height]).toEqual([WIDTH, HEIGHT])
  })
})

test('a picture says of the end only what stays true, and what its shares are of', () => {
  const two = poll('Tea?', ['Yes', 'No'], [3, 1])
  expect(factsOf(two)).toBe('4 votes · @a.example')
  expect(factsOf({ ...two, endsAt: '2026-11-24T23:30:00-02:00' })).toBe(
    '4 votes · until 25 Nov 2026, 01:30 UTC · @a.example',
  )
  const { handle: _, ...nameless } = two
  expect(factsOf({ ...nameless, multiple: true, voters: 1, endsAt: '2026-11-24T20:00:00Z' })).toBe(
    '1 voter · several choices · until 24 Nov 2026, 20:00 UTC',
  )
})

test('a picture is complete when its canvas may be freed', () => {
  // Encoding in the background reads the canvas without holding it, and ends the process where that was freed.
  expect(drawCard({ poll: poll('Tea?', ['Yes', 'No']), style })).toBeInstanceOf(Buffer)
})

test('the option that leads stands out, and a tie does not', async () => {
  /** Colours of the bars from top to bottom, just inside of their options' left edge. */
  const bars = async (counts: number[]) => {
    const canvas = createCanvas(WIDTH, HEIGHT)
    const context = canvas.getContext('2d')
    context.drawImage(
      await loadImage(await drawCard({ poll: poll('?', ['a', 'b', 'c'], counts), style })),
      0,
      0,
    )
    const { data } = context.getImageData(66, 0, 1, HEIGHT)
    const rows = Array.from({ length: HEIGHT }, (_, y) => [...data.subarray(y * 4, y * 4 + 3)].join())
    // A bar is the same over more pixels than its edges.
    return rows.filter((it, y) => it !== '255,255,255' && it !== rows[y - 1] && it === rows[y + 20])
  }
  const [first, leading, last] = await bars([2, 3, 2])
  expect(last).toBe(first)
  expect(leading).not.toBe(first)
  expect(await bars([3, 3, 1])).toEqual([first, first, first])
  expect(await bars([3, 3, 3])).toEqual([first, first, first])
})

test('a dark one is drawn on black, and says what it is told to', async () => {
  const canvas = createCanvas(WIDTH, HEIGHT)
  const context = canvas.getContext('2d')
  const draw = async (dark: Style) => {
    context.drawImage(await loadImage(drawCard({ poll: poll('?', ['a', 'b'], [1, 2]), style: dark })), 0, 0)
    return Buffer.from(context.getImageData(0, 0, WIDTH, HEIGHT).data)
  }
  const dark = await draw({ theme: 'dark', language: 'de', facts: '3 Stimmen' })
  expect([...dark.subarray(0, 4)]).toEqual([0, 0, 0, 255])
  expect(dark.equals(await draw({ theme: 'dark', language: 'de', facts: '4 Stimmen' }))).toBe(false)
})

describe('are kept', () => {
  const budget = unlimited('test')
  const pngOf = (n: number) => new Uint8Array([n])
  const drawn = () => {
    let n = 0
    return vi.fn<Draw>(async () => pngOf(++n))
  }

  test('by theme and language', async () => {
    const draw = drawn()
    const cards = new Cards(draw)
    const tags = new Set<string>()
    for (const theme of ['light', 'dark'] as const)
      for (const language of ['en', 'de', 'en'])
        tags.add((await cards.of(poll('?', ['a', 'b']), budget, { theme, language }))!.tag)
    expect([tags.size, draw.mock.calls.length]).toEqual([4, 4])
  })

  test('while the tally is the same, and a little longer', async () => {
    vi.useFakeTimers()
    const draw = drawn()
    const cards = new Cards(draw)
    const of = async (version: number) => (await cards.of(poll('?', ['a', 'b'], [], version), budget))!
    const first = await of(1)
    expect(first.png).toEqual(pngOf(1))
    // Votes come fast: it is not drawn for each of them.
    expect([await of(1), await of(2)]).toEqual([first, first])
    expect(draw).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(6_000)
    const later = await of(3)
    expect(later.png).toEqual(pngOf(2))
    expect(later.tag).not.toBe(first.tag)
    vi.advanceTimersByTime(6_000)
    expect(await of(3)).toEqual(later)
    expect(draw).toHaveBeenCalledTimes(2)
    vi.useRealTimers()
  })

  test('while the question is the same: that of a post comes late, and changes, and the version stays', async () => {
    vi.useFakeTimers()
    const draw = drawn()
    const cards = new Cards(draw)
    const of = async (text: string) => {
      vi.advanceTimersByTime(6_000)
      return (await cards.of(poll(text, ['a', 'b']), budget))!
    }
    const [without, having] = [await of(''), await of('Tea?')]
    expect(having).toEqual(await of('Tea?'))
    expect([without.png, having.png]).toEqual([pngOf(1), pngOf(2)])
    expect(without.tag).not.toBe(having.tag)
    vi.useRealTimers()
  })

  test('and one that failed is drawn again', async () => {
    const draw = drawn().mockRejectedValueOnce(new Error('out of memory'))
    const cards = new Cards(draw)
    await expect(cards.of(poll('?', ['a', 'b']), budget)).rejects.toThrow('out of memory')
    expect(await cards.of(poll('?', ['a', 'b']), budget)).toMatchObject({ png: pngOf(1) })
  })

  const at = (uri: string) => ({ ...poll('?', ['a', 'b']), uri })

  test('one is drawn once for all who ask at the same time', async () => {
    const draw = drawn()
    const cards = new Cards(draw)
    await Promise.all([cards.of(at('a'), budget), cards.of(at('a'), budget)])
    expect(draw).toHaveBeenCalledTimes(1)
  })

  test('the ones asked for last, up to 32 MB', async () => {
    const draw = vi.fn<Draw>(async () => new Uint8Array(8 * 1024 * 1024))
    const cards = new Cards(draw)
    for (const uri of ['a', 'b', 'c', 'd', 'a', 'e']) await cards.of(at(uri), budget)
    expect(draw).toHaveBeenCalledTimes(5)
    await cards.of(at('a'), budget)
    expect(draw).toHaveBeenCalledTimes(5)
    await cards.of(at('b'), budget)
    expect(draw).toHaveBeenCalledTimes(6)
  })

  test('when a hundred are waiting no other is taken', async () => {
    const waiting = Promise.withResolvers<Uint8Array<ArrayBuffer>>()
    const cards = new Cards(() => waiting.promise)
    const asked = Array.from({ length: 101 }, (_, i) => cards.of(at(`${i}`), budget))
    expect(await asked[100]).toBeUndefined()
    waiting.resolve(pngOf(1))
    expect((await Promise.all(asked.slice(0, 100))).every((card) => card !== undefined)).toBe(true)
    expect(await cards.of(at('100'), budget)).toBeDefined()
  })
})
