import 'fake-indexeddb/auto'
import { randomUUID } from 'node:crypto'
import { WebcryptoKey } from '@atproto/jwk-webcrypto'
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Act, ActMessage, ToPage } from '@pollz/shared/engine'
import { families, familyOfPoll, home } from '@pollz/shared/families'
import { OAUTH_SCOPE } from '@pollz/shared/oauth'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { PdsStandIn, type Person } from '../test/pds-standin.ts'
import { Accounts } from './accounts.ts'
import { Acts, type Doing } from './acts.ts'
import { Pages } from './pages.ts'
import { reasonOf } from './reasons.ts'
import { Repos } from './repos.ts'
import { openServerDb, type ServerDb } from './storage.ts'

let pds: PdsStandIn
let alice: Person
let bob: Person
let db: ServerDb
let accounts: Accounts
/** Pages that people were brought to, and what their sign-in is known by. */
let opened: { url: string; tab: number }[]

beforeEach(async () => {
  // In Node the keys that it would make are no `CryptoKey`s.
  vi.spyOn(WebcryptoKey, 'generate').mockImplementation(async () =>
    WebcryptoKey.fromKeypair(
      await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']),
      randomUUID(),
    ),
  )
  pds = await PdsStandIn.start()
  ;[alice, bob] = pds.people as [Person, Person]
  pds.answers['POST com.atproto.repo.putRecord'] = () => ({
    uri: `at://${alice.did}/${home.vote}/a`,
    cid: 'bafyreib5akotkmkmtqrqhqqqwvwbqnyeqcvrqxzmdcmvgqzqb5phgyjyjm',
  })
  db = await openServerDb(randomUUID())
  start()
})

afterEach(async () => {
  vi.restoreAllMocks()
  db.close()
  await pds.stop()
})

/** As when the worker starts. */
function start(): void {
  opened = []
  const repos = new Repos({ plc: pds.url, handleResolver: pds.url, allowHttp: true })
  accounts = new Accounts(pds.url, repos, Promise.resolve(db), async (url, keep) => {
    const tab = opened.length
    await keep(tab)
    opened.push({ url, tab })
  })
}

const { signal } = new AbortController()

/** @returns where the PDS sends somebody back to */
async function signInPage(who: Person, as: Person = who): Promise<string> {
  await accounts.signIn(who.handle, async () => {}, signal)
  return pds.authorize(opened.at(-1)!.url, as)
}
const signIn = async (who: Person) => accounts.finish(await signInPage(who), who.did)

const write = async ({ did }: Person, collection = home.vote) => {
  const agent = await accounts.agent(did)
  return agent.com.atproto.repo.putRecord({ repo: did, collection, rkey: 'a', record: {} })
}

test('two accounts: each acts as itself, and the last used comes first', async () => {
  expect(await signIn(alice)).toEqual({ did: alice.did })
  expect(await signIn(bob)).toEqual({ did: bob.did })
  expect(await accounts.all()).toEqual([bob, alice])
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 1_000)
  await write(alice)
  await accounts.used(alice.did)
  expect(await accounts.lastUsed()).toEqual(alice)
  await write(bob)
  expect(pds.served).toEqual([alice.did, bob.did])
  // Both are still there when the worker starts again.
  start()
  await write(bob)
  expect(await accounts.all()).toEqual([alice, bob])
})

test('signing out ends the session on both sides, and no other', async () => {
  await signIn(alice)
  await signIn(bob)
  await accounts.signOut(alice.did)
  expect([await accounts.isSignedIn(alice.did), pds.hasSession(alice)]).toEqual([false, false])
  expect([await accounts.isSignedIn(bob.did), pds.hasSession(bob)]).toEqual([true, true])
  expect(await accounts.all()).toEqual([bob])
})

test('without the PDS it ends on this side', async () => {
  await signIn(alice)
  await pds.stop()
  start()
  await accounts.signOut(alice.did).catch(() => {})
  expect(await accounts.isSignedIn(alice.did)).toBe(false)
})

test('a session that its owner has revoked is forgotten with the first refusal', async () => {
  await signIn(alice)
  await signIn(bob)
  pds.revokeAll(alice)
  expect(await accounts.isSignedIn(alice.did)).toBe(true)
  await expect(write(alice)).rejects.toThrow('Token was revoked')
  expect(await accounts.isSignedIn(alice.did)).toBe(false)
  expect(await accounts.lastUsed()).toEqual(bob)
  await write(bob)
})

test('what has expired is refreshed, once however many acts wait for it', async () => {
  pds.expiresIn = 1
  await signIn(alice)
  pds.expiresIn = 3_600
  await Promise.all([write(alice), write(alice), write(alice)])
  expect(pds.refreshes).toBe(1)
  expect(pds.served).toEqual([alice.did, alice.did, alice.did])
  expect(await accounts.isSignedIn(alice.did)).toBe(true)
})

test('another account signs in than was asked: it is named, and signed in as itself', async () => {
  const back = await signInPage(alice, bob)
  expect(await accounts.finish(back, alice.did)).toEqual({
    failed: { name: 'otherAccount', as: 'bob.test' },
  })
  expect([await accounts.isSignedIn(alice.did), await accounts.isSignedIn(bob.did)]).toEqual([false, true])
})

test('where nobody in particular was asked, whoever comes back is welcome', async () => {
  expect(await accounts.finish(await signInPage(alice, bob), undefined)).toEqual({ did: bob.did })
})

test('a sign-in that was denied, failed or comes back twice is said, and is none', async () => {
  await accounts.signIn(alice.did, async () => {}, signal)
  const denied = await accounts.finish(pds.sendBack(opened[0]!.url, { error: 'access_denied' }), alice.did)
  expect(denied).toEqual({ failed: { name: 'notFinished' } })
  await accounts.signIn(alice.did, async () => {}, signal)
  const answer = { error: 'server_error', error_description: 'The disk is full' }
  const failed = await accounts.finish(pds.sendBack(opened[1]!.url, answer), alice.did)
  expect(failed).toEqual({ failed: { name: 'signInFailed', detail: 'The disk is full' } })
  const back = await signInPage(alice)
  await accounts.finish(back, alice.did)
  await accounts.signOut(alice.did)
  expect(await accounts.finish(back, alice.did)).toMatchObject({ failed: { name: 'signInFailed' } })
  expect(await accounts.isSignedIn(alice.did)).toBe(false)
})

test('why a sign-in can’t begin is said, and is no fault of ours', async () => {
  const reason = (who: string) => accounts.signIn(who, async () => {}, signal).catch(reasonOf)
  for (const wrong of ['nobody.test', 'no handle', 'did:plc:cccccccccccccccccccccccc'])
    expect(await reason(wrong)).toEqual({
      name: 'signInFailed',
      detail: `Failed to resolve identity: ${wrong}`,
    })
  pds.refusal = { error: 'invalid_client', error_description: 'Polls are not for us' }
  expect(await reason(alice.handle)).toMatchObject({
    name: 'signInFailed',
    detail: expect.stringContaining('Polls are not for us'),
  })
  bob.pds = 'http://localhost:9'
  expect(await reason(bob.handle)).toEqual({ name: 'unreachable' })
  expect(opened).toEqual([])
})

test('a handle is its owner’s, and one that leads nowhere is said', async () => {
  expect(await accounts.identify(alice.handle)).toEqual({ did: alice.did, handle: alice.handle })
  const detail = 'Failed to resolve identity: nobody.test'
  expect(await accounts.identify('nobody.test').catch(reasonOf)).toEqual({ name: 'signInFailed', detail })
})

test('only the address to which the PDS sends people back is one', () => {
  expect(accounts.isReturn(`${pds.url}/oauth/callback#code=x`)).toBe(true)
  for (const other of [
    `${pds.url}/oauth/callback`,
    `${pds.url}/oauth/callback2#code=x`,
    `https://x.test/${pds.url}/oauth/callback#code=x`,
  ])
    expect(accounts.isReturn(other)).toBe(false)
})

test('how a sign-in went is told once', async () => {
  await accounts.keepResult(7, { did: alice.did })
  expect(await accounts.takeResult(7)).toEqual({ did: alice.did })
  expect(await accounts.takeResult(7)).toBeUndefined()
})

test('the companion server is needed for the first sign-in, and for no vote after it', async () => {
  pds.companionAway = true
  const reason = await accounts.signIn(alice.handle, async () => {}, signal).catch(reasonOf)
  expect(reason).toEqual({ name: 'serverAway' })
  pds.companionAway = false
  await signIn(alice)
  pds.companionAway = true
  start()
  await write(alice)
  await signIn(bob)
  expect(pds.served).toEqual([alice.did])
})

const other = { ...families[1]!, vote: families[1]!.votes[0]!.nsid }
/** What an older version of this client asked for. */
const NARROW = `atproto repo:${home.vote}`

test('a session counts for what it may write', async () => {
  pds.grant = () => NARROW
  await signIn(alice)
  expect(await accounts.isSignedIn(alice.did)).toBe(true)
  const may = Promise.all(
    [home.vote, home.poll, other.vote, 'tech.waow'].map((it) => accounts.isSignedIn(alice.did, [it])),
  )
  expect(await may).toEqual([true, false, false, false])
  expect(await accounts.isSignedIn(alice.did, [home.vote, other.vote])).toBe(false)
})

test('a sign-in asks for the votes of every family, for polls of ours, and for nothing else', async () => {
  await signIn(alice)
  const votes = families.flatMap((it) => it.votes.map(({ nsid }) => `repo:${nsid}`))
  expect(pds.asked[0]!.split(' ').toSorted()).toEqual(['atproto', `repo:${home.poll}`, ...votes].toSorted())
})

// A PDS that knows no scopes for single collections leaves them out, or gives leave to everything: pollz takes neither.
test.each(['atproto', 'atproto transition:generic'])('a sign-in for “%s” is none', async (granted) => {
  pds.grant = () => granted
  expect(await signIn(alice)).toEqual({ failed: { name: 'noScope' } })
  expect([await accounts.isSignedIn(alice.did), pds.hasSession(alice)]).toEqual([false, false])
})

test('of a companion server that is older than this client no more is asked than it knows', async () => {
  pds.clientScope = NARROW
  await signIn(alice)
  pds.clientScope = OAUTH_SCOPE
  start()
  await signIn(alice)
  expect(pds.asked).toEqual([NARROW, OAUTH_SCOPE])
})

/** Someone's acts, with a page that hears how they go. */
function createActs() {
  const heard: ToPage[] = []
  const pages = new Pages()
  pages.add({ postMessage: (message) => void heard.push(message) }, 1)
  const cast = async (act: Act & { type: 'vote' }, { did }: Doing) => {
    const { votes } = familyOfPoll.get(parseAtUri(act.uri)!.collection)!
    for (const { nsid } of votes) await write({ did, handle: '' }, nsid)
    return act.uri
  }
  const acts = new Acts({
    db: Promise.resolve(db),
    accounts,
    pages,
    doers: { vote: cast, publish: async () => '', delete: async () => '' },
    canonical: (uri) => uri,
    votedSince: async () => false,
    signal,
  })
  let n = 0
  return {
    acts,
    vote: async (poll: string) => {
      const act = { type: 'vote', uri: `at://${bob.did}/${poll}/a`, option: 0 } as const
      await acts.accept(1, { type: 'act', id: `${++n}`, at: n, act, account: alice })
    },
    next: async (type: ActMessage['type']) => {
      await vi.waitUntil(() => heard.some((it) => it.type === type))
      return heard.splice(0).at(-1)
    },
    comeBack: async () => {
      const { url, tab } = opened.at(-1)!
      await acts.signedIn(tab, await accounts.finish(pds.authorize(url, alice), alice.did))
    },
  }
}

test('a session of an older version that may do less is renewed once, and what was clicked is done', async () => {
  pds.grant = () => NARROW
  await signIn(alice)
  pds.grant = (asked) => asked
  const { vote, next, comeBack } = createActs()
  await vote(home.poll)
  await next('done')
  expect(opened.length).toBe(1)
  await vote(other.poll)
  await next('signingIn')
  await comeBack()
  expect(await next('done')).toMatchObject({ type: 'done' })
  await vote(other.poll)
  await next('done')
  expect(opened.length).toBe(2)
})

test('a family with several collections is asked for where one of them is missing, and nothing else is', async () => {
  const { poll, votes } = families.find(({ together }) => together)!
  pds.grant = () => `${NARROW} repo:${votes[0]!.nsid}`
  await signIn(alice)
  pds.grant = (asked) => asked
  const { vote, next, comeBack } = createActs()
  await vote(home.poll)
  await next('done')
  await vote(poll)
  await next('signingIn')
  expect(pds.served).toEqual([alice.did])
  await comeBack()
  await next('done')
  // Who does not finish that goes on with what was allowed before.
  pds.grant = () => `${NARROW} repo:${votes[0]!.nsid}`
  await signIn(alice)
  await vote(poll)
  await next('signingIn')
  await vote(home.poll)
  await next('done')
})

test('where the PDS still grants less, that is the end of it', async () => {
  pds.grant = () => NARROW
  await signIn(alice)
  const { vote, next, comeBack } = createActs()
  await vote(other.poll)
  await next('signingIn')
  await comeBack()
  expect(await next('refused')).toMatchObject({ type: 'refused', reason: { name: 'noScope' } })
  expect(opened.length).toBe(2)
  // Nobody is brought to the same page with every click.
  await vote(other.poll)
  expect(await next('refused')).toMatchObject({ type: 'refused', reason: { name: 'noScope' } })
  expect(opened.length).toBe(2)
  // In the worst case their server has learnt it an hour later.
  const denied = `${alice.did} ${other.vote}`
  await db.put('denied', (await db.get('denied', denied))! - 3_600_000, denied)
  pds.grant = (asked) => asked
  await vote(other.poll)
  await next('signingIn')
  await comeBack()
  await next('done')
})

test('nor is anybody asked for what they can’t grant: the companion server does not know it', async () => {
  pds.clientScope = NARROW
  await signIn(alice)
  const { vote, next } = createActs()
  await vote(other.poll)
  expect(await next('refused')).toMatchObject({ type: 'refused', reason: { name: 'noScope' } })
  expect(opened.length).toBe(1)
})

test('where nothing at all is granted the next click opens no page either', async () => {
  pds.grant = () => 'atproto'
  const { vote, next, comeBack } = createActs()
  await vote(home.poll)
  await next('signingIn')
  await comeBack()
  await next('refused')
  await vote(home.poll)
  expect(await next('refused')).toMatchObject({ type: 'refused', reason: { name: 'noScope' } })
  expect(opened.length).toBe(1)
})

test('so it is where only the PDS knows that a session may do less', async () => {
  pds.grant = () => NARROW
  await signIn(alice)
  const session = (await db.get('sessions', alice.did))!
  const tokenSet = { ...session.tokenSet, scope: OAUTH_SCOPE as typeof session.tokenSet.scope }
  await db.put('sessions', { ...session, tokenSet }, alice.did)
  const { vote, next, comeBack } = createActs()
  await vote(other.poll)
  await next('signingIn')
  pds.grant = (asked) => asked
  await comeBack()
  await next('done')
  expect(opened.length).toBe(2)
})
