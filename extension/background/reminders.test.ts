import 'fake-indexeddb/auto'
import type { Look } from '@pollz/engine/look'
import type { PollView } from '@pollz/shared/wire'
import { IDBFactory } from 'fake-indexeddb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Reminders, type Teller } from './reminders.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const iso = (at: number) => new Date(at).toISOString()

const uri = 'at://did:plc:b/tech.waow.poll/1'
const endsAt = iso(NOW + HOUR)
const ending = { uri, text: 'Tea?', endsAt }

const view = (more: Partial<PollView> = {}): PollView => ({
  uri,
  repo: 'did:plc:b',
  rkey: '1',
  text: 'Tea?',
  options: [{ text: 'Yes', count: 3 }],
  total: 3,
  createdAt: iso(NOW - DAY),
  endsAt,
  edited: false,
  version: 7,
  ...more,
})

/** By how many ms the server's clock is ahead of this one. */
let ahead: number
/** What the server answers to whoever looks. */
let answer: (uri: string) => Look | Promise<Look>
let looks: string[]
/** When the alarm rings. */
let alarm: number | undefined
/** Every notification that was ever shown: its poll, and how many votes it said. */
let told: [string, number | undefined][]
/** Those that nobody has closed. */
let open: Set<string>
let changes: number

/** As a server with a poll answers. */
const server =
  (poll: PollView): typeof answer =>
  () => ({ poll, now: Date.now() + ahead })

const teller: Teller = {
  alarm: async (at) => void (alarm = at),
  show: async (it, poll) => {
    told.push([it.uri, poll?.total])
    open.add(it.uri)
  },
  isShown: async (it) => open.has(it),
  hide: async (it) => open.delete(it),
  look: async (it) => {
    looks.push(it)
    return answer(it)
  },
  changed: () => changes++,
}

/** As the background starts. */
async function start(over: Partial<Teller> = {}): Promise<Reminders> {
  const reminders = await Reminders.open({ ...teller, ...over })
  await reminders.start()
  return reminders
}

/** Time passes until the alarm rings. */
async function rings(reminders: Reminders): Promise<void> {
  vi.setSystemTime(alarm!)
  await reminders.ring()
}

beforeEach(() => {
  // IndexedDB needs its own timers.
  vi.useFakeTimers({ toFake: ['Date'], now: NOW })
  globalThis.indexedDB = new IDBFactory()
  ahead = 0
  answer = server(view())
  looks = []
  alarm = undefined
  told = []
  open = new Set()
  changes = 0
})

afterEach(() => void vi.useRealTimers())

test('it is told at the end, with the result, once, and then it is only known to have been', async () => {
  const reminders = await start()
  await reminders.remind(ending, 0)
  expect([reminders.pending, changes, looks]).toEqual([[ending], 1, []])
  expect(alarm).toBeGreaterThanOrEqual(NOW + HOUR)
  await rings(reminders)
  await reminders.ring()
  expect(told).toEqual([[uri, 3]])
  expect(looks).toEqual([uri])
  expect([reminders.pending, reminders.told, alarm, changes]).toEqual([[], [uri], undefined, 2])
})

test.each([
  ['behind', 10 * MINUTE],
  ['ahead', -10 * MINUTE],
])('the end is by the server’s clock: this one is %s', async (_, by) => {
  ahead = by
  const reminders = await start()
  await reminders.remind(ending, ahead)
  expect(Math.abs(alarm! - (NOW + HOUR - by))).toBeLessThanOrEqual(SECOND)
  await rings(reminders)
  expect(told).toEqual([[uri, 3]])
})

test('a clock that moves is noticed when the alarm rings', async () => {
  const reminders = await start()
  await reminders.remind(ending, 0)
  ahead = -5 * MINUTE
  await rings(reminders)
  expect([told, reminders.pending]).toEqual([[], [ending]])
  expect(alarm).toBeGreaterThanOrEqual(NOW + HOUR + 5 * MINUTE)
  await rings(reminders)
  expect(told).toEqual([[uri, 3]])
})

test('undone, nobody is told', async () => {
  const reminders = await start()
  await reminders.remind(ending, 0)
  await reminders.unremind(uri)
  expect([reminders.pending, reminders.told, alarm, changes]).toEqual([[], [], undefined, 2])
  vi.setSystemTime(NOW + 2 * HOUR)
  await reminders.ring()
  await (await start()).ring()
  expect([told, looks]).toEqual([[], []])
})

describe('the background starts', () => {
  test('with alarms that the browser has forgotten: they are set anew', async () => {
    await (await start()).remind(ending, 0)
    alarm = undefined
    const again = await start()
    expect(again.pending).toEqual([ending])
    expect(alarm).toBeGreaterThanOrEqual(NOW + HOUR)
    await rings(again)
    expect(told).toEqual([[uri, 3]])
  })

  test('after the end: what ended while the browser was closed is told, once', async () => {
    await (await start()).remind(ending, 0)
    vi.setSystemTime(NOW + 3 * DAY)
    const reminders = await start()
    expect(told).toEqual([[uri, 3]])
    open.clear()
    await reminders.ring()
    await start()
    expect(told).toEqual([[uri, 3]])
  })

  test('after it died between showing and noting: it is not shown again', async () => {
    await (await start()).remind(ending, 0)
    vi.setSystemTime(alarm!)
    const dying = await Reminders.open({
      ...teller,
      show: async (...what) => {
        await teller.show(...what)
        return new Promise(() => {})
      },
    })
    void dying.ring()
    await vi.waitUntil(() => told.length === 1)
    const reminders = await start()
    expect(told).toEqual([[uri, 3]])
    expect(reminders.told).toEqual([uri])
  })

  test('by a notification that was closed, which it had not noted: it is not shown again', async () => {
    await (await start()).remind(ending, 0)
    vi.setSystemTime(alarm!)
    const reminders = await Reminders.open(teller)
    await reminders.seen(uri)
    await reminders.start()
    expect([told, reminders.told]).toEqual([[], [uri]])
  })

  test('by its alarm: both ask once, and tell once', async () => {
    await (await start()).remind(ending, 0)
    vi.setSystemTime(alarm!)
    const reminders = await Reminders.open(teller)
    await Promise.all([reminders.start(), reminders.ring()])
    expect([looks, told]).toEqual([[uri], [[uri, 3]]])
  })
})

describe('while its server is asked', () => {
  let tell: (it: Look) => void

  beforeEach(() => {
    answer = () => new Promise((resolve) => (tell = resolve))
  })

  test('a page that shows the end at that moment tells it no second time', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    vi.setSystemTime(alarm!)
    const ringing = reminders.ring()
    await reminders.saw(view(), Date.now())
    tell({ poll: view({ total: 4 }), now: Date.now() })
    await ringing
    expect(told).toEqual([[uri, 3]])
  })

  test('it may be undone', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    vi.setSystemTime(alarm!)
    const ringing = reminders.ring()
    await reminders.unremind(uri)
    tell({ poll: view(), now: Date.now() })
    await ringing
    expect([told, reminders.told]).toEqual([[], []])
  })

  test('another one that is asked for does not have the alarm ring again for the first', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    vi.setSystemTime(alarm!)
    const ringing = reminders.ring()
    const later = { ...ending, uri: `${uri}2`, endsAt: iso(NOW + DAY) }
    await reminders.remind(later, 0)
    expect(alarm).toBeGreaterThanOrEqual(NOW + DAY)
    tell('away')
    await ringing
    expect(alarm).toBeLessThan(NOW + DAY)
  })
})

describe('the author', () => {
  test('moves the end: the alarm moves as soon as that is seen, there and back', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    const sooner = iso(NOW + MINUTE)
    await reminders.saw(view({ endsAt: sooner, text: 'Tea, then?' }), NOW)
    expect(reminders.pending).toEqual([{ uri, text: 'Tea, then?', endsAt: sooner }])
    expect(alarm).toBeLessThan(NOW + HOUR)
    await reminders.saw(view(), NOW)
    expect(alarm).toBeGreaterThanOrEqual(NOW + HOUR)
    expect(told).toEqual([])
  })

  test('moves it later while nobody looks: it is told then', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    const later = view({ endsAt: iso(NOW + DAY) })
    answer = server(later)
    await rings(reminders)
    expect([told, reminders.pending[0]?.endsAt]).toEqual([[], later.endsAt])
    await rings(reminders)
    expect(told).toEqual([[uri, 3]])
  })

  test('moves it later once it was told: whoever asks again is told again', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    await rings(reminders)
    const later = view({ endsAt: iso(NOW + DAY), total: 5 })
    answer = server(later)
    await reminders.remind({ ...ending, endsAt: later.endsAt! }, 0)
    await rings(reminders)
    expect(told).toEqual([
      [uri, 3],
      [uri, 5],
    ])
  })

  test.each<[string, Look]>([
    ['deletes it', 'gone'],
    ['takes its end away', { poll: { ...view(), endsAt: undefined } as never, now: NOW + HOUR }],
  ])('%s: it goes without a word', async (_, look) => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    answer = () => look
    await rings(reminders)
    expect([told, reminders.pending, reminders.told, alarm]).toEqual([[], [], [], undefined])
    expect((await start()).pending).toEqual([])
  })
})

describe('a server that is away at the end', () => {
  test('is asked again, and the result is told when it is back', async () => {
    const reminders = await start()
    await reminders.remind(ending, 0)
    answer = () => 'away'
    await rings(reminders)
    expect([told, looks]).toEqual([[], [uri]])
    expect(alarm).toBeGreaterThan(Date.now())
    answer = server(view({ total: 9 }))
    await rings(reminders)
    expect(told).toEqual([[uri, 9]])
  })

  test('for an hour, also over restarts: it is told without a result', async () => {
    let reminders = await start()
    await reminders.remind(ending, 0)
    answer = () => 'away'
    while (told.length === 0 && looks.length < 100) {
      vi.setSystemTime(alarm!)
      reminders = await start()
    }
    expect(told).toEqual([[uri, undefined]])
    expect(Date.now() - (NOW + HOUR)).toBeGreaterThanOrEqual(HOUR)
    expect([reminders.told, alarm]).toEqual([[uri], undefined])
  })
})

test('without the permission, which was taken away, it counts as told', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const reminders = await start({ show: () => Promise.reject(new Error('no')) })
  await reminders.remind(ending, 0)
  await rings(reminders)
  expect([reminders.told, alarm]).toEqual([[uri], undefined])
  expect(warn).toHaveBeenCalledOnce()
  warn.mockRestore()
})

test('a week later nothing is left of it', async () => {
  const reminders = await start()
  await reminders.remind(ending, 0)
  await rings(reminders)
  vi.setSystemTime(NOW + 6 * DAY)
  expect((await start()).told).toEqual([uri])
  vi.setSystemTime(NOW + HOUR + 7 * DAY + SECOND)
  await start()
  expect((await Reminders.open(teller)).told).toEqual([])
})

test('of more than a hundred those go that were asked for first', async () => {
  const reminders = await start()
  for (let i = 0; i <= 100; i++) {
    vi.setSystemTime(NOW + i)
    await reminders.remind({ ...ending, uri: `${uri}${i}` }, 0)
  }
  const uris = reminders.pending.map((it) => it.uri)
  expect(uris).toHaveLength(100)
  expect(uris).not.toContain(`${uri}0`)
  expect((await start()).pending).toHaveLength(100)
})

test('of those that were told the last hundred are kept', async () => {
  const reminders = await start()
  for (let i = 0; i <= 100; i++) {
    const it = view({ uri: `${uri}${i}`, endsAt: iso(NOW + i) })
    await reminders.remind({ uri: it.uri, text: it.text, endsAt: it.endsAt! }, 0)
    await reminders.saw(it, NOW + HOUR)
  }
  expect(told).toHaveLength(101)
  expect([reminders.told[0], reminders.told.length]).toEqual([`${uri}100`, 100])
  expect((await start()).told).toEqual(reminders.told)
  expect(reminders.told).not.toContain(`${uri}0`)
})

test('polls that nobody asked to be told of are none of its business', async () => {
  const reminders = await start()
  await reminders.saw(view(), NOW + 2 * HOUR)
  await reminders.seen(uri)
  expect([told, reminders.told, changes]).toEqual([[], [], 0])
})
