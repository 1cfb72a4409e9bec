/** Each way to cheat, against a real PDS, as the command line and a browser tell it. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import type { Doubt, Fault } from '@pollz/shared/checks'
import texts from '@pollz/widget/locales/en/messages.json' with { type: 'json' }
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { readConfig } from '@pollz/server/config'
import { createLog } from '@pollz/server/log'
import { startServer } from '@pollz/server/server'
import { home, pollHosts } from '@pollz/shared/families'
import { pollLink } from '@pollz/shared/links'
import { tid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'
import type { CountedVotes } from '@pollz/shared/wire'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import {
  axeFinds,
  buildExtension,
  openBrowser,
  openBsky,
  openPlainBrowser,
  pictureFailure,
} from './browser.ts'
import { constellationStandIn, lyingServer, misleadingPlc, proxy, sumUp } from './cheats.ts'
import { Account } from './network.ts'
import { showsCounts, widget } from './widget.ts'

const artifacts = join(import.meta.dirname, 'artifacts')

let network: TestNetworkNoAppView
const stop = new AbortController()
let done: Promise<void>
let server: string
let author: Account
let voters: Account[]
let poll: string
let browser: Browser
let page: Page
let extended: BrowserContext | undefined
const open: { close: () => void }[] = []
const opened = async <T extends { close: () => void }>(it: Promise<T>): Promise<T> => {
  open.push(await it)
  return it
}

beforeAll(async () => {
  mkdirSync(artifacts, { recursive: true })
  network = await TestNetworkNoAppView.create({})
  const config = readConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: `file:${join(mkdtempSync(join(tmpdir(), 'pollz-check-')), 'test.db')}`,
    TAP_URL: '',
    PLC_URL: network.plc.url,
    HANDLE_RESOLVER_URL: network.pds.url,
    RECONCILE_PAUSE: '0',
    LOG_LEVEL: 'error',
  })
  const started = await startServer(config, createLog('error'), stop.signal)
  server = `http://127.0.0.1:${started.port}`
  done = started.done
  author = await Account.create(network.pds.url, server, 'author.test')
  voters = await Promise.all(
    ['one', 'two', 'three', 'four'].map((name) => Account.create(network.pds.url, server, `${name}.test`)),
  )
  poll = await author.makePoll('Tea?', ['yes', 'no'])
  for (const [i, voter] of voters.entries()) await voteAndTell(voter, poll, i % 2)
  browser = await openPlainBrowser()
  page = await browser.newPage({ viewport: { width: 700, height: 1000 }, deviceScaleFactor: 2 })
})

afterEach(({ task }) => pictureFailure(task, ...browser.contexts(), ...(extended ? [extended] : [])))

afterAll(async () => {
  await extended?.close()
  await browser?.close()
  for (const it of open) it.close()
  stop.abort()
  await done
  await network?.close()
})

const uriOf = (voter: Account, of = poll) => `at://${voter.did}/${home.vote}/${voteRkey(of)}`

async function voteAndTell(voter: Account, of: string, option: number): Promise<void> {
  await voter.vote(of, option)
  await tell(uriOf(voter, of))
}

const follow = (person: Account, other: Account) =>
  person.agent.com.atproto.repo.createRecord({
    repo: person.did,
    collection: 'app.bsky.graph.follow',
    record: { $type: 'app.bsky.graph.follow', subject: other.did, createdAt: new Date().toISOString() },
    validate: false,
  })

async function giveFace(person: Account): Promise<void> {
  const { uploadBlob, putRecord } = person.agent.com.atproto.repo
  const { data } = await uploadBlob.call(
    person.agent.com.atproto.repo,
    readFileSync(join(import.meta.dirname, '../docs/widget.png')),
    { encoding: 'image/png' },
  )
  await putRecord.call(person.agent.com.atproto.repo, {
    repo: person.did,
    collection: 'app.bsky.actor.profile',
    rkey: 'self',
    record: { $type: 'app.bsky.actor.profile', avatar: data.blob },
  })
}

async function tell(uri: string): Promise<void> {
  const response = await fetch(`${server}/api/votes`, { method: 'POST', body: JSON.stringify({ uri }) })
  expect(response.status).toBe(200)
}

type Said = {
  code: number
  verdict: string
  counts: number[]
  proved: number
  listed: number
  findings: { fault: string; uri: string }[]
  doubts: { why: Doubt; uri: string }[]
}

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile('node', [join(import.meta.dirname, '../check/src/cli.ts'), ...args], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

async function check(at: string, of = poll, ...more: string[]): Promise<Said> {
  const link = pollLink(of, pollHosts(at), at)
  const plc = more.includes('--plc') ? [] : ['--plc', network.plc.url]
  const { code, stdout, stderr } = await run(link, '--json', ...plc, ...more)
  expect(stderr).toBe('')
  return { code, ...(JSON.parse(stdout) as Omit<Said, 'code'>) }
}

/** What the page of a poll says of its result, and vote by vote. @param more base URLs */
async function checkInBrowser(
  at: string,
  more: { of?: string; second?: string; plc?: string } = {},
): Promise<{ verdict: string; found: string[] }> {
  const { of = poll, second, plc } = more
  const host =
    plc === undefined
      ? at
      : (
          await opened(
            proxy(at, (url, body) =>
              url.pathname.startsWith('/poll/')
                ? Buffer.from(body.toString().replaceAll(network.plc.url, plc))
                : undefined,
            ),
          )
        ).url
  await page.goto(`${host}/poll/${of.split('/')[2]}/${of.split('/')[4]}`)
  await widget(page, of).getByRole('button', { name: 'Details' }).click()
  if (second !== undefined) {
    await widget(page, of).getByText('Another source of votes').click()
    await widget(page, of).getByRole('textbox', { name: 'Another source of votes' }).fill(second)
  }
  await widget(page, of).getByRole('button', { name: 'Check' }).click()
  const verdict = widget(page, of).locator('.verdict').filter({ hasText: /./ })
  const found = widget(page, of).locator('.found li')
  const inner = await verdict.innerText()
  return { verdict: inner, found: await found.allInnerTexts() }
}

const of = (name: `fault_${Fault}` | `doubt_${Doubt}`) => texts[name].message

test('an honest server is right, in words too, by handle too', async () => {
  expect(await check(server)).toMatchObject({
    code: 0,
    verdict: 'right',
    counts: [2, 2],
    listed: 4,
    proved: 4,
    findings: [],
    doubts: [],
  })
  const link = `${server}/poll/${author.handle}/${poll.split('/').at(-1)}`
  const { code, stdout } = await run(link, '--plc', network.plc.url)
  expect(code).toBe(0)
  expect(stdout).toContain('4 of 4 votes proved')
  expect(stdout).toContain('The result is right.')
})

const lies: [string, (votes: CountedVotes) => void, { fault: Fault; uri: () => string }][] = [
  [
    'adds a vote that is not there',
    ({ votes }) => {
      const [first] = votes
      const voter = author.did
      votes.push({ ...first!, voter, uri: uriOf(author), rev: '2222222222222' })
    },
    { fault: 'added', uri: () => uriOf(author) },
  ],
  [
    'adds something that is no vote',
    ({ votes }) => votes.push({ ...votes[0]!, voter: author.did, uri: poll }),
    { fault: 'added', uri: () => poll },
  ],
  [
    'changes a vote',
    ({ votes }) => {
      votes.find(({ voter }) => voter === voters[0]!.did)!.options = [1]
    },
    { fault: 'changed', uri: () => uriOf(voters[0]!) },
  ],
  [
    'gives a vote to somebody else',
    ({ votes }) => {
      votes.find(({ voter }) => voter === voters[0]!.did)!.voter = author.did
    },
    { fault: 'changed', uri: () => uriOf(voters[0]!) },
  ],
  [
    'counts a vote twice',
    ({ votes }) => votes.push(votes.find(({ voter }) => voter === voters[2]!.did)!),
    { fault: 'doubled', uri: () => uriOf(voters[2]!) },
  ],
  [
    'backdates a vote',
    ({ votes }) => {
      votes.find(({ voter }) => voter === voters[1]!.did)!.createdAt = '2020-01-01T00:00:00.000Z'
    },
    { fault: 'backdated', uri: () => uriOf(voters[1]!) },
  ],
]

test.each(lies)('a server that %s is found out', async (_, lie, { fault, uri }) => {
  const liar = await opened(
    lyingServer(server, (votes) => {
      lie(votes)
      sumUp(votes)
    }),
  )
  const said = await check(liar.url)
  expect([said.code, said.verdict, said.findings]).toEqual([1, 'wrong', [{ fault, uri: uri() }]])
  const { verdict, found } = await checkInBrowser(liar.url)
  expect(verdict).toContain('The result is not right.')
  expect(found).toEqual([expect.stringContaining(of(`fault_${fault}`))])
})

test('a browser says that an honest server is right, and remembers when it was checked', async () => {
  expect(await checkInBrowser(server)).toEqual({
    verdict: '4 of 4 votes proved. The result is right. Checked by your browser this minute.',
    found: [],
  })
  expect(await axeFinds(page)).toEqual([])
  await page.screenshot({ path: join(artifacts, 'check-right.png') })
  await page.reload()
  await widget(page, poll).getByRole('button', { name: 'Details' }).click()
  await widget(page, poll).getByText('The result is right.').waitFor()
  await widget(page, poll).getByRole('button', { name: 'Check again' }).waitFor()
})

test('a server that claims to have seen what no PDS shows is not believed', async () => {
  const liar = await opened(
    lyingServer(server, (it) => {
      const rev = tid(Date.now() * 1000)
      it.votes.push({ ...it.votes[0]!, voter: author.did, uri: uriOf(author), rev })
      sumUp(it)
    }),
  )
  expect(await check(liar.url)).toMatchObject({ code: 2, doubts: [{ why: 'old', uri: uriOf(author) }] })
})

test('a server whose numbers are not those of its votes is found out', async () => {
  const liar = await opened(
    lyingServer(server, ({ poll: { options } }) => {
      options[0]!.count += 100
    }),
  )
  expect(await check(liar.url)).toMatchObject({ code: 1, findings: [{ fault: 'sum', uri: poll }] })
  expect((await checkInBrowser(liar.url)).found).toEqual([of('fault_sum')])
})

test('a server that says something else than the author is found out', async () => {
  const liar = await opened(
    lyingServer(server, (it) => {
      it.poll.options = it.poll.options.toReversed()
    }),
  )
  const { code, findings } = await check(liar.url)
  expect([code, findings]).toEqual([1, [{ fault: 'poll', uri: poll }]])
  expect((await checkInBrowser(liar.url)).found).toEqual([of('fault_poll')])
})

test('what a server leaves out is found by another, and by an index of links', async () => {
  const liar = await opened(
    lyingServer(server, (it) => {
      it.votes = it.votes.filter(({ voter }) => voter !== voters[3]!.did)
      sumUp(it)
    }),
  )
  // By itself its list is as good as any.
  expect(await check(liar.url)).toMatchObject({ code: 0, listed: 3 })
  const dropped = { code: 1, findings: [{ fault: 'dropped', uri: uriOf(voters[3]!) }] }
  expect(await check(liar.url, poll, '--second', server)).toMatchObject(dropped)
  const records = voters.map(({ did }) => ({ did, collection: home.vote, rkey: voteRkey(poll) }))
  const index = await opened(constellationStandIn(records))
  expect(await check(liar.url, poll, '--second', index.url)).toMatchObject(dropped)
  expect(index.asked).toContain(`${poll} tech.waow.vote:subject`)
  const { verdict, found } = await checkInBrowser(liar.url, { second: index.url })
  expect([verdict, found]).toEqual([
    expect.stringContaining('The result is not right.'),
    [expect.stringContaining(of('fault_dropped'))],
  ])
  await page.screenshot({ path: join(artifacts, 'check-dropped.png') })
})

test('a second source that is away is named, and leaves it open whether votes were left out', async () => {
  const { code, stdout } = await run(
    pollLink(poll, pollHosts(server), server),
    '--plc',
    network.plc.url,
    '--second',
    'http://127.0.0.1:9',
  )
  expect([code, stdout]).toEqual([
    2,
    expect.stringMatching(
      /4 of 4 votes proved[^]*were not looked for: .*does not answer[^]*The result is right\./,
    ),
  ])
})

test('with no server at all it is counted from an index of links', async () => {
  const records = voters.map(({ did }) => ({ did, collection: home.vote, rkey: voteRkey(poll) }))
  const index = await opened(constellationStandIn(records))
  const { code, stdout } = await run(poll, '--second', index.url, '--plc', network.plc.url)
  expect([code, stdout.split('\n').slice(0, 3)]).toEqual([0, ['Tea?', '         2  yes', '         2  no']])
})

test('C2: an older vote of somebody who has a later one is theirs, and counts once', async () => {
  const voter = await Account.create(network.pds.url, server, 'twice.test')
  const of = await author.makePoll('Twice?', ['yes', 'no'])
  const older = await voter.agent.com.atproto.repo.createRecord({
    repo: voter.did,
    collection: home.vote,
    record: home.writeVote({ poll: { uri: of }, choices: [0], createdAt: '2026-01-01T00:00:00Z' })[0]!.record,
  })
  await tell(older.data.uri)
  await voteAndTell(voter, of, 1)
  expect(await check(server, of, '--second', server)).toMatchObject({ code: 0, counts: [0, 1] })
  const both = await opened(
    lyingServer(server, (it) => {
      it.votes.push({
        ...it.votes[0]!,
        uri: older.data.uri,
        options: [0],
        createdAt: '2026-01-01T00:00:00.000Z',
      })
      sumUp(it)
    }),
  )
  const doubled = await check(both.url, of)
  expect([doubled.code, doubled.findings]).toEqual([1, [{ fault: 'doubled', uri: older.data.uri }]])
  // The later one is left out: whoever knows of it finds the one before superseded.
  const before = await opened(
    lyingServer(server, (it) => {
      it.votes = [
        {
          ...it.votes[0]!,
          uri: older.data.uri,
          options: [0],
          createdAt: '2026-01-01T00:00:00.000Z',
        },
      ]
      sumUp(it)
    }),
  )
  const superseded = await check(before.url, of, '--second', server)
  expect([superseded.code, superseded.findings]).toEqual([
    1,
    [
      { fault: 'superseded', uri: older.data.uri },
      { fault: 'dropped', uri: uriOf(voter, of) },
    ],
  ])
})

test('a server that has not heard of a change yet is told, and right after that', async () => {
  const of = await author.makePoll('Told?', ['yes', 'no'])
  await voteAndTell(voters[0]!, of, 0)
  await voters[0]!.vote(of, 1)
  expect(await check(server, of)).toMatchObject({ code: 0, counts: [0, 1] })
})

test('C8: a vote that is dated after the end is late', async () => {
  const endsAt = new Date(Date.now() + 3_600_000).toISOString()
  const of = await author.makePoll('Late?', ['yes', 'no'], { endsAt })
  await voteAndTell(voters[0]!, of, 0)
  expect((await check(server, of)).code).toBe(0)
  const liar = await opened(
    lyingServer(server, (it) => {
      it.poll.endsAt = '2026-01-02T00:00:00.000Z'
    }),
  )
  expect((await check(liar.url, of)).findings).toEqual([{ fault: 'poll', uri: of }])
  await author.changePoll(of, { endsAt: new Date(Date.now() - 60_000).toISOString() })
  const late = uriOf(voters[0]!, of)
  const said = await check(server, of)
  expect(said.findings).toEqual(expect.arrayContaining([{ fault: 'late', uri: late }]))
  // Nobody can tell whether a server has seen it before the end.
  const early = await opened(
    lyingServer(server, (it) => {
      it.votes[0]!.castAt = '2026-01-01T00:00:00.000Z'
    }),
  )
  const doubted = await check(early.url, of)
  expect(doubted.doubts).toEqual([{ why: 'perhapsLate', uri: late }])
})

/** @param alter the answer of this voter's PDS */
async function withPds(alter: (url: URL, car: Buffer) => Buffer | Promise<Buffer>) {
  const { did } = voters[0]!
  const pds = await opened(
    proxy(network.pds.url, (url, body) =>
      url.pathname.endsWith('.getRecord') ? alter(url, body) : undefined,
    ),
  )
  const plc = await opened(misleadingPlc(network.plc.url, did, pds.url))
  return bothSay(plc.url)
}

/** What the command line says, once the browser says the same. @param plc base URL of the directory */
async function bothSay(plc: string) {
  const said = await check(server, poll, '--plc', plc)
  const { verdict, found } = await checkInBrowser(server, { plc })
  expect(verdict).toContain(`${said.proved} of ${said.listed} votes proved.`)
  expect(found).toEqual(said.doubts.map(({ why }) => expect.stringContaining(of(`doubt_${why}`))))
  return said
}

const unproved = (why: string) => ({
  code: 2,
  verdict: 'unknown',
  proved: 3,
  findings: [],
  doubts: [{ why, uri: uriOf(voters[0]!) }],
})

test('a PDS that serves a wrong signature, another repo’s proof, half of one, or nothing proves nothing', async () => {
  const proofOf = async (of: Account) => {
    const url = new URL('/xrpc/com.atproto.sync.getRecord', network.pds.url)
    url.search = new URLSearchParams({
      did: of.did,
      collection: home.vote,
      rkey: voteRkey(poll),
    }).toString()
    return Buffer.from(await (await fetch(url)).arrayBuffer())
  }
  expect(await withPds(() => proofOf(voters[1]!))).toMatchObject(unproved('otherRepo'))
  expect(await withPds((_, car) => car.subarray(0, car.length / 2))).toMatchObject(unproved('noProof'))
  expect(await withPds(() => Buffer.from('no CAR'))).toMatchObject(unproved('noProof'))

  // A commit that is signed by another key: the directory says that this is the account's.
  const key = (await (await fetch(`${network.plc.url}/${voters[1]!.did}`)).json()) as {
    verificationMethod: { publicKeyMultibase: string }[]
  }
  const plc = await opened(
    proxy(network.plc.url, (url, body) => {
      if (decodeURIComponent(url.pathname) !== `/${voters[0]!.did}`) return undefined
      const document = JSON.parse(body.toString()) as typeof key
      document.verificationMethod[0]!.publicKeyMultibase = key.verificationMethod[0]!.publicKeyMultibase
      return Buffer.from(JSON.stringify(document))
    }),
  )
  expect(await bothSay(plc.url)).toMatchObject(unproved('signature'))
})

test('a PDS that serves an old commit proves nothing', async () => {
  const [voter] = voters
  const url = new URL('/xrpc/com.atproto.sync.getRecord', network.pds.url)
  url.search = new URLSearchParams({
    did: voter!.did,
    collection: home.vote,
    rkey: voteRkey(poll),
  }).toString()
  const old = Buffer.from(await (await fetch(url)).arrayBuffer())
  await voteAndTell(voter!, poll, 1)
  expect(await check(server)).toMatchObject({ code: 0, counts: [1, 3] })
  expect(await withPds(() => old)).toMatchObject(unproved('old'))
  await voteAndTell(voter!, poll, 0)
})

test('votes whose server is away are unproved, and the others are checked', async () => {
  const plc = await opened(misleadingPlc(network.plc.url, voters[0]!.did, 'http://127.0.0.1:9'))
  expect(await bothSay(plc.url)).toMatchObject(unproved('unreachable'))
})

test('as it is published it is one file, which needs nothing beside it', async () => {
  await promisify(execFile)('npm', ['run', 'build', '-w', 'pollz-check', '--silent'])
  const folder = mkdtempSync(join(tmpdir(), 'pollz-published-'))
  const file = join(folder, 'pollz-check.js')
  copyFileSync(join(import.meta.dirname, '../check/.output/pollz-check.js'), file)
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const link = pollLink(poll, pollHosts(server), server)
  const { stdout } = await promisify(execFile)('node', [file, link, '--plc', network.plc.url], {
    cwd: folder,
  })
  expect(stdout).toContain('The result is right.')
})

test('an archive is counted again years later, and what was changed in it proves nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pollz-archive-'))
  const file = join(folder, 'archive.json')
  expect((await check(server, poll, '--save', file)).code).toBe(0)
  const again = await run('--from', file, '--json')
  expect([again.code, (JSON.parse(again.stdout) as Said).counts]).toEqual([0, [2, 2]])

  const kept = JSON.parse(readFileSync(file, 'utf8')) as {
    claim: CountedVotes
    proofs: Record<string, { car: string; key: string }>
  }
  const forged = structuredClone(kept)
  forged.claim.votes[0]!.options = [1 - forged.claim.votes[0]!.options[0]!]
  sumUp(forged.claim)
  writeFileSync(file, JSON.stringify(forged))
  expect((await run('--from', file)).code).toBe(1)

  const swapped = structuredClone(kept)
  swapped.proofs[uriOf(voters[0]!)] = kept.proofs[uriOf(voters[1]!)]!
  writeFileSync(file, JSON.stringify(swapped))
  expect((await run('--from', file)).code).toBe(2)

  writeFileSync(file, '{"format":"pollz-check/1"}')
  expect(await run('--from', file)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^pollz-check: at: /),
  })
})

test.each([
  [[], /URL: expected one/],
  [['nonsense'], /URL: expected https/],
  [['at://did:plc:x/tech.waow.poll/3kaaaaaaaaaa2'], /--second: an at-uri names no server/],
  [['https://a.example/poll/did:plc:x/3kaaaaaaaaaa2', '--second', 'x'], /--second: expected a URL/],
  [['--nonsense'], /nonsense/],
  [
    ['at://did:plc:x/tech.waow.vote/3kaaaaaaaaaa2', '--second', 'https://a.example'],
    /is not the at-uri of a poll/,
  ],
  [['http://127.0.0.1:9/poll/did:plc:abcdefghijklmnopqrstuvwx/3kaaaaaaaaaa2'], /does not answer/],
])('%j ends with 2 and says why', async (args, why) => {
  expect(await run(...args)).toMatchObject({ code: 2, stderr: expect.stringMatching(why) })
})

test('the votes of a poll are a table, which no table program runs', async () => {
  const of = await author.makePoll('Formula?', ['=1+1', 'a "b", c'])
  await voteAndTell(voters[0]!, of, 0)
  await voteAndTell(voters[1]!, of, 1)
  const response = await fetch(`${server}/api/polls/${encodeURIComponent(of)}/votes.csv`)
  expect([response.headers.get('content-type'), response.headers.get('content-disposition')]).toEqual([
    'text/csv; charset=utf-8',
    `attachment; filename="poll-${of.split('/').at(-1)}.csv"`,
  ])
  const lines = (await response.text()).split('\r\n')
  expect(lines[0]).toBe('voter,option,text,createdAt,castAt,uri,rev')
  expect(lines[1]).toMatch(new RegExp(`^${voters[0]!.did},0,'=1\\+1,2026`.replace('2026', '\\d{4}')))
  expect(lines[2]).toContain(`${voters[1]!.did},1,"a ""b"", c",`)
  expect(lines).toHaveLength(4)
})

test('in the extension: behind Details, and with the server away it counts by itself', async () => {
  const records = voters.map(({ did }) => ({ did, collection: home.vote, rkey: voteRkey(poll) }))
  const index = await opened(constellationStandIn(records))
  const urls = { serverUrl: server, plcUrl: network.plc.url, pdsUrl: network.pds.url }
  await buildExtension(urls, 'chrome', index.url)
  await author.post('Vote here', poll, 'card')
  extended = await openBrowser([author])
  const bsky = await openBsky(extended, author, `/profile/${author.handle}`)
  await showsCounts(bsky, poll, [2, 2])
  await widget(bsky, poll).getByRole('button', { name: 'Details' }).click()
  await widget(bsky, poll).getByRole('button', { name: 'Check this result' }).click()
  const right = widget(bsky, poll).getByText('4 of 4 votes proved. The result is right.')
  await right.waitFor()
  expect(await right.count()).toBe(1)
  await bsky.screenshot({ path: join(artifacts, 'check-widget.png') })

  // Among people one follows: off until it is asked for.
  for (const it of [voters[0]!, voters[1]!, voters[2]!, author]) await follow(author, it)
  await giveFace(voters[0]!)
  const asked: string[] = []
  extended.on('request', (request) => asked.push(request.url()))
  await widget(bsky, poll).getByRole('button', { name: 'Show how people I follow voted' }).click()
  await widget(bsky, poll).getByText('3 people you follow: 2 yes and 1 no').waitFor()
  const face = widget(bsky, poll).locator('.followed img')
  expect(await face.count()).toBe(1)
  expect(await face.evaluate((it) => (it as HTMLImageElement).decode().then(() => true))).toBe(true)
  const who = widget(bsky, poll).getByRole('list', { name: 'People you follow' }).getByRole('listitem')
  expect((await who.allInnerTexts()).map((it) => it.replace(/\s+/g, ' ')).toSorted()).toEqual([
    '@one.test yes',
    '@three.test yes',
    '@two.test no',
  ])
  // The server is asked for what everybody is.
  const ofServer = asked.filter((it) => it.startsWith(server)).map((it) => decodeURIComponent(it))
  expect(ofServer).toContain(`${server}/api/polls/${poll}/voters.bin`)
  expect(ofServer.filter((it) => voters.some(({ did }) => it.includes(did)))).toEqual([])
  await bsky.screenshot({ path: join(artifacts, 'followed.png') })
  await bsky.reload()
  await widget(bsky, poll).getByRole('button', { name: 'Show results' }).click()
  await widget(bsky, poll).getByText('3 people you follow: 2 yes and 1 no').waitFor()
  await widget(bsky, poll).getByRole('button', { name: 'Details' }).click()
  await widget(bsky, poll).getByRole('button', { name: 'Don’t show this any more' }).click()
  await widget(bsky, poll).getByText('3 people you follow').waitFor({ state: 'detached' })

  stop.abort()
  await done
  await widget(bsky, poll).getByText('reconnecting').waitFor()
  await voters[0]!.vote(poll, 1)
  await widget(bsky, poll).getByRole('button', { name: 'Count it here' }).click()
  await widget(bsky, poll).getByText('Counted by your browser').waitFor()
  await showsCounts(bsky, poll, [1, 3])
  await bsky.screenshot({ path: join(artifacts, 'count-here.png') })
})
