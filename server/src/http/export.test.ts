import type { PollView } from '@pollz/shared/wire'
import { expect, test, vi, type Mock } from 'vitest'
import { createExport, type ExportSources } from './export.ts'

const poll: PollView = {
  uri: 'at://did:plc:a/tech.waow.poll/1',
  repo: 'did:plc:a',
  rkey: '1',
  text: 'Tea?',
  options: [{ text: 'yes', count: 1 }],
  total: 1,
  createdAt: '2026-11-23T20:15:00.000Z',
  edited: false,
  version: 7,
}

/** A poll whose list of votes never ends. */
function endless(): { sources: ExportSources; read: Mock<ExportSources['countedRecords']> } {
  const read = vi.fn<ExportSources['countedRecords']>(async (_, limit, after) => ({
    records: Array.from({ length: limit }, (_, i) => ({
      voter: `did:plc:${after + i}`,
      uri: `at://did:plc:${after + i}/tech.waow.vote/1`,
      options: [0],
      createdAt: poll.createdAt,
      castAt: poll.createdAt,
      rev: '3kaaaaaaaaaa2',
    })),
    last: after + limit,
  }))
  const sources = {
    lookup: { find: async () => ({ ok: true, uri: poll.uri, poll }) },
    limits: { budget: () => undefined },
    pollNow: async () => ({ state: 'there', poll, at: 1 }),
    countedRecords: read,
    stalled: 50,
  } as unknown as ExportSources
  return { sources, read }
}

const path = `/polls/${encodeURIComponent(poll.uri)}/votes.json`

test('a client that takes nothing is cut off, and keeps no place for ever', async () => {
  const { sources, read } = endless()
  const app = createExport(sources)
  const open = await Promise.all(Array.from({ length: 8 }, () => app.request(path)))
  expect(open.map(({ status }) => status)).toEqual(Array(8).fill(200))
  const refused = await app.request(path)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
  const free = async () => (await app.request(path, { method: 'GET' })).status
  await vi.waitFor(async () => expect(await free()).toBe(200), { timeout: 10_000 })
  const before = read.mock.calls.length
  expect(before).toBeLessThan(100)
})

test('whoever has the list already is sent none', async () => {
  const { sources, read } = endless()
  const app = createExport(sources)
  const first = await app.request(path)
  const etag = first.headers.get('etag')!
  await first.body!.cancel()
  const calls = read.mock.calls.length
  const again = await app.request(path, { headers: { 'if-none-match': etag } })
  expect([again.status, etag]).toEqual([304, 'W/"votes.json 7"'])
  expect(read.mock.calls.length - calls).toBeLessThan(3)
})
