/** Walking through a relay's lists, again and again. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { families, familyOfPoll, type Family } from '@pollz/shared/families'
import { createLog } from '../log.ts'
import { History } from './history.ts'
import type { RepoRead } from './repos.ts'

const tokimeki = familyOfPoll.get('tech.tokimeki.poll.poll')!
const collection = tokimeki.votes[0]!.nsid

let stop: AbortController
/** Who has records of TOKIMEKI's; undefined: the relay does not answer. */
let named: string[] | undefined
/** It answers nothing for this collection. */
let refused: string | undefined
let asked: number
let tracked: Set<string>
let told: string[][]
let history: History

beforeEach(() => {
  stop = new AbortController()
  named = []
  refused = undefined
  asked = 0
  tracked = new Set()
  told = []
  const walked = new Map<string, number>()
  history = new History({
    relayUrl: 'https://relay.example',
    repos: {
      listRepos: async ({ collection: of }): Promise<RepoRead<{ dids: string[]; cursor: undefined }>> => {
        asked++
        return named && of !== refused
          ? { ok: true, value: { dids: of === collection ? named : [], cursor: undefined } }
          : { ok: false, error: 'UpstreamFailure', message: 'away' }
      },
    },
    tracked: async (dids) => new Set(dids.filter((did) => tracked.has(did))),
    track: async (dids) => {
      told.push(dids)
      for (const did of dids) tracked.add(did)
    },
    walked: {
      last: async (of) => walked.get(of),
      remember: async (of, time) => walked.set(of, time),
    },
    onTold: () => {},
    log: createLog('error'),
    signal: stop.signal,
    again: 5,
    every: 5,
  })
})

afterEach(() => {
  stop.abort()
})

const isKnown = (family: Family) => history.knownUntil(family) !== undefined

test('whom Jetstream did not name is named by a later walk, and nobody twice', async () => {
  named = ['did:plc:a', 'did:plc:b']
  void history.run()
  await vi.waitUntil(() => told.length > 0)
  named = ['did:plc:a', 'did:plc:b', 'did:plc:missed']
  await vi.waitUntil(() => told.length > 1)
  expect(told).toEqual([['did:plc:a', 'did:plc:b'], ['did:plc:missed']])
})

test('a relay that is away is asked again, and until it has answered its voters are not known', async () => {
  named = undefined
  void history.run()
  await vi.waitUntil(() => asked > 2)
  expect(families.filter(isKnown)).toEqual([families[0]])
  named = ['did:plc:a']
  await vi.waitUntil(() => families.every(isKnown))
  expect(told).toEqual([['did:plc:a']])
  // What was known stays known.
  named = undefined
  const before = asked
  await vi.waitUntil(() => asked > before + 2)
  expect(isKnown(tokimeki)).toBe(true)
})

test('a collection that the relay refuses is left out alone', async () => {
  refused = collection
  void history.run()
  await vi.waitUntil(() => families.filter((family) => !isKnown(family)).length === 1)
  expect(isKnown(tokimeki)).toBe(false)
})
