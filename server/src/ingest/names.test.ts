import { familyOfPoll, home } from '@pollz/shared/families'
import { expect, test, vi } from 'vitest'
import type { Budget } from './budget.ts'
import { Names } from './names.ts'
import type { Repos } from './repos.ts'

const take = vi.fn<Budget['take']>(async () => true)
const budget: Budget = { name: '192.0.2.1', take }
const resolveRepo = vi.fn<Repos['resolveRepo']>(async ({ repo }) =>
  repo === 'alice.example'
    ? { ok: true, value: 'did:plc:alice' }
    : { ok: false, error: 'RepoNotFound', message: `${repo} is nobody` },
)
const newNames = (known: string | undefined) =>
  new Names({ resolveRepo } as unknown as Repos, async () => known)
const byHandle = (handle: string) => `at://${handle}/${home.poll}/1`
const expected = { ok: true, repo: 'did:plc:alice', uri: `at://did:plc:alice/${home.poll}/1` }

test('a DID costs nothing, nor does a handle that is known', async () => {
  const named = newNames('did:plc:alice')
  expect(await named.canonical(expected.uri, familyOfPoll, budget)).toEqual(expected)
  expect(await named.canonical(byHandle('alice.example'), familyOfPoll, budget)).toEqual(expected)
  expect([take.mock.calls, resolveRepo.mock.calls]).toEqual([[], []])
})

test('a handle is paid for once, and not at all where there is nothing left', async () => {
  const names = newNames(undefined)
  take.mockResolvedValueOnce(false)
  expect(await names.canonical(byHandle('alice.example'), familyOfPoll, budget)).toMatchObject({
    error: 'RateLimited',
  })
  expect(resolveRepo).not.toHaveBeenCalled()
  for (const handle of ['alice.example', 'Alice.Example'])
    expect(await names.canonical(byHandle(handle), familyOfPoll, budget)).toEqual(expected)
  expect(resolveRepo).toHaveBeenCalledTimes(1)
  expect(await names.canonical(byHandle('bob.example'), familyOfPoll, budget)).toMatchObject({
    error: 'RepoNotFound',
  })
})

test.each(['nonsense', 'at://did:plc:alice/app.bsky.feed.post/1', byHandle('no handle')])(
  '%s is refused in words',
  async (uri) => {
    expect(await newNames(undefined).canonical(uri, familyOfPoll, budget)).toMatchObject({
      error: 'InvalidRequest',
      message: expect.stringContaining(home.poll),
    })
  },
)
