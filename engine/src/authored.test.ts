import 'fake-indexeddb/auto'
import { randomUUID } from 'node:crypto'
import { Agent, XRPCError } from '@atproto/api'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import type { PollDraft, ToPage } from '@pollz/shared/engine'
import { families, home, pollHosts } from '@pollz/shared/families'
import { pollLink } from '@pollz/shared/links'
import { tid } from '@pollz/shared/tid'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { cidOf } from '../test/cid.ts'
import { voteRecord } from '../test/vote-record.ts'
import type { Accounts } from './accounts.ts'
import { Authored } from './authored.ts'
import type { Outbox } from './outbox.ts'
import { Pages } from './pages.ts'
import { reasonOf } from './reasons.ts'
import type { Repos } from './repos.ts'
import { openServerDb } from './storage.ts'
import { VoteIndex } from './vote-index.ts'

const alice = { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', handle: 'alice.test' }
const bob = { did: 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb', handle: 'bob.test' }
const server = 'https://pollz.test'
const hosts = pollHosts(server)
const POST = 'app.bsky.feed.post'
const HOUR = 3_600_000

/** Alice's repo: records by at-uri. */
let repo: Map<string, Record<string, unknown>>
let writes: string[]
/** What the companion server is to be told. */
let told: string[]
let heard: ToPage[]
let answer: (write: string) => Response | undefined
/** By how many ms the server's clock is ahead. */
let ahead: number
/** Why the PDS lets nobody read. */
let unreadable: Error | undefined
/** What happens to a request before it arrives. */
let wire: (arrive: () => Response) => Promise<Response>
let authored: Authored

const uriOf = (collection: string, rkey: string, did = alice.did) =>
  formatAtUri({ repo: did, collection, rkey })

beforeEach(async () => {
  repo = new Map()
  writes = []
  told = []
  heard = []
  ahead = 0
  answer = () => undefined
  unreadable = undefined
  wire = async (arrive) => arrive()
  const agent = new Agent(async (path, init) => {
    const { collection, rkey, record, swapRecord } = JSON.parse(await new Response(init.body).text()) as {
      collection: string
      rkey: string
      record: Record<string, unknown> | undefined
      swapRecord: string | null | undefined
    }
    const uri = uriOf(collection, rkey)
    const write = `${path.replace('/xrpc/com.atproto.repo.', '')} ${rkey} ${JSON.stringify(record)}`
    // As a PDS: what changes nothing needs not name the version that is there.
    const arrive = () => {
      const refused = answer(write)
      if (refused) return refused
      const there = repo.get(uri)
      const changes = record ? !there || cidOf(there) !== cidOf(record) : there !== undefined
      if (changes && swapRecord !== undefined && swapRecord !== (there ? cidOf(there) : null))
        return Response.json({ error: 'InvalidSwap', message: 'another version' }, { status: 400 })
      writes.push(write)
      if (record) repo.set(uri, record)
      else repo.delete(uri)
      return Response.json(record ? { uri, cid: cidOf(record) } : {})
    }
    return wire(arrive)
  })
  const repos = {
    canonical: async (uri: string) => uri.replace(alice.handle, alice.did).replace(bob.handle, bob.did),
    collections: async () => [...repo.keys()].map((uri) => parseAtUri(uri)!.collection),
    read: async (uri: string) => {
      if (unreadable) throw unreadable
      const value = repo.get(uri)
      return value && { cid: cidOf(value), value }
    },
    list: async (
      did: string,
      collection: string,
      { limit, cursor = '~' }: { limit: number; cursor?: string },
    ) => {
      const records = [...repo]
        .map(([uri, value]) => ({ uri, value, ...parseAtUri(uri)! }))
        .filter((it) => it.repo === did && it.collection === collection && it.rkey < cursor)
        .toSorted((a, b) => (a.rkey < b.rkey ? 1 : -1))
      return { records: records.slice(0, limit), cursor: records[limit - 1]?.rkey }
    },
  } as unknown as Repos
  const pages = new Pages()
  const port = { postMessage: (message: ToPage) => void heard.push(message) }
  pages.add(port, 1)
  pages.shown(port).add(uriOf(home.poll, 'a'))
  authored = new Authored({
    accounts: { agent: async () => agent } as unknown as Accounts,
    repos,
    pages,
    index: new VoteIndex(openServerDb(randomUUID()), repos),
    outbox: {
      add: async (what: string, uri: string) => void told.push(`${what} ${uri}`),
    } as unknown as Outbox,
    ahead: () => ahead,
  })
})

/** As something is done that was clicked at a time. */
const clicked = (at: number) => ({ did: alice.did, at, signal: new AbortController().signal })
const now = Date.parse('2026-03-01T12:00:00Z')
const draft = { text: 'Tabs or spaces?', options: ['Tabs', 'Spaces'] }

test('a draft that is published hours later has the time of its publishing', async () => {
  // Its key was made when the editor was opened.
  const rkey = tid(now * 1_000)
  const act = { type: 'publish', rkey, draft } as const
  const uri = await authored.publish(act, clicked(now + 5 * HOUR))
  expect(uri).toBe(uriOf(home.poll, rkey))
  expect(repo.get(uri)).toEqual({ $type: home.poll, ...draft, createdAt: '2026-03-01T17:00:00.000Z' })
  expect(home.readPoll(repo.get(uri), { did: alice.did, collection: home.poll, rkey }).ok).toBe(true)
  // Whenever it is tried again, it writes the same bytes.
  await authored.publish(act, clicked(now + 5 * HOUR))
  expect(new Set(writes).size).toBe(1)
  expect(told).toEqual([`polls ${uri}`, `polls ${uri}`])
})

test('a poll that is changed keeps its key and its date', async () => {
  const uri = await authored.publish({ type: 'publish', rkey: 'a', draft }, clicked(now))
  const { createdAt } = repo.get(uri) as { createdAt: string }
  const changed = { text: 'Tabs, or spaces?', options: ['Tabs', 'Spaces', 'Both'], createdAt }
  expect(await authored.publish({ type: 'publish', rkey: 'a', draft: changed }, clicked(now + HOUR))).toBe(
    uri,
  )
  expect([...repo]).toEqual([[uri, { $type: home.poll, ...changed }]])
})

describe('an end, and several choices', () => {
  const endsAt = '2026-03-01T13:00:00.000Z'
  const publish = (more: Partial<PollDraft>, at = now) =>
    authored.publish({ type: 'publish', rkey: 'a', draft: { ...draft, ...more } }, clicked(at))

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now })
    onTestFinished(() => void vi.useRealTimers())
  })

  test('are in the record where there are any', async () => {
    const uri = await publish({ endsAt, multiple: true })
    const record = { $type: home.poll, ...draft, createdAt: '2026-03-01T12:00:00.000Z' }
    expect(repo.get(uri)).toEqual({ ...record, endsAt, multiple: true })
  })

  test('stay to the digit where a change does not say them, and so does what is not ours', async () => {
    const uri = uriOf(home.poll, 'a')
    const { createdAt, ...theirs } = {
      $type: home.poll,
      createdAt: '2026-03-01T11:00:00Z',
      endsAt: '2026-03-01T14:00:00.123456+01:00',
      multiple: true,
      'example.test/langs': ['en'],
    }
    repo.set(uri, { ...theirs, createdAt, text: 'Tabs?', options: ['Yes', 'No'] })
    // It has ended by now, which is no reason to refuse another text.
    vi.setSystemTime(now + 5 * HOUR)
    await publish({ createdAt })
    expect(repo.get(uri)).toEqual({ ...theirs, ...draft, createdAt })
    await publish({ createdAt, endsAt: null, multiple: false })
    const { endsAt: _, multiple: __, ...rest } = theirs
    expect(repo.get(uri)).toEqual({ ...rest, ...draft, createdAt })
  })

  test('that has passed by the server’s clock when it could be written is not written', async () => {
    vi.setSystemTime(now + HOUR - 1)
    await publish({ endsAt })
    ahead = 1
    expect(await publish({ endsAt }).catch(reasonOf)).toEqual({ name: 'tooLate' })
    expect(await publish({ endsAt, createdAt: endsAt }).catch(reasonOf)).toEqual({ name: 'tooLate' })
    expect(writes.length).toBe(1)
  })
})

test('a poll that is deleted is gone from the repo, and from the pages that show it', async () => {
  const uri = await authored.publish({ type: 'publish', rkey: 'a', draft }, clicked(now))
  await authored.delete({ type: 'delete', uri }, clicked(now))
  expect([...repo]).toEqual([])
  expect(told).toEqual([`polls ${uri}`, `polls ${uri}`])
  expect(heard).toEqual([{ type: 'missing', uri, error: 'PollNotFound' }])
})

test('one that a page knows by the handle is the same poll; that of somebody else is not touched', async () => {
  const uri = await authored.publish({ type: 'publish', rkey: 'a', draft }, clicked(now))
  const byHandle = uri.replace(alice.did, alice.handle)
  expect(await authored.delete({ type: 'delete', uri: byHandle }, clicked(now))).toBe(uri)
  const bobs = uriOf(home.poll, 'a', bob.did)
  await expect(authored.delete({ type: 'delete', uri: bobs }, clicked(now))).rejects.toThrow('not a poll of')
  // A post would be left without the poll that is part of it.
  for (const { poll } of families.filter((it) => it.poll !== home.poll))
    await expect(authored.delete({ type: 'delete', uri: uriOf(poll, 'a') }, clicked(now))).rejects.toThrow(
      'another client',
    )
  expect(writes.length).toBe(2)
})

describe('a request that comes late', () => {
  const publish = (text: string, signal = new AbortController().signal) =>
    authored.publish(
      { type: 'publish', rkey: 'a', draft: { ...draft, text, createdAt: '2026-03-01T12:00:00.000Z' } },
      { did: alice.did, at: now, signal },
    )
  const uri = uriOf(home.poll, 'a')
  const remove = (signal = new AbortController().signal) =>
    authored.delete({ type: 'delete', uri }, { did: alice.did, at: now, signal })
  const text = () => repo.get(uri)?.['text']

  /** Does what is on its way when nobody waits any more. @returns lets it arrive */
  async function late(act: (signal: AbortSignal) => Promise<string>): Promise<() => Response> {
    const stop = new AbortController()
    const sent = Promise.withResolvers<() => Response>()
    wire = (arrive) => {
      sent.resolve(arrive)
      return new Promise((_, reject) => {
        stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error))
      })
    }
    const acting = act(stop.signal)
    const arrive = await sent.promise
    stop.abort(new DOMException('it took too long', 'TimeoutError'))
    await expect(acting).rejects.toThrow('it took too long')
    wire = async (it) => it()
    return arrive
  }

  beforeEach(() => publish('First'))

  test('does not undo a newer version', async () => {
    const arrive = await late((signal) => publish('Second', signal))
    await publish('Third')
    expect(arrive().status).toBe(400)
    expect(text()).toBe('Third')
  })

  test('nor the end of the poll', async () => {
    const arrive = await late((signal) => publish('Second', signal))
    await remove()
    expect(arrive().status).toBe(400)
    expect(text()).toBeUndefined()
  })

  test('nor, as a deletion, a version that was published since', async () => {
    const arrive = await late((signal) => remove(signal))
    await publish('Second')
    expect(arrive().status).toBe(400)
    expect(text()).toBe('Second')
  })

  test('is followed where it arrives just before', async () => {
    const arrive = await late((signal) => publish('Second', signal))
    let before: (() => Response) | undefined = arrive
    wire = async (it) => {
      before?.()
      before = undefined
      return it()
    }
    await publish('Third')
    expect(text()).toBe('Third')
  })
})

test('what the PDS refuses is said, and nobody is told of anything', async () => {
  answer = () => Response.json({ error: 'InvalidRequest', message: 'not today' }, { status: 400 })
  const publish = authored.publish({ type: 'publish', rkey: 'a', draft }, clicked(now))
  expect(await publish.catch(reasonOf)).toEqual({ name: 'refused', detail: 'not today' })
  const removal = authored.delete({ type: 'delete', uri: uriOf(home.poll, 'a') }, clicked(now))
  expect(await removal.catch(reasonOf)).toEqual({ name: 'refused', detail: 'not today' })
  expect([told, heard]).toEqual([[], []])
})

test('where it lets nobody read, its reason is that of the write', async () => {
  answer = () => Response.json({ error: 'AccountDeactivated', message: 'deactivated' }, { status: 400 })
  for (const status of [400, 502]) {
    unreadable = new XRPCError(status, 'RepoNotFound', 'Could not find repo')
    const publish = authored.publish({ type: 'publish', rkey: 'a', draft }, clicked(now))
    expect(await publish.catch(reasonOf)).toEqual({ name: 'refused', detail: 'deactivated' })
  }
  // Of what nobody can say, nothing is written over.
  unreadable = new TypeError('fetch failed')
  answer = () => undefined
  const removal = authored.delete({ type: 'delete', uri: uriOf(home.poll, 'a') }, clicked(now))
  expect(await removal.catch(reasonOf)).toEqual({ name: 'unreachable' })
  expect(writes).toEqual([])
})

test('what was voted on lately comes by the date of the votes: their keys are hashes', async () => {
  const [ours, theirs] = families as [(typeof families)[number], (typeof families)[number]]
  const polls = Array.from({ length: 15 }, (_, i) => uriOf((i % 3 ? ours : theirs).poll, `p${i}`, bob.did))
  for (const [i, subject] of polls.entries()) {
    const family = i % 3 ? ours : theirs
    const createdAt = new Date(now + i * HOUR).toISOString()
    // The greatest key is that of the oldest vote.
    const rkey = String.fromCodePoint(122 - i)
    repo.set(uriOf(family.votes[0]!.nsid, rkey), voteRecord({ subject, option: 0, createdAt }, family))
  }
  // Another vote for the same poll, and what is none.
  const vote = voteRecord({ subject: polls[13]!, option: 1, createdAt: new Date(now).toISOString() })
  repo.set(uriOf(home.vote, 'again'), vote)
  const late = new Date(now + 99 * HOUR).toISOString()
  repo.set(uriOf(home.vote, 'none'), voteRecord({ subject: `at://${bob.did}`, option: 0, createdAt: late }))
  const { votedOn } = await authored.mine(alice.did, hosts)
  expect(votedOn).toEqual(polls.toReversed().slice(0, 10))
})

const linkTo = (uri: string) => pollLink(uri, hosts, server)
/** @param more of the post, as bsky.app writes it */
const post = (at: number, more: object) =>
  repo.set(uriOf(POST, tid(at * 1_000)), { $type: POST, text: '', ...more })
const makePoll = (at: number) => {
  const uri = uriOf(home.poll, tid(at * 1_000))
  repo.set(uri, { $type: home.poll, ...draft, createdAt: new Date(at).toISOString() })
  return uri
}

test('of a poll it is known whether a post links to it, as a card or in the text, by DID or handle', async () => {
  const [first, second, third, fourth, fifth] = [1, 2, 3, 4, 5].map((n) => makePoll(now + n * HOUR)) as [
    string,
    string,
    string,
    string,
    string,
  ]
  const later = now + 10 * HOUR
  post(later, { embed: { external: { uri: linkTo(first) } } })
  post(later + 1, { facets: [{ features: [{ uri: linkTo(second) }] }] })
  post(later + 2, { embed: { media: { external: { uri: linkTo(third) } } } })
  post(later + 3, { embed: { external: { uri: linkTo(fourth).replace(alice.did, alice.handle) } } })
  post(later + 4, { embed: { external: { uri: linkTo(fifth).replace(alice.did, bob.did) } } })
  post(later + 5, { embed: { external: { uri: 'https://elsewhere.test' } }, facets: [{}, null] })
  const { made } = await authored.mine(alice.did, hosts)
  expect(made).toEqual(
    [fifth, fourth, third, second, first].map((uri) => ({ uri, options: 2, posted: uri !== fifth })),
  )
})

test('a poll that is older than all that can be searched is not said to be not posted', async () => {
  const [old, recent] = [makePoll(now), makePoll(now + 1_000 * HOUR)]
  for (let i = 1; i <= 400; i++) post(now + i * HOUR, {})
  const posted = async () => {
    const { made } = await authored.mine(alice.did, hosts)
    return made.map(({ uri, posted }) => [uri, posted])
  }
  expect(await posted()).toEqual([
    [recent, false],
    [old, undefined],
  ])
  post(now + 1_001 * HOUR, { embed: { external: { uri: linkTo(old) } } })
  expect(await posted()).toEqual([
    [recent, false],
    [old, true],
  ])
})

test('a post that is not as posts are hides no other', async () => {
  const uri = makePoll(now)
  repo.set(uriOf(POST, 'a'), { $type: POST, facets: 'what is this' })
  repo.set(uriOf(POST, 'b'), { $type: POST, facets: [{ features: 'and this' }] })
  expect((await authored.mine(alice.did, hosts)).made).toEqual([{ uri, options: 2, posted: false }])
})
