import 'fake-indexeddb/auto'
import { Agent } from '@atproto/api'
import { parseAtUri } from '@pollz/shared/at-uri'
import { home } from '@pollz/shared/families'
import type { ToPage } from '@pollz/shared/engine'
import { voteRkey } from '@pollz/shared/votes'
import type { PollView } from '@pollz/shared/wire'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { cidOf } from '../test/cid.ts'
import { voteRecord } from '../test/vote-record.ts'
import type { Accounts } from './accounts.ts'
import type { Live } from './live.ts'
import type { Outbox } from './outbox.ts'
import { Pages, type Port } from './pages.ts'
import type { Repos } from './repos.ts'
import { openServerDb } from './storage.ts'
import { VoteIndex } from './vote-index.ts'
import { Votes } from './votes.ts'

const alice = { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' }
const bob = 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb'
const poll = `at://${bob}/${home.poll}/3kabc`
const byHandle = `at://bob.test/${home.poll}/3kabc`
const usual = `at://${alice.did}/${home.vote}/${voteRkey(poll)}`
const others = `at://${alice.did}/${home.vote}/3kother`

type Stored = { cid: string; value: Record<string, unknown> }

/** A repo as a PDS keeps it, with its checks of what is swapped. */
class Repo {
  readonly records = new Map<string, Stored>()
  /** Versions that were written, by option; null: a record was deleted. */
  readonly written: (number | null)[] = []
  /** What happens to a request before it arrives, and to its answer. */
  wire: (arrive: () => Response) => Promise<Response> = async (arrive) => arrive()
  readable = true

  /** Its pages are empty, and there are always more. */
  endless = false

  async page(collection: string) {
    const records = this.list().filter(({ uri }) => uri.split('/')[3] === collection)
    return this.endless ? { records: [], cursor: 'more' } : { records }
  }

  collections(): string[] {
    if (!this.readable) throw new TypeError('fetch failed')
    return this.endless ? [home.vote] : [...this.records.keys()].map((uri) => parseAtUri(uri)!.collection)
  }

  list(): { uri: string; cid: string; value: unknown }[] {
    if (!this.readable) throw new TypeError('fetch failed')
    return [...this.records].map(([uri, stored]) => ({ uri, ...stored }))
  }

  read(uri: string): Stored | undefined {
    if (!this.readable) throw new TypeError('fetch failed')
    return this.records.get(uri)
  }

  put(uri: string, option: number, createdAt: string): void {
    const value = voteRecord({ subject: poll, option, createdAt })
    this.records.set(uri, { value, cid: cidOf(value) })
    this.written.push(option)
  }

  readonly agent = new Agent(async (url, init) => {
    const body = (await new Response(init.body as BodyInit).json()) as Record<string, unknown>
    const arrive = () => (url.includes('putRecord') ? this.#put(body) : this.#delete(body))
    return this.wire(arrive)
  })

  #put(body: Record<string, unknown>): Response {
    const uri = `at://${alice.did}/${String(body['collection'])}/${String(body['rkey'])}`
    const { option, createdAt } = body['record'] as { option: number; createdAt: string }
    const value = voteRecord({ subject: poll, option, createdAt })
    const cid = cidOf(value)
    const known = this.records.get(uri)
    if (known?.cid !== cid) {
      if ('swapRecord' in body && (known?.cid ?? null) !== body['swapRecord']) return swapped()
      this.put(uri, option, createdAt)
    }
    return Response.json({ uri, cid })
  }

  #delete(body: Record<string, unknown>): Response {
    const uri = `at://${alice.did}/${String(body['collection'])}/${String(body['rkey'])}`
    const known = this.records.get(uri)
    if (known) {
      if ('swapRecord' in body && known.cid !== body['swapRecord']) return swapped()
      this.records.delete(uri)
      this.written.push(null)
    }
    return Response.json({})
  }
}

const swapped = () =>
  Response.json({ error: 'InvalidSwap', message: 'Record was at another version' }, { status: 400 })

let repo: Repo
let outbox: {
  add: (what: string, uri: string) => Promise<void>
  hold: () => Promise<void>
  release: () => void
}
let index: VoteIndex
/** As the next worker has it. */
let nextIndex: VoteIndex
let votes: Votes
let told: (ToPage & { type: 'own' })[]
let announced: string[]
/** at-uris with handles for which the network was asked. */
let resolved: string[]
let known: Map<string, PollView>
let pages: Pages
let port: Port
let servers = 0

beforeEach(async () => {
  repo = new Repo()
  told = []
  announced = []
  resolved = []
  known = new Map()
  pages = new Pages()
  port = { postMessage: (it) => void (it.type === 'own' && told.push(it)) }
  pages.add(port, 1)
  pages.shown(port).add(poll)
  const db = openServerDb(`https://votes-${servers++}.test`)
  outbox = { add: async (_, uri) => void announced.push(uri), hold: async () => {}, release: () => {} }
  const repos = {
    canonical: async (uri: string) => {
      if (uri !== byHandle) return uri
      resolved.push(uri)
      return poll
    },
    collections: async () => repo.collections(),
    list: (_: string, collection: string) => repo.page(collection),
    read: async (uri: string) => repo.read(uri),
  } as unknown as Repos
  index = new VoteIndex(db, repos)
  nextIndex = new VoteIndex(db, repos)
  votes = new Votes({
    accounts: { agent: async () => repo.agent } as unknown as Accounts,
    live: { known: (uri: string) => known.get(uri) } as unknown as Live,
    repos,
    pages,
    index,
    outbox: outbox as unknown as Outbox,
    voted: () => {},
  })
  const opened = await db
  await opened.put('sessions', {} as never, alice.did)
  onTestFinished(() => opened.close())
})

let now = Date.parse('2026-11-25T00:00:00.000Z')
const cast = (
  option: number | null,
  { at = now++, signal = new AbortController().signal, uri = poll } = {},
) => votes.cast({ type: 'vote', uri, option }, { did: alice.did, at, signal })
const recorded = () => [...repo.records].map(([uri, { value }]) => [uri, value['option']])
const shown = () => told.at(-1)?.option

test('a vote, another and none', async () => {
  const lists = vi.spyOn(repo, 'list')
  const at = now
  expect(await cast(1)).toBe(poll)
  expect(recorded()).toEqual([[usual, 1]])
  expect(repo.records.get(usual)!.value['createdAt']).toBe(new Date(at).toISOString())
  await cast(2)
  expect(recorded()).toEqual([[usual, 2]])
  await cast(null)
  expect(recorded()).toEqual([])
  expect(told.map(({ option }) => option)).toEqual([1, 2, null])
  expect(announced).toEqual([usual, usual, usual])
  // The answers were enough.
  expect(lists).not.toHaveBeenCalled()
})

test('a vote is for the poll that was clicked, whatever the server takes it for', async () => {
  for (const uri of [poll, byHandle]) {
    known.set(uri, { uri: `at://did:plc:eeeeeeeeeeeeeeeeeeeeeeee/${home.poll}/3kabc` } as PollView)
    expect(await cast(1, { uri })).toBe(poll)
  }
})

test('a vote that another client made is changed, and all are taken back', async () => {
  repo.put(others, 0, '2026-11-24T00:00:00.000Z')
  await cast(1)
  expect(recorded()).toEqual([[others, 1]])
  repo.put(usual, 2, '2026-11-24T00:00:00.000Z')
  await index.expire(alice.did)
  await cast(null)
  expect(recorded()).toEqual([])
})

test('of two votes the one that was clicked counts, though the clock was set back', async () => {
  repo.put(usual, 0, '2030-11-24T12:00:00.000Z')
  repo.put(others, 1, '2030-11-24T11:00:00.000Z')
  await cast(2)
  await index.refresh(alice.did, 0)
  expect(await index.votesFor(alice.did, poll)).toMatchObject([{ uri: usual, option: 2 }, { option: 1 }])
  // What is begun again writes the same.
  repo.wire = async (arrive) => {
    arrive()
    throw new TypeError('fetch failed')
  }
  await cast(0)
  expect(shown()).toBe(0)
})

test('a vote that was cast is cast, though nothing can be noted here', async () => {
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  onTestFinished(() => logged.mockRestore())
  const full = () => Promise.reject(new DOMException('full', 'QuotaExceededError'))
  vi.spyOn(index, 'put').mockImplementation(full)
  vi.spyOn(index, 'delete').mockImplementation(full)
  outbox.add = outbox.hold = full
  expect(await cast(1)).toBe(poll)
  expect(recorded()).toEqual([[usual, 1]])
  await index.refresh(alice.did, 0)
  expect(await cast(null)).toBe(poll)
  expect(recorded()).toEqual([])
  expect(told.map(({ option }) => option)).toEqual([1, null])
  expect(logged).toHaveBeenCalledTimes(6)
})

describe('where the list of votes has no end', () => {
  beforeEach(async () => {
    repo.put(usual, 0, '2026-11-24T00:00:00.000Z')
    repo.endless = true
  })

  test('a vote is changed and taken back', async () => {
    await cast(1)
    expect(recorded()).toEqual([[usual, 1]])
    await index.refresh(alice.did, 0)
    await cast(null)
    expect(recorded()).toEqual([])
    await cast(2)
    await index.refresh(alice.did, 0)
    expect(await index.votesFor(alice.did, poll)).toMatchObject([{ option: 2 }])
  })

  test('a vote whose answer is lost is found', async () => {
    repo.wire = async (arrive) => {
      arrive()
      throw new TypeError('fetch failed')
    }
    expect(await cast(1)).toBe(poll)
    expect(shown()).toBe(1)
  })

  test('one’s own vote is shown', async () => {
    await votes.showOwn(poll, alice)
    expect(told.map(({ option }) => option)).toEqual([0])
  })

  test('whether there is one is not known until that was asked', async () => {
    repo.records.delete(usual)
    await index.refresh(alice.did)
    repo.readable = false
    await votes.showOwn(poll, alice)
    expect(told).toEqual([])
    repo.readable = true
    await votes.refresh(port, alice)
    expect(shown()).toBeNull()
  })
})

test.each([
  { subject: byHandle, option: 0 },
  { subject: poll, option: -1 },
])('what stands where a vote belongs, as $subject option $option, is overwritten', async (vote) => {
  const value = voteRecord({ ...vote, createdAt: '2026-11-24T00:00:00.000Z' })
  repo.records.set(usual, { value, cid: cidOf(value) })
  await cast(1)
  expect(repo.records.get(usual)?.value).toMatchObject({ subject: poll, option: 1 })
})

describe('a poll that is named by a handle', () => {
  beforeEach(() => void pages.shown(port).add(byHandle))

  const arrive = () =>
    pages.send({ type: 'poll', uri: byHandle, poll: { uri: poll } as PollView, tally: 'live' })

  test('asks nobody of its author’s choice before it is clicked', async () => {
    repo.put(usual, 1, '2026-11-25T00:00:00.000Z')
    const read = vi.spyOn(index, 'look')
    await votes.showOwn(byHandle, alice)
    await votes.refresh(port, alice)
    expect(read.mock.calls.map(([, it]) => it)).toEqual([poll])
    expect(resolved).toEqual([])
    await cast(0, { uri: byHandle })
    expect(resolved).toEqual([byHandle])
  })

  test('shows one’s own vote when it is there', async () => {
    repo.put(usual, 1, '2026-11-25T00:00:00.000Z')
    pages.shown(port).delete(poll)
    await votes.showOwn(byHandle, alice)
    await votes.refresh(port, { did: bob })
    expect(told).toEqual([])
    arrive()
    await vi.waitUntil(() => told.length >= 2, { interval: 1 })
    expect(told).toContainEqual({ type: 'own', uri: byHandle, option: 1, voter: alice })
    expect(told).toContainEqual(expect.objectContaining({ voter: { did: bob } }))
    // It is known now.
    await index.expire(alice.did)
    repo.put(usual, 2, '2026-11-25T00:00:01.000Z')
    await votes.refresh(port, alice)
    expect(shown()).toBe(2)
  })

  test('shows it at once where the poll was there before', async () => {
    repo.put(usual, 1, '2026-11-25T00:00:00.000Z')
    known.set(byHandle, { uri: poll } as PollView)
    await votes.showOwn(byHandle, alice)
    expect(told.at(-1)).toMatchObject({ uri: byHandle, option: 1 })
  })
})

test('pages are told that call the poll otherwise', async () => {
  known.set(byHandle, { uri: poll } as PollView)
  pages.shown(port).add(byHandle).add(`at://${bob}/${home.poll}/3kxyz`)
  await cast(1)
  await vi.waitUntil(() => told.length === 2, { interval: 1 })
  expect(told.map(({ uri, option }) => [uri, option])).toEqual([
    [poll, 1],
    [byHandle, 1],
  ])
})

test('what was begun again by the next worker is written once', async () => {
  const at = now++
  await cast(1, { at })
  // It died before it had noted that.
  await index.forget(alice.did)
  await cast(1, { at })
  expect(repo.written).toEqual([1])
})

describe('where the repo has changed since it was listed', () => {
  test('a vote changes what is there now', async () => {
    await cast(0)
    repo.put(others, 2, '2027-01-01T00:00:00.000Z')
    repo.records.delete(usual)
    await cast(1)
    expect(recorded()).toEqual([[others, 1]])
  })

  test('it is taken back all the same', async () => {
    await cast(0)
    repo.put(usual, 2, '2026-11-25T01:00:00.000Z')
    await cast(null)
    expect(recorded()).toEqual([])
  })

  test('and changes all the time, that is said', async () => {
    await cast(0)
    repo.wire = async () => swapped()
    await expect(cast(1)).rejects.toThrow('another version')
  })
})

describe('a request that comes late', () => {
  /** Casts a vote whose request is on its way when nobody waits any more. @returns lets it arrive */
  async function castLate(option: number | null): Promise<() => Response> {
    const stop = new AbortController()
    const sent = Promise.withResolvers<() => Response>()
    repo.wire = (arrive) => {
      sent.resolve(arrive)
      return new Promise((_, reject) => {
        stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error))
      })
    }
    const cast1 = cast(option, { signal: stop.signal })
    const arrive = await sent.promise
    stop.abort(new DOMException('it took too long', 'TimeoutError'))
    await expect(cast1).rejects.toThrow('it took too long')
    repo.wire = async (it) => it()
    return arrive
  }

  test('does not undo a newer vote', async () => {
    const arrive = await castLate(1)
    await cast(2)
    expect((await arrive().json()) as unknown).toMatchObject({ error: 'InvalidSwap' })
    expect(recorded()).toEqual([[usual, 2]])
  })

  test('nor take back a newer vote', async () => {
    await cast(0)
    const arrive = await castLate(null)
    await cast(2)
    arrive()
    expect(recorded()).toEqual([[usual, 2]])
    expect(shown()).toBe(2)
  })

  test('is changed by the newer vote where it comes just before', async () => {
    const arrive = await castLate(1)
    await index.refresh(alice.did, 0)
    arrive()
    await cast(2)
    expect(recorded()).toEqual([[usual, 2]])
  })

  test('is shown', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const arrive = await castLate(1)
    await vi.advanceTimersByTimeAsync(0)
    while (told.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(shown()).toBeNull()
    arrive()
    vi.advanceTimersByTime(1_000)
    while (told.length === 1) await new Promise((resolve) => setImmediate(resolve))
    expect(shown()).toBe(1)
  })
})

describe('where nobody knows how a write went', () => {
  const loseAnswers = () => {
    repo.wire = async (arrive) => {
      arrive()
      throw new TypeError('fetch failed')
    }
  }

  test('it is done when the repo has it', async () => {
    loseAnswers()
    expect(await cast(1)).toBe(poll)
    expect(shown()).toBe(1)
    await cast(null)
    expect(shown()).toBeNull()
    expect(announced).toEqual([usual, usual])
  })

  test('it has failed when the repo has another, which is shown', async () => {
    await cast(0)
    repo.wire = async () => {
      throw new TypeError('fetch failed')
    }
    await expect(cast(1)).rejects.toThrow('fetch failed')
    await vi.waitUntil(() => told.length === 2, { interval: 1 })
    expect(shown()).toBe(0)
  })

  test('nor what the repo has, it is asked again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    loseAnswers()
    repo.readable = false
    await expect(cast(1)).rejects.toThrow('fetch failed')
    repo.readable = true
    expect(told).toEqual([])
    while (told.length === 0) await vi.advanceTimersByTimeAsync(100)
    expect(shown()).toBe(1)
  })

  test('the next worker asks the repo, however lately that was done', async () => {
    await index.refresh(alice.did)
    loseAnswers()
    repo.readable = false
    await expect(cast(1)).rejects.toThrow('fetch failed')
    await expect(index.refresh(alice.did)).rejects.toThrow('fetch failed')
    repo.readable = true
    await nextIndex.look(alice.did, poll)
    expect(await nextIndex.votesFor(alice.did, poll)).toMatchObject([{ option: 1 }])
  })

  test('a vote is taken back without a list, too', async () => {
    repo.put(usual, 1, '2026-11-25T00:00:00.000Z')
    repo.readable = false
    await cast(null)
    expect(recorded()).toEqual([])
  })
})

test('what the PDS refuses is what was there before, and its reason', async () => {
  await cast(0)
  repo.wire = async () => Response.json({ error: 'InvalidRequest', message: 'not today' }, { status: 400 })
  await expect(cast(1)).rejects.toThrow('not today')
  await vi.waitUntil(() => told.length === 2, { interval: 1 })
  expect(shown()).toBe(0)
})

test('one’s own vote is shown as far as it is known, then as the repo has it', async () => {
  await index.refresh(alice.did)
  repo.put(usual, 1, '2026-11-25T00:00:00.000Z')
  await index.expire(alice.did)
  await votes.showOwn(poll, alice)
  expect(told.map(({ option }) => option)).toEqual([null, 1])
  repo.put(usual, 2, '2026-11-25T00:00:01.000Z')
  await index.expire(alice.did)
  await votes.refresh(port, alice)
  expect(shown()).toBe(2)
})
