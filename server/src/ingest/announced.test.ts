import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { pollUri } from '../../test/records.ts'
import { AnnouncedRecords } from './announced.ts'
import { unlimited } from './budget.ts'
import { createOutbound, type Outbound } from './outbound.ts'
import type { Repos } from './repos.ts'

const VOTES = 200
const all = { ok: true, value: { read: VOTES + 1, failed: 0, complete: true } }
const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
const coffee = pollUri('did:plc:alice', '3kbbbbbbbbbb2')

const votesOf = vi.fn<() => Promise<string[]>>(async () =>
  Array.from({ length: VOTES }, (_, i) => `at://did:plc:v${i}/tech.waow.vote/1`),
)

let stop: AbortController
let outbound: Outbound
let announced: AnnouncedRecords

beforeEach(() => {
  stop = new AbortController()
  outbound = createOutbound({ local: true, trusted: [], signal: stop.signal })
  const readRecord: Repos['readRecord'] = ({ budget, ...record }) =>
    outbound.read(budget, async () => {
      await setImmediate()
      return { ...record, rev: '3kaaaaaaaaaa2', record: null, cid: undefined }
    })
  announced = new AnnouncedRecords({
    repos: { readRecord } as Repos,
    store: async () => ({ ok: true, value: undefined }),
    subjectOf: async () => undefined,
    track: () => {},
    votesOf,
  })
})

afterEach(() => stop.abort())

test('a verification succeeds whatever else its first asker has under way: all who ask get its result', async () => {
  const asker = unlimited('192.0.2.1')
  for (let i = 0; i < 300; i++) void outbound.read(asker, () => new Promise(() => {}))
  expect(await announced.verify(tea, asker)).toEqual(all)
})

test('two polls with many votes can be verified at once', async () => {
  const asker = unlimited('192.0.2.1')
  expect(await Promise.all([tea, coffee].map((uri) => announced.verify(uri, asker)))).toEqual([all, all])
})

test('a few polls at once; one that is refused for that can be verified later', async () => {
  const asker = unlimited('192.0.2.1')
  const uris = Array.from({ length: 9 }, (_, i) => pollUri('did:plc:alice', `poll${i}`))
  const results = await Promise.all(uris.map((uri) => announced.verify(uri, asker)))
  expect(results.slice(0, 8)).toEqual(uris.slice(0, 8).map(() => all))
  expect(results[8]).toMatchObject({ ok: false, error: 'Busy' })
  expect(await announced.verify(uris[8]!, asker)).toEqual(all)
})

test('a database that could not be asked for the votes is asked again', async () => {
  const asker = unlimited('192.0.2.1')
  votesOf.mockRejectedValueOnce(new Error('away'))
  await expect(announced.verify(tea, asker)).rejects.toThrow('away')
  expect(await announced.verify(tea, asker)).toEqual(all)
})
