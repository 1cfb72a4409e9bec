/** Polls and votes as each family's own clients write them, on a real PDS, and counted by a server that reads them with their proof. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import { readConfig } from '@pollz/server/config'
import { createLog } from '@pollz/server/log'
import { startServer } from '@pollz/server/server'
import { families, familyOfPoll, home, type Family } from '@pollz/shared/families'
import { datetimeOfTid, tid } from '@pollz/shared/tid'
import type { PollView, VoteView } from '@pollz/shared/wire'
import { voteWrites } from '@pollz/shared/votes'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Account } from './network.ts'

type Ref = { uri: string; cid: string }

let network: TestNetworkNoAppView
let stop: AbortController
let base: string
let done: Promise<void>
let alice: Account
let bob: Account

beforeAll(async () => {
  network = await TestNetworkNoAppView.create({})
  alice = await Account.create(network.pds.url, 'http://127.0.0.1', 'alice.test')
  bob = await Account.create(network.pds.url, 'http://127.0.0.1', 'bob.test')
  stop = new AbortController()
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: `file:${join(mkdtempSync(join(tmpdir(), 'pollz-families-')), 'test.db')}`,
    TAP_URL: '',
    PLC_URL: network.plc.url,
    HANDLE_RESOLVER_URL: network.pds.url,
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
  })
  const server = await startServer(config, createLog('error'), stop.signal)
  base = `http://127.0.0.1:${server.port}`
  done = server.done
  // The first proof also loads what verifies it, which may take longer than a proof may.
  await vi.waitUntil(
    async () => {
      const none = `at://${alice.did}/${home.poll}/${tid(Date.now() * 1000)}`
      return (await fetch(`${base}/api/polls/${encodeURIComponent(none)}`)).status === 404
    },
    { timeout: 60_000, interval: 100 },
  )
})

afterAll(async () => {
  stop?.abort()
  await done
  await network?.close()
})

async function create(who: Account, collection: string, record: object, rkey?: string): Promise<Ref> {
  const { data } = await who.agent.com.atproto.repo.createRecord({
    repo: who.did,
    collection,
    record: { $type: collection, ...record },
    ...(rkey === undefined ? {} : { rkey }),
  })
  return { uri: data.uri, cid: data.cid }
}

async function remove(who: Account, uri: string): Promise<void> {
  const [, , , collection, rkey] = uri.split('/') as [string, string, string, string, string]
  await who.agent.com.atproto.repo.deleteRecord({ repo: who.did, collection, rkey })
}

const pollOf = async (uri: string): Promise<PollView> =>
  (await (await fetch(`${base}/api/polls/${encodeURIComponent(uri)}`)).json()) as PollView

/** "This record exists now, go and read it." */
async function announce(uri: string): Promise<PollView> {
  const response = await fetch(`${base}/api/votes`, { method: 'POST', body: JSON.stringify({ uri }) })
  return (await response.json()) as PollView
}

const counts = ({ options }: PollView) => options.map(({ count }) => count)
const now = () => new Date().toISOString()
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

const post = (who: Account, text: string) => create(who, 'app.bsky.feed.post', { text, createdAt: now() })

describe('TOKIMEKI', () => {
  test('the question is the post’s, and a vote is counted, changed and taken back', async () => {
    const subject = await post(alice, 'Tea, or not?')
    const poll = await create(alice, 'tech.tokimeki.poll.poll', {
      subject,
      options: ['yes', 'no', 'both'],
      createdAt: now(),
      endsAt: inAnHour(),
    })
    expect(await pollOf(poll.uri)).toMatchObject({
      text: 'Tea, or not?',
      post: subject.uri,
      cid: poll.cid,
      endsAt: expect.any(String),
      total: 0,
    })
    const vote = { poll, optionIndex: 1, createdAt: now() }
    const { uri } = await create(bob, 'tech.tokimeki.poll.vote', vote)
    expect(counts(await announce(uri))).toEqual([0, 1, 0])
    await remove(bob, uri)
    expect(counts(await announce(uri))).toEqual([0, 0, 0])
  })

  test('a poll without a post, or with one of somebody else’s, has no question', async () => {
    const foreign = await post(bob, 'Not hers')
    for (const subject of [undefined, foreign]) {
      const { uri } = await create(alice, 'tech.tokimeki.poll.poll', {
        ...(subject ? { subject } : {}),
        options: ['yes', 'no'],
        createdAt: now(),
        endsAt: inAnHour(),
      })
      const found = await pollOf(uri)
      expect(found).toMatchObject({ text: '', options: [{ text: 'yes' }, { text: 'no' }] })
      expect(found.post).toBeUndefined()
    }
  })
})

describe('Leaflet', () => {
  test('several votes of one account are one, and nothing counts after the end', async () => {
    const poll = await create(
      alice,
      'pub.leaflet.poll.definition',
      { name: 'Tea?', options: [{ text: 'yes' }, { text: 'no' }], endDate: inAnHour() },
      tid(Date.now() * 1000),
    )
    const keys = [0, 1].map((i) => tid((Date.now() - 10_000 + i) * 1000))
    for (const [i, rkey] of keys.entries()) {
      const { uri } = await create(bob, 'pub.leaflet.poll.vote', { poll, option: [String(i)] }, rkey)
      await announce(uri)
    }
    const found = await pollOf(poll.uri)
    expect(counts(found)).toEqual([0, 1])
    expect(found.createdAt).toBe(datetimeOfTid(poll.uri.split('/')[4]!))

    const over = await create(
      alice,
      'pub.leaflet.poll.definition',
      {
        name: 'Sugar?',
        options: [{ text: 'yes' }, { text: 'no' }],
        endDate: new Date(Date.now() - 60_000).toISOString(),
      },
      tid(Date.now() * 1000),
    )
    const late = await create(
      bob,
      'pub.leaflet.poll.vote',
      { poll: over, option: ['0'] },
      tid(Date.now() * 1000),
    )
    expect(counts(await announce(late.uri))).toEqual([0, 0])
  })
})

describe('Red Dwarf', () => {
  test('records for each option are together one voter’s choice', async () => {
    const subject = await post(alice, 'Which of these?')
    const poll = await create(
      alice,
      'app.reddwarf.embed.poll',
      { subject, a: 'tea', b: 'coffee', c: 'water', multiple: true, createdAt: now() },
      subject.uri.split('/')[4],
    )
    const votes: Ref[] = []
    for (const letter of ['a', 'c'])
      votes.push(await create(bob, `app.reddwarf.poll.vote.${letter}`, { subject: poll, createdAt: now() }))
    for (const { uri } of votes) await announce(uri)
    const found = await pollOf(poll.uri)
    expect(found).toMatchObject({ text: 'Which of these?', multiple: true, total: 2, voters: 1 })
    expect(counts(found)).toEqual([1, 0, 1])
    const listed = await fetch(`${base}/api/polls/${encodeURIComponent(poll.uri)}/votes`)
    expect((await listed.json()) as VoteView[]).toMatchObject([
      { voter: bob.did, option: 0, options: [0, 2] },
    ])
    await remove(bob, votes[0]!.uri)
    expect(counts(await announce(votes[0]!.uri))).toEqual([0, 0, 1])
  })
})

describe('what is written here', () => {
  const drafts: Record<string, (who: Account) => Promise<Ref>> = {
    'tech.waow.poll': (who) =>
      create(who, 'tech.waow.poll', {
        text: '?',
        options: ['a', 'b', 'c'],
        createdAt: now(),
        multiple: true,
      }),
    'tech.waow.pollz.poll': (who) =>
      create(who, 'tech.waow.pollz.poll', { text: '?', options: ['a', 'b', 'c'], createdAt: now() }),
    'tech.tokimeki.poll.poll': (who) =>
      create(who, 'tech.tokimeki.poll.poll', {
        options: ['a', 'b', 'c'],
        createdAt: now(),
        endsAt: inAnHour(),
      }),
    'pub.leaflet.poll.definition': (who) =>
      create(who, 'pub.leaflet.poll.definition', { options: ['a', 'b', 'c'].map((text) => ({ text })) }),
    'app.reddwarf.embed.poll': (who) =>
      create(who, 'app.reddwarf.embed.poll', { a: 'a', b: 'b', c: 'c', createdAt: now() }),
  }

  async function write(family: Family, poll: Ref, choices: number[], own: string[]): Promise<PollView> {
    const at = Date.now()
    const vote = { poll, choices, createdAt: new Date(at).toISOString() }
    const { put, delete: deleted } = voteWrites({ family, vote, at, own })
    const uris = [...put, ...deleted].map(({ collection, rkey }) => `at://${bob.did}/${collection}/${rkey}`)
    for (const it of put) await bob.agent.com.atproto.repo.putRecord({ repo: bob.did, ...it })
    for (const it of deleted) await bob.agent.com.atproto.repo.deleteRecord({ repo: bob.did, ...it })
    for (const uri of uris) await announce(uri)
    return pollOf(poll.uri)
  }
  const ownRecords = async (family: Family, { uri }: Ref): Promise<string[]> => {
    const lists = await Promise.all(
      family.votes.map(({ nsid }) =>
        bob.agent.com.atproto.repo.listRecords({ repo: bob.did, collection: nsid }),
      ),
    )
    return lists.flatMap(({ data }) =>
      data.records.filter((it) => JSON.stringify(it.value).includes(uri)).map((it) => it.uri),
    )
  }

  test.each(families)('$poll: a vote, a change, and nothing', async (family) => {
    const poll = await drafts[family.poll]!(alice)
    await pollOf(poll.uri)
    expect(counts(await write(family, poll, [1], []))).toEqual([0, 1, 0])
    expect(counts(await write(family, poll, [2], await ownRecords(family, poll)))).toEqual([0, 0, 1])
    expect(await ownRecords(family, poll)).toHaveLength(1)
    expect(counts(await write(family, poll, [], await ownRecords(family, poll)))).toEqual([0, 0, 0])
    expect(await ownRecords(family, poll)).toEqual([])
  })

  test.each(['tech.waow.poll', 'app.reddwarf.embed.poll'])('%s: several choices', async (collection) => {
    const family = familyOfPoll.get(collection)!
    const poll = await drafts[collection]!(alice)
    await pollOf(poll.uri)
    const both = await write(family, poll, [0, 2], [])
    expect([counts(both), both.voters]).toEqual([[1, 0, 1], 1])
    const other = await write(family, poll, [2, 1], await ownRecords(family, poll))
    expect([counts(other), other.voters]).toEqual([[0, 1, 1], 1])
  })
})
