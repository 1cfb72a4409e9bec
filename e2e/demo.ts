/** `npm run demo`: a local network, people, polls, posts, and a browser in which to vote. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildExtension, openBrowser, openBsky } from './browser.ts'
import { PASSWORD, startNetwork, type Account } from './network.ts'

const say = (message: string) => process.stderr.write(`▸ ${message}\n`)
const picture = join(import.meta.dirname, 'artifacts', 'demo.png')

/** How often somebody votes, in ms. */
const VOTE_EVERY = 2500
/** When one of the polls ends, in ms. */
const END_AFTER = 5 * 60_000

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    if (!stop.signal.aborted) say('stopping')
    stop.abort()
  })

const network = await startNetwork({
  ports: { plc: 2582, pds: 2583, tap: 2480, server: 3000 },
  tap: JSON.parse(process.env['POLLZ_TAP']!) as string[],
  say,
  signal: stop.signal,
})
say('building the extension for this network')
await buildExtension(network)

say('making accounts, polls and posts')
const [alice, bob, ...others] = (await Promise.all(
  ['alice', 'bob', 'carol', 'dan', 'erin', 'frank', 'grace', 'heidi'].map((name) =>
    network.createAccount(`${name}.test`),
  ),
)) as [Account, Account, ...Account[]]
const polls: { uri: string; options: number }[] = []
type More = { as?: 'card' | 'text'; endsAt?: string; multiple?: boolean }
async function ask(by: Account, text: string, options: string[], { as = 'card', ...more }: More = {}) {
  const uri = await by.makePoll(text, options, more)
  await by.post(text, uri, as)
  polls.push({ uri, options: options.length })
}
await ask(alice, 'Tabs or spaces?', ['Tabs', 'Spaces', 'Whatever the formatter says'])
await ask(
  bob,
  'Best time of day to write?',
  ['Dawn 🌅', 'Afternoon', 'Midnight 🌙', 'When the deadline is an hour away, and not a minute before'],
  { as: 'text' },
)
await ask(others[0]!, 'ما هو أفضل مشروب؟', ['قهوة', 'شاي'])
const soon = new Date(Date.now() + END_AFTER).toISOString()
await ask(others[1]!, 'What do you drink? It ends in five minutes', ['Coffee', 'Tea', 'Water'], {
  endsAt: soon,
  multiple: true,
})

const headless = process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']
say(headless ? 'opening the browser (headless: there is no display)' : 'opening the browser')
const context = await openBrowser([alice, bob, ...others], { headless })
const page = await openBsky(context, alice)

process.stdout.write(`
  bsky.app (a stand-in) is open in the browser, logged in as alice.test.
  Vote: the first click opens the PDS's own sign-in page.

    accounts   ${[alice, bob, ...others].map(({ handle }) => handle).join(', ')}
    password   ${PASSWORD}
    server     ${network.serverUrl}
    a poll     ${alice.linkTo(polls[0]!.uri)}
    PDS        ${network.pdsUrl}
    PLC        ${network.plcUrl}
    tap        ${network.tapUrl}
    extension  extension/.output/chrome-mv3
    logs       ${network.folder}
${headless ? `    picture    ${picture} (kept up to date)\n` : ''}
  Others vote now and then. Ctrl-C ends everything.

`)

async function voteNowAndThen(): Promise<void> {
  const pick = <T>(list: T[]) => list[Math.floor(Math.random() * list.length)]!
  while (!stop.signal.aborted) {
    const poll = pick(polls)
    await pick(others).vote(poll.uri, Math.floor(Math.random() * poll.options))
    if (headless) {
      mkdirSync(join(import.meta.dirname, 'artifacts'), { recursive: true })
      await page.screenshot({ path: picture })
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, VOTE_EVERY)
      stop.signal.addEventListener('abort', () => (clearTimeout(timer), resolve(undefined)))
    })
  }
}

context.on('close', () => {
  if (!stop.signal.aborted) say('the browser was closed: stopping')
  stop.abort()
})
await voteNowAndThen().catch((error: unknown) => {
  if (!stop.signal.aborted) throw error
})
await context.close().catch(() => {})
await network.done
say('everything has ended')
process.exit(0)
