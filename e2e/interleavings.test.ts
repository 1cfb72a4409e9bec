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
import { parseAtUri } from '@pollz/shared/at-uri'
import type { PageAccount, ToEngine, ToPage } from '@pollz/shared/engine'
import { familyOfPoll, familyOfVote, home } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import { PollModel } from '@pollz/widget/model'
import { signal } from '@preact/signals'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Account, freePort } from './network.ts'

const ROUNDS = 1_000
/** Browsers that play beside each other, each with people of its own: most of a round is waiting. */
const LANES = 5
const POLLS = 12

/** Kinds of polls, which take turns: what is written to vote on them differs. */
const kinds: { collection: string; record: object }[] = [
  { collection: home.poll, record: { text: '?', options: ['a', 'b', 'c'] } },
  { collection: home.poll, record: { text: '?', options: ['a', 'b', 'c'], multiple: true } },
  // A new key for each vote, and the poll's cid.
  {
    collection: 'tech.tokimeki.poll.poll',
    record: { options: ['a', 'b', 'c'], endsAt: new Date(Date.now() + 7 * 86_400_000).toISOString() },
  },
  // A record for each option.
  { collection: 'app.reddwarf.embed.poll', record: { a: 'a', b: 'b', c: 'c' } },
]
const isSeveral = (kind: number) => kind % 2 === 1

type Choices = number[]
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('click' as const),
      // Of polls with one choice the first of them.
      choices: fc.constantFrom<Choices[]>([0], [1], [2], [0, 1], [1, 2], [2, 0], []),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('pds' as const),
      will: fc.constantFrom(
        'answer',
        'answer',
        'be reached late',
        'answer late',
        'refuse',
        'not be reached',
        'lose its answer' as const,
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 5, 30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('die', 'switch' as const) }) },
  // The next page may link to the poll by its author's handle.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('navigate' as const), byHandle: fc.boolean() }) },
)
const round = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 8, size: 'max' }),
  poll: fc.nat(POLLS - 1),
  serverDies: fc.nat(49).map((n) => n === 0),
})
type Mood = 'answer' | 'be reached late' | 'answer late' | 'refuse' | 'not be reached' | 'lose its answer'

let network: TestNetworkNoAppView
let lanes: { people: [Account, Account]; polls: string[]; browser: Browser }[]
let serverUrl: string
let stopServer: (() => Promise<void>) | undefined
let folder: string

/** For each lane that wants it away, and until the last of them wants it back. */
let away = 0
let changing = Promise.resolve()
const kill = () => (changing = changing.then(() => (away++ === 0 ? stopServer?.() : undefined)))
const revive = () => (changing = changing.then(() => (--away === 0 ? serve() : undefined)))

async function serve(): Promise<void> {
  const stop = new AbortController()
  const config = readConfig({
    PORT: new URL(serverUrl).port,
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
  serverUrl = `http://127.0.0.1:${await freePort(0)}`
  await serve()
  lanes = []
  for (let lane = 0; lane < LANES; lane++) {
    const person = (name: string) => Account.create(network.pds.url, serverUrl, `${name}${lane}.test`)
    const people: [Account, Account] = [await person('alice'), await person('bob')]
    const db = await openServerDb(`${serverUrl}/${lane}`)
    for (const { did } of people) await db.put('sessions', {} as never, did)
    db.close()
    const polls: string[] = []
    for (let i = 0; i < POLLS; i++) {
      const { collection, record } = kinds[i % kinds.length]!
      const { data } = await people[0].agent.com.atproto.repo.createRecord({
        repo: people[0].did,
        collection,
        record: { $type: collection, ...record, createdAt: new Date().toISOString() },
      })
      polls.push(data.uri)
    }
    lanes.push({ people, polls, browser: new Browser(`${serverUrl}/${lane}`, people) })
  }
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
  /** Writes that reached the wire, by the worker that sent them. */
  readonly writes: string[] = []
  engine!: Engine
  /** Each has a database of its own. */
  readonly server: string
  #people: Account[]
  #stop!: AbortController
  #worker = 0

  constructor(server: string, people: Account[]) {
    this.server = server
    this.#people = people
    this.#wake()
  }

  #wake(): void {
    this.#stop = new AbortController()
    const worker = ++this.#worker
    this.engine = createEngine({
      server: this.server,
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
    const agents = new Map<string, Agent>()
    const agent = (did: string) => {
      const known = agents.get(did)
      if (known) return known
      const { agent: theirs } = this.#people.find((it) => it.did === did)!
      const made = new Agent(async (url, init) => {
        const { mood } = this
        if (ended.aborted) return never
        const write = init.method?.toUpperCase() === 'POST'
        if (write) this.writes.push(`${worker} ${url} ${await new Response(init.body as BodyInit).text()}`)
        if (write && mood === 'refuse')
          return Response.json({ error: 'InvalidRequest', message: 'not today' }, { status: 400 })
        if (mood === 'not be reached') throw new TypeError('fetch failed')
        if (mood === 'be reached late') await new Promise((resolve) => setTimeout(resolve, 40))
        // What has not left yet ends with its worker.
        if (ended.aborted) return never
        init.signal?.throwIfAborted()
        const response = await theirs.fetchHandler(url, init)
        if (mood === 'answer late') await new Promise((resolve) => setTimeout(resolve, 40))
        if (ended.aborted) return never
        if (mood === 'lose its answer') throw new TypeError('fetch failed')
        return response
      })
      agents.set(did, made)
      return made
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

/** One end of a connection: what is sent arrives later, in order, and before its end. */
class Wire {
  open = true
  #waiting: (() => void)[] = []

  send(deliver: () => void): void {
    this.#waiting.push(deliver)
    setTimeout(() => this.#waiting.shift()?.())
  }

  close(): void {
    for (const deliver of this.#waiting.splice(0)) deliver()
    this.open = false
  }

  cut(): void {
    this.#waiting = []
    this.open = false
  }
}

/** A page with a widget of one poll. */
class PageWithPoll {
  readonly account = signal<PageAccount | undefined>(undefined)
  model!: PollModel
  #browser: Browser
  #toEngine!: Wire
  #port!: Port

  /** @param uri at-uri of the poll, by handle or DID */
  constructor(browser: Browser, uri: string, who: Account) {
    this.#browser = browser
    this.account.value = { did: who.did, handle: who.handle }
    this.#load(uri)
  }

  #load(uri: string): void {
    this.model = new PollModel(uri, {
      send: (message: ToEngine) => {
        const copy: unknown = structuredClone(message)
        const port = this.#port
        this.#toEngine.send(() => this.#browser.engine.receive(port, copy))
      },
      account: this.account,
      connection: signal({ online: true, since: 0 }),
      resultsFirst: signal(false),
      hasVoted: signal(true),
      knowsSignIn: signal(true),
      linkTo: (it) => it,
      profileOf: (it) => it,
      resultLink: (it) => it.uri,
      compose: (it) => it,
      reminders: signal(undefined),
      second: signal(''),
    })
    this.#connect()
    this.model.visible({} as Element, true)
  }

  #connect(): void {
    const { model } = this
    const toEngine = (this.#toEngine = new Wire())
    this.#port = {
      postMessage: (message: ToPage) => {
        const copy = structuredClone(message)
        setTimeout(() => {
          if (toEngine.open && ('uri' in copy || 'act' in copy)) model.receive(copy as never)
        })
      },
    }
    this.#browser.pages.add(this.#port, 1)
  }

  close(): void {
    this.#toEngine.close()
    this.#browser.engine.live.forget(this.#port)
    this.#browser.pages.remove(this.#port)
  }

  /** What had not reached the worker is lost. */
  workerDied(): void {
    this.#toEngine.cut()
    this.#browser.pages.remove(this.#port)
    this.#connect()
    this.model.reconnected()
  }

  /** id of what was clicked last */
  get lastAct(): string {
    const phase = this.model.click.phase.value
    return 'id' in phase ? phase.id : ''
  }

  navigate(uri: string): void {
    this.close()
    this.#load(uri)
  }

  switchTo(who: Account): void {
    this.account.value = { did: who.did, handle: who.handle }
    this.model.accountChanged()
  }
}

/** What somebody's records on the PDS choose: not more of them than it takes. */
async function recorded({ agent, did }: Account, poll: string): Promise<Choices> {
  const family = familyOfPoll.get(parseAtUri(poll)!.collection)!
  const found: Choices[] = []
  for (const { nsid } of family.votes) {
    const { data } = await agent.com.atproto.repo.listRecords({ repo: did, collection: nsid, limit: 100 })
    const votes = data.records.flatMap(({ uri, value }) => {
      const read = family.readVote(value, { did, collection: nsid, rkey: parseAtUri(uri)!.rkey })
      return read.ok && read.value.subject === poll ? [read.value.choices] : []
    })
    expect(votes.length).toBeLessThanOrEqual(1)
    found.push(...votes)
  }
  return found.flat().toSorted()
}

/** How often each version of a vote was committed, under whatever key: its date makes it another for each click. */
async function commits(): Promise<number[]> {
  const counts = new Map<string, number>()
  for (const event of await network.pds.ctx.sequencer.requestSeqRange({})) {
    if (event.type !== 'commit') continue
    for (const { path, cid } of event.evt.ops) {
      if (!cid || !familyOfVote.has(path.split('/')[0]!)) continue
      const version = `${event.evt.repo} ${cid}`
      counts.set(version, (counts.get(version) ?? 0) + 1)
    }
  }
  return [...counts.values()]
}

/** What the server has counted, by options; undefined: it is away, or has no such poll yet. */
async function counted(poll: string): Promise<number[] | undefined> {
  const answer = await fetch(`${serverUrl}/api/polls/${encodeURIComponent(poll)}`).catch(() => undefined)
  return answer?.ok ? ((await answer.json()) as PollView).options.map(({ count }) => count) : undefined
}

const ends: Record<string, number> = {}

async function play({ people, polls, browser }: (typeof lanes)[number]): Promise<void> {
  const db = await openServerDb(browser.server)
  const [alice, bob] = people
  const property = fc.asyncProperty(round, async ({ steps, poll: which, serverDies }) => {
    const poll = polls[which]!
    const several = isSeveral(which % kinds.length)
    let who: Account = alice
    const page = new PageWithPoll(browser, poll, who)
    let pages = 0
    const clicks: { id: string; who: Account; choices: Choices; page: number; lost?: boolean }[] = []
    if (serverDies) await kill()
    for (const it of steps) {
      if (it.do === 'click') {
        const choices = several ? it.choices.toSorted() : it.choices.slice(0, 1)
        page.model.vote(choices)
        clicks.push({ id: page.lastAct, who, choices, page: pages })
      } else if (it.do === 'pds') browser.mood = it.will
      else if (it.do === 'wait') await new Promise((resolve) => setTimeout(resolve, it.ms))
      else if (it.do === 'die') {
        // Where the page is gone too, nobody has what was not yet accepted.
        for (const click of clicks) click.lost ||= click.page < pages
        browser.die()
        page.workerDied()
      } else if (it.do === 'navigate') {
        pages++
        page.navigate(it.byHandle ? poll.replace(alice.did, alice.handle) : poll)
      } else page.switchTo((who = who === alice ? bob : alice))
      await new Promise((resolve) => setImmediate(resolve))
    }
    // What was clicked has reached the engine, which does it whatever comes.
    await vi
      .waitUntil(
        async () => {
          const acts = new Map((await db.getAll('acts')).map((act) => [act.id, act.state.name]))
          return clicks.every(({ id, lost }) => acts.get(id) === 'ended' || (lost && !acts.has(id)))
        },
        { timeout: 30_000, interval: 2 },
      )
      .catch(async () => {
        throw new Error(`${clicks.length} clicks, acts: ${JSON.stringify(await db.getAll('acts'))}`)
      })
    browser.mood = 'answer'
    if (serverDies) await revive()
    const endings = new Map<string, string>()
    for (const { id, state } of await db.getAll('acts')) {
      const ending = state.name === 'ended' ? state.message.type : state.name
      endings.set(id, ending)
      ends[ending] = (ends[ending] ?? 0) + 1
    }
    for (const person of people) {
      const last = clicks.findLast(({ id, who: clicker }) => clicker === person && endings.has(id))
      if (!last) continue
      const ending = endings.get(last.id)
      if (ending === 'refused') continue
      expect([ending, await recorded(person, poll)]).toEqual(['done', last.choices])
    }
    // What the widget shows is what is recorded, for whoever the page's account is.
    const record = await recorded(who, poll)
    await vi
      .waitUntil(
        () => page.model.voting.value === undefined && page.model.chosen.value.join() === record.join(),
        { timeout: 20_000, interval: 2 },
      )
      .catch(() => {
        const phase = JSON.stringify(page.model.click.phase.value)
        throw new Error(`shown: ${page.model.chosen.value}, recorded: ${record}, phase: ${phase}`)
      })
    const choices = (await Promise.all(people.map((person) => recorded(person, poll)))).flat()
    const tally = [0, 1, 2].map((option) => choices.filter((it) => it === option).length)
    await vi
      // The other lanes may keep the server away meanwhile.
      .waitUntil(async () => (await counted(poll))?.join() === tally.join(), { timeout: 90_000, interval: 5 })
      .catch(async () => {
        throw new Error(`${poll}: counted: ${await counted(poll)}, recorded: ${tally}`)
      })
    page.close()
    await db.clear('acts')
  })
  await fc.assert(property, { numRuns: ROUNDS / LANES, endOnFailure: true })
}

test(`${ROUNDS} interleavings`, { timeout: 600_000 }, async () => {
  await Promise.all(lanes.map(play))
  // Nothing was sent twice by one worker, and what the next one sent again was committed once.
  const writes = lanes.flatMap(({ browser }) => browser.writes)
  const creations = lanes.flatMap(({ browser }) => browser.writes.filter((it) => it.includes('putRecord')))
  expect(new Set(creations).size).toBe(creations.length)
  const committed = await commits()
  expect(Math.max(...committed)).toBe(1)
  console.log(`acts: ${JSON.stringify(ends)}; ${writes.length} writes, ${committed.length} votes`)
  for (const end of ['done', 'refused', 'superseded']) expect(ends[end]).toBeGreaterThan(ROUNDS / 20)
})
