/**
 * A click is a promise: a thousand random interleavings of clicks, refusals, slow and lost answers, deaths of the worker
 * and of the companion server, account switches and navigations. The engine, the widget's models, the PDS and the server
 * are real; the browser around them is played: its ports, its IndexedDB, and a worker that ends.
 */
import 'fake-indexeddb/auto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent } from '@atproto/api'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import type { Accounts } from '@pollz/engine/accounts'
import { createEngine, type Engine } from '@pollz/engine/engine'
import { Pages, type Port } from '@pollz/engine/pages'
import { openServerDb } from '@pollz/engine/storage'
import { readConfig } from '@pollz/server/config'
import { createLog } from '@pollz/server/log'
import { startServer } from '@pollz/server/server'
import type { PageAccount, ToEngine, ToPage } from '@pollz/shared/engine'
import { home } from '@pollz/shared/families'
import { PollModel } from '@pollz/widget/model'
import { signal } from '@preact/signals'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Account, freePort } from './network.ts'

const ROUNDS = 1_000
const POLLS = 20

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('click' as const), option: fc.constantFrom(0, 1, 2, null) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('pds' as const),
      will: fc.constantFrom(
        'answer',
        'answer',
        'be slow',
        'refuse',
        'not be reached',
        'lose its answer' as const,
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 5, 30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('die', 'navigate', 'switch' as const) }) },
)
const round = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 8, size: 'max' }),
  poll: fc.nat(POLLS - 1),
  serverDies: fc.nat(19).map((n) => n === 0),
})
type Mood = 'answer' | 'be slow' | 'refuse' | 'not be reached' | 'lose its answer'

let network: TestNetworkNoAppView
let people: [Account, Account]
let polls: string[]
let serverUrl: string
let stopServer: (() => Promise<void>) | undefined
let folder: string

async function serve(port: number): Promise<void> {
  const stop = new AbortController()
  const config = readConfig({
    PORT: String(port),
    HOST: '127.0.0.1',
    DATABASE_URL: `file:${join(folder, 'pollz.db')}`,
    TAP_URL: '',
    PLC_URL: network.plc.url,
    HANDLE_RESOLVER_URL: network.pds.url,
    RECONCILE_PAUSE: '0',
    READS_PER_MINUTE: '0',
    LOG_LEVEL: 'error',
  })
  const { done } = await startServer(config, createLog('error'), stop.signal)
  stopServer = async () => {
    stop.abort()
    await done
    stopServer = undefined
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pollz-interleavings-'))
  network = await TestNetworkNoAppView.create({})
  const port = await freePort(0)
  serverUrl = `http://127.0.0.1:${port}`
  people = await Promise.all([
    Account.create(network.pds.url, serverUrl, 'alice.test'),
    Account.create(network.pds.url, serverUrl, 'bob.test'),
  ])
  polls = []
  for (let i = 0; i < POLLS; i++) polls.push(await people[0].makePoll(`${i}?`, ['a', 'b', 'c']))
  await serve(port)
})

afterAll(async () => {
  await stopServer?.()
  await network?.close()
})

/** A browser with the extension, whose worker can end at any moment. */
class Browser {
  readonly pages = new Pages()
  /** How the PDS is just now. */
  mood: Mood = 'answer'
  /** Ids of writes that reached the wire, by the worker that sent them. */
  readonly writes: string[] = []
  engine!: Engine
  #stop!: AbortController
  #worker = 0

  constructor() {
    this.#wake()
  }

  #wake(): void {
    this.#stop = new AbortController()
    const worker = ++this.#worker
    this.engine = createEngine({
      server: serverUrl,
      network: { plc: network.plc.url, handleResolver: network.pds.url },
      pages: this.pages,
      openSignIn: async () => {},
      voted: () => {},
      signal: this.#stop.signal,
      accounts: this.#accounts(worker),
    })
  }

  /** As Chromium ends a worker: nothing that it had begun goes on. */
  die(): void {
    this.#stop.abort()
    this.#wake()
  }

  /** People who are signed in, on a PDS with moods. */
  #accounts(worker: number): Accounts {
    const { signal: ended } = this.#stop
    const never = new Promise<never>(() => {})
    const agent = (did: string) => {
      const { agent: theirs } = people.find((it) => it.did === did)!
      return new Agent(async (url, init) => {
        const { mood } = this
        if (ended.aborted) return never
        const write = init.method?.toUpperCase() === 'POST'
        if (write) this.writes.push(`${worker} ${url} ${String(init.body)}`)
        if (write && mood === 'refuse')
          return Response.json({ error: 'InvalidRequest', message: 'not today' }, { status: 400 })
        if (mood === 'not be reached') throw new TypeError('fetch failed')
        if (mood === 'be slow') await new Promise((resolve) => setTimeout(resolve, 40))
        const response = await theirs.fetchHandler(url, init)
        if (ended.aborted) return never
        if (mood === 'lose its answer') throw new TypeError('fetch failed')
        return response
      })
    }
    const alive = async <T>(value: T) => (ended.aborted ? never : value)
    return {
      isSignedIn: () => alive(true),
      agent: (did: string) => alive(agent(did)),
      used: (did: string) => alive({ did }),
      lastUsed: () => alive(undefined),
      all: () => alive([]),
    } as unknown as Accounts
  }
}

/** A page with a widget of one poll. */
class PageWithPoll {
  readonly account = signal<PageAccount | undefined>(undefined)
  model!: PollModel
  #browser: Browser
  #uri: string
  #port: Port | undefined

  constructor(browser: Browser, uri: string, who: Account) {
    this.#browser = browser
    this.#uri = uri
    this.account.value = { did: who.did, handle: who.handle }
    this.#load()
  }

  #load(): void {
    const send = (message: ToEngine) => {
      const port = this.#port
      // A port delivers later, and copies.
      const copy: unknown = structuredClone(message)
      setTimeout(() => {
        if (port && this.#port === port) this.#browser.engine.receive(port, copy)
      })
    }
    this.model = new PollModel(this.#uri, {
      send,
      account: this.account,
      connection: signal({ online: true, since: 0 }),
      resultsFirst: signal(false),
      hasVoted: signal(true),
      knowsSignIn: signal(true),
      linkTo: (it) => it,
      profileOf: (it) => it,
    })
    this.#connect()
    this.model.visible({} as Element, true)
  }

  #connect(): void {
    const { model } = this
    const port: Port = {
      postMessage: (message: ToPage) => {
        const copy = structuredClone(message)
        setTimeout(() => {
          if (this.#port === port && 'uri' in copy) model.receive(copy as never)
          else if (this.#port === port && 'act' in copy) model.receive(copy)
        })
      },
    }
    this.#port = port
    this.#browser.pages.add(port, 1)
  }

  #disconnect(): void {
    const port = this.#port!
    this.#port = undefined
    this.#browser.engine.live.forget(port)
    this.#browser.pages.remove(port)
  }

  workerDied(): void {
    this.#browser.pages.remove(this.#port!)
    this.#connect()
    this.model.reconnected()
  }

  navigate(): void {
    this.#disconnect()
    this.#load()
  }

  switchTo(who: Account): void {
    this.account.value = { did: who.did, handle: who.handle }
    this.model.accountChanged()
  }

  close(): void {
    this.#disconnect()
  }
}

/** The option of the vote that counts, on the PDS; null: none. */
async function recorded({ agent, did }: Account, poll: string): Promise<number | null> {
  const { data } = await agent.com.atproto.repo.listRecords({ repo: did, collection: home.vote, limit: 100 })
  const votes = data.records.flatMap(({ value }) => {
    const read = home.readVote(value)
    return read.ok && read.value.subject === poll ? [read.value] : []
  })
  expect(votes.length).toBeLessThanOrEqual(1)
  return votes[0]?.option ?? null
}

test(`${ROUNDS} interleavings`, { timeout: 600_000 }, async () => {
  const browser = new Browser()
  const db = await openServerDb(serverUrl)
  const port = Number(new URL(serverUrl).port)
  const ends: Record<string, number> = {}
  const play = fc.asyncProperty(round, async ({ steps, poll: which, serverDies }) => {
    const poll = polls[which]!
    const [alice, bob] = people
    let who: Account = alice
    const page = new PageWithPoll(browser, poll, who)
    const clicks: { who: Account; option: number | null; after: number }[] = []
    const before = Date.now()
    if (serverDies) await stopServer?.()
    for (const it of steps) {
      if (it.do === 'click') {
        clicks.push({ who, option: it.option, after: Date.now() })
        page.model.vote(it.option)
      } else if (it.do === 'pds') browser.mood = it.will
      else if (it.do === 'wait') await new Promise((resolve) => setTimeout(resolve, it.ms))
      else if (it.do === 'die') {
        browser.die()
        page.workerDied()
      } else if (it.do === 'navigate') page.navigate()
      else page.switchTo((who = who === alice ? bob : alice))
      await new Promise((resolve) => setImmediate(resolve))
    }
    // What was clicked has reached the engine, which does it whatever comes.
    await vi.waitUntil(
      async () => {
        const acts = (await db.getAll('acts')).filter(({ at }) => at >= before)
        return acts.length >= clicks.length && acts.every(({ state }) => state.name === 'ended')
      },
      { timeout: 30_000, interval: 2 },
    )
    browser.mood = 'answer'
    if (serverDies) await serve(port)
    const acts = (await db.getAll('acts')).filter(({ at }) => at >= before)
    for (const person of people) {
      const theirs = acts.filter(({ voter }) => voter?.did === person.did).toSorted((a, b) => a.at - b.at)
      for (const { state } of theirs)
        if (state.name === 'ended') ends[state.message.type] = (ends[state.message.type] ?? 0) + 1
      const last = theirs.at(-1)
      if (last?.state.name !== 'ended' || last.act.type !== 'vote') continue
      expect(last.act.option).toBe(clicks.findLast(({ who: clicker }) => clicker === person)!.option)
      const committed = last.state.message.type === 'done' ? await recorded(person, poll) : undefined
      expect([{ done: last.act.option }, 'refused']).toContainEqual(
        last.state.message.type === 'done' ? { done: committed } : last.state.message.type,
      )
    }
    // What the widget shows is what is recorded, for whoever the page's account is.
    const record = await recorded(who, poll)
    await vi
      .waitUntil(() => page.model.chosen.value === record, { timeout: 20_000, interval: 2 })
      .catch(() => {
        throw new Error(
          `shown: ${page.model.chosen.value}, recorded: ${record}, phase: ${JSON.stringify(page.model.acting.phase.value)}`,
        )
      })
    page.close()
  })
  await fc.assert(play, { numRuns: ROUNDS, endOnFailure: true })
  // By one worker nothing was sent twice.
  const creations = browser.writes.filter((it) => it.includes('putRecord'))
  expect(new Set(creations).size).toBe(creations.length)
  console.log(`acts: ${JSON.stringify(ends)}; ${browser.writes.length} writes`)
  for (const end of ['done', 'refused', 'superseded']) expect(ends[end]).toBeGreaterThan(ROUNDS / 20)
})
