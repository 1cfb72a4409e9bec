/**
 * How long a check takes, on the command line and in a real Chromium, beside the bare reads of the same records from the
 * same PDS. `node e2e/bench-check.ts 1000`: so many votes, each of an account of its own; making those takes the longest.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import { readConfig } from '@pollz/server/config'
import { createLog } from '@pollz/server/log'
import { startServer } from '@pollz/server/server'
import { home } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { openPlainBrowser } from './browser.ts'
import { Account } from './network.ts'
import { widget } from './widget.ts'

const VOTES = Number(process.argv[2] ?? 1000)
/** As a browser asks one host. */
const AT_ONCE = 6

const say = (message: string) => process.stderr.write(`▸ ${message}\n`)
const seconds = async (run: () => Promise<unknown>) => {
  const began = performance.now()
  await run()
  return (performance.now() - began) / 1000
}
/** Runs it for each number, so many at once. */
async function each(count: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const work = async () => {
    while (next < count) await run(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

say(`a PLC directory, a PDS and a server; ${VOTES} accounts, which takes a while`)
const folder = mkdtempSync(join(tmpdir(), 'pollz-bench-'))
const network = await TestNetworkNoAppView.create({})
const stop = new AbortController()
const config = readConfig({
  PORT: '0',
  HOST: '127.0.0.1',
  DATABASE_URL: `file:${join(folder, 'bench.db')}`,
  TAP_URL: '',
  PLC_URL: network.plc.url,
  HANDLE_RESOLVER_URL: network.pds.url,
  RECONCILE_PAUSE: '0',
  SELF_CHECK_PAUSE: '0',
  READS_PER_MINUTE: '0',
  LOG_LEVEL: 'error',
})
const server = await startServer(config, createLog('error'), stop.signal)
const base = `http://127.0.0.1:${server.port}`
const author = await Account.create(network.pds.url, base, 'author.test')
const poll = await author.makePoll('Tea?', ['yes', 'no'])
const dids: string[] = []
await each(VOTES, async (i) => {
  const voter = await Account.create(network.pds.url, base, `voter${i}.test`)
  await voter.vote(poll, i % 2)
  dids.push(voter.did)
  const uri = `at://${voter.did}/${home.vote}/${voteRkey(poll)}`
  const response = await fetch(`${base}/api/votes`, { method: 'POST', body: JSON.stringify({ uri }) })
  if (!response.ok) throw new Error(`${uri}: ${await response.text()}`)
  if ((i + 1) % 500 === 0) say(`${i + 1} votes`)
})

say('the bare reads')
const bare = await seconds(() =>
  each(dids.length, async (i) => {
    await (await fetch(`${network.plc.url}/${dids[i]}`)).arrayBuffer()
    const query = new URLSearchParams({ did: dids[i]!, collection: home.vote, rkey: voteRkey(poll) })
    await (await fetch(`${network.pds.url}/xrpc/com.atproto.sync.getRecord?${query}`)).arrayBuffer()
  }),
)
const path = `/poll/${poll.split('/')[2]}/${poll.split('/')[4]}`
say('the command line')
const cli = join(import.meta.dirname, '../check/src/cli.ts')
const command = await seconds(async () => {
  const { stdout } = await promisify(execFile)('node', [cli, base + path, '--plc', network.plc.url])
  if (!stdout.includes(`${VOTES} of ${VOTES} votes proved`)) throw new Error(stdout)
})
say('a browser')
const browser = await openPlainBrowser()
const page = await browser.newPage()
await page.goto(base + path)
await widget(page, poll).getByRole('button', { name: 'Details' }).click()
let longest = 0
const inBrowser = await seconds(async () => {
  await widget(page, poll).getByRole('button', { name: 'Check this result' }).click()
  const watching = page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        let [last, most] = [performance.now(), 0]
        const look = () => {
          const now = performance.now()
          most = Math.max(most, now - last)
          last = now
          const root = document.querySelector('[data-pollz]')!.shadowRoot!
          if (root.querySelector('.verdict')!.textContent === '') requestAnimationFrame(look)
          else resolve(most)
        }
        look()
      }),
  )
  await widget(page, poll)
    .getByText('The result is right.')
    .waitFor({ timeout: VOTES * 100 + 30_000 })
  longest = await watching
})
await browser.close()

const row = (name: string, took: number) =>
  console.log(
    `  ${name.padEnd(44)} ${took.toFixed(1).padStart(7)} s   ${(VOTES / took).toFixed(0).padStart(5)}/s`,
  )
console.log(`\nseconds to check a poll with ${VOTES} votes, ${AT_ONCE} requests at a time`)
row('the bare reads, nothing proved', bare)
row('the command line', command)
row('a page in Chromium', inBrowser)
console.log(`  longest frame of the page meanwhile              ${longest.toFixed(0)} ms\n`)

stop.abort()
await server.done
await network.close()
rmSync(folder, { recursive: true, force: true })
process.exit(0)
