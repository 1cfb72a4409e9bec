import { home } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { beforeEach, expect, test, vi } from 'vitest'
import { endedLately, LATELY, type EndedOptions } from './ended.ts'
import type { Look } from './look.ts'

const alice = 'did:plc:a'
const now = Date.parse('2026-03-01T12:00:00Z')
const iso = (at: number) => new Date(at).toISOString()
const uriOf = (did: string, rkey: string) => `at://${did}/${home.poll}/${rkey}`

/** The server's polls, and its clock. */
let polls: Map<string, PollView>
let clock: number
let voted: string[]
let made: [rkey: string, endsAt: string | undefined][]
let looked: string[]
let options: EndedOptions

function put(uri: string, endsAt: number | undefined): string {
  const end = endsAt === undefined ? {} : { endsAt: iso(endsAt) }
  polls.set(uri, { uri, version: 1, ...end } as PollView)
  return uri
}

beforeEach(({ onTestFinished }) => {
  vi.useFakeTimers({ now })
  onTestFinished(() => void vi.useRealTimers())
  polls = new Map()
  clock = now
  voted = []
  made = []
  looked = []
  options = {
    index: { refresh: async () => {}, all: async () => voted.map((poll) => ({ poll })) as never },
    repos: {
      list: async () => ({
        records: made.map(([rkey, endsAt]) => ({
          uri: uriOf(alice, rkey),
          value: {
            $type: home.poll,
            text: '?',
            options: ['Yes', 'No'],
            createdAt: iso(now),
            ...(endsAt === undefined ? {} : { endsAt }),
          },
        })),
        cursor: undefined,
      }),
    } as never,
    look: async (uri): Promise<Look> => {
      looked.push(uri)
      const poll = polls.get(uri)
      return poll ? { poll, now: clock } : 'gone'
    },
  }
})

const ended = async (did: string | undefined, asked: string[] = []) =>
  (await endedLately(options, did, asked)).map(({ uri }) => uri)

test('what somebody voted on, made, or asked to be told of, the latest first, each once', async () => {
  const on = put(uriOf('did:plc:b', '1'), now - 2_000)
  const own = put(uriOf(alice, '2'), now - 1_000)
  const other = put(uriOf('did:plc:c', '3'), now - 3_000)
  voted = [on, on, own]
  made = [['2', iso(now - 1_000)]]
  expect(await ended(alice, [other, on])).toEqual([own, on, other])
  expect(looked).toHaveLength(3)
  expect(await ended(undefined, [other])).toEqual([other])
})

test('only what has ended, by the server’s clock, and in the last week', async () => {
  voted = [
    put(uriOf('did:plc:b', '1'), now + 1),
    put(uriOf('did:plc:b', '2'), undefined),
    put(uriOf('did:plc:b', '3'), now - LATELY),
    put(uriOf('did:plc:b', '4'), now),
    uriOf('did:plc:b', 'deleted'),
    'at://did:plc:b/app.bsky.feed.post/5',
  ]
  expect(await ended(alice)).toEqual([voted[3]])
  expect(looked).not.toContain(voted[5])
  clock = now + 1
  expect(await ended(alice)).toEqual([voted[0], voted[3]])
})

test('of one’s own polls the server is asked only for those whose record has an end near now', async () => {
  const own = put(uriOf(alice, '1'), now - 1)
  made = [
    ['1', iso(now - 1)],
    ['2', undefined],
    ['3', iso(now - 3 * LATELY)],
    ['4', iso(now + 3 * LATELY)],
  ]
  expect(await ended(alice)).toEqual([own])
  expect(looked).toEqual([own])
})

test('it is bounded, and a PDS that is away takes nothing from the rest', async () => {
  voted = Array.from({ length: 100 }, (_, i) => put(uriOf('did:plc:b', String(i)), now - i))
  options.repos.list = () => Promise.reject(new Error('away'))
  options.index.refresh = () => Promise.reject(new Error('away'))
  expect(await ended(alice)).toHaveLength(10)
  expect(looked).toHaveLength(30)
  expect(await ended(undefined, voted.toReversed())).toHaveLength(10)
  expect(looked.slice(30)).toEqual(voted.toReversed().slice(0, 30))
})
