import 'fake-indexeddb/auto'
import type { Act, ToPage } from '@pollz/shared/engine'
import { home } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Accounts } from './accounts.ts'
import { createEngine } from './engine.ts'
import { Pages, type Port } from './pages.ts'

const alice = { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' }
/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9'
const byHandle = `at://bob.test/${home.poll}/3kabc`
const another = `at://did:plc:eeeeeeeeeeeeeeeeeeeeeeee/${home.poll}/3kabc`

test('a server that gives one poll for another does not have a click on either dropped', async () => {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const told: ToPage[] = []
  const port: Port = { postMessage: (message) => void told.push(message) }
  const pages = new Pages()
  pages.add(port, 1)
  let tabs = 0
  const engine = createEngine({
    server: NOWHERE,
    network: { plc: NOWHERE, handleResolver: NOWHERE },
    pages,
    openSignIn: async () => {},
    signInOpen: async () => true,
    voted: () => {},
    signal: stop.signal,
    accounts: {
      isSignedIn: async () => false,
      mayGet: async () => true,
      signIn: (_: string, keep: (tab: number) => Promise<void>) => keep(++tabs),
    } as unknown as Accounts,
  })
  vi.spyOn(engine.live, 'known').mockReturnValue({ uri: another } as PollView)
  for (const uri of [byHandle, another]) {
    const act: Act = { type: 'vote', uri, option: 0 }
    engine.receive(port, { type: 'act', id: uri, at: 1, act, account: alice })
  }
  const stateOf = (id: string) => told.findLast((it) => 'id' in it && it.id === id)?.type
  await vi.waitUntil(() => stateOf(another) === 'signingIn')
  expect(stateOf(byHandle)).toBe('signingIn')
  expect(tabs).toBe(2)
})
