/** What the extension costs the page, and how soon a poll has its tally: in a real Chromium, beside what it is compared with. */
import type { BrowserContext, Page } from 'playwright-core'
import { buildExtension, openBrowser, openPlainBrowser, ownPage } from './browser.ts'
import { startTestNetwork } from './network.ts'

const POSTS = 2_000
const ROUNDS = 5
const POLLS = 60

const say = (message: string) => process.stderr.write(`▸ ${message}\n`)
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
const percentile = (values: number[], p: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))]!

async function blank(page: Page): Promise<void> {
  await page.route('https://bsky.app/**', (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: '<!doctype html><html class="theme--light"><main></main>',
    }),
  )
  await page.goto('https://bsky.app/')
}

/** Main-thread milliseconds that a thousand posts cost: posts of 121 nodes, fifty in a frame, none with a poll. */
async function costOfPosts(page: Page): Promise<number> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable')
  const taskSeconds = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'TaskDuration')!.value
  }
  const before = await taskSeconds()
  await page.evaluate(async (posts) => {
    const template = document.createElement('div')
    template.setAttribute('data-testid', 'feedItem-by-somebody')
    template.setAttribute('role', 'link')
    for (let i = 0; i < 20; i++) {
      const part = document.createElement('div')
      part.innerHTML = '<span><b>a</b> <i>b</i></span><a href="https://example.com/x">c</a><button>d</button>'
      template.append(part)
    }
    const main = document.querySelector('main')!
    for (let made = 0; made < posts; made += 50) {
      for (let i = 0; i < 50; i++) main.append(template.cloneNode(true))
      await new Promise((resolve) => {
        requestAnimationFrame(resolve)
      })
    }
  }, POSTS)
  const after = await taskSeconds()
  await cdp.detach()
  return ((after - before) * 1000) / (POSTS / 1000)
}

/** Milliseconds from a widget's appearance in the document to its first tally on the screen, for each that is seen. */
async function timesToTally(page: Page, links: string[]): Promise<number[]> {
  return page.evaluate(async (links) => {
    const times: number[] = []
    const main = document.querySelector('main')!
    for (const link of links) {
      const post = document.createElement('div')
      post.setAttribute('data-testid', 'feedItem-by-somebody')
      post.innerHTML = `<div><div data-testid="postText"><a href="${link}" role="link">poll</a></div></div>`
      const began = performance.now()
      main.prepend(post)
      await new Promise<void>((resolve) => {
        const look = () => {
          const root = post.querySelector('[data-pollz]')?.shadowRoot
          if (root?.querySelector('.total')) {
            times.push(performance.now() - began)
            resolve()
          } else requestAnimationFrame(look)
        }
        look()
      })
    }
    return times
  }, links)
}

/** Other polls that the server was not asked for before, one after the other by a page that may: the extension's own. */
async function timesToAnswer(page: Page, server: string, uris: string[]): Promise<number[]> {
  return page.evaluate(
    async ([server, uris]) => {
      const times: number[] = []
      for (const uri of uris) {
        const began = performance.now()
        await (await fetch(`${server}/api/polls/${encodeURIComponent(uri)}`)).json()
        await new Promise((resolve) => {
          requestAnimationFrame(resolve)
        })
        times.push(performance.now() - began)
      }
      return times
    },
    [server, uris] as const,
  )
}

const stop = new AbortController()
say('starting a local network')
const {
  network,
  accounts: [bob],
} = await startTestNetwork(stop.signal, 'bob')
await buildExtension(network)
say('making polls')
const uris: string[] = []
for (let i = 0; i < POLLS; i++) uris.push(await bob.makePoll(`Number ${i}?`, ['Yes', 'No', 'Perhaps']))

const withIt: BrowserContext = await openBrowser([bob])
const without = await openPlainBrowser()
const costs = { with: [] as number[], without: [] as number[] }
say(`adding ${POSTS} posts, ${ROUNDS} times each way`)
for (let round = 0; round < ROUNDS; round++) {
  for (const way of ['with', 'without'] as const) {
    const page = await (way === 'with'
      ? withIt.newPage()
      : without.newPage({ viewport: { width: 800, height: 900 } }))
    await blank(page)
    costs[way].push(await costOfPosts(page))
    await page.close()
  }
}
const page = await withIt.newPage()
await blank(page)
const half = POLLS / 2
const links = uris.map((uri) => bob.linkTo(uri))
const cold = await timesToTally(page, links.slice(0, half))
const answers = await timesToAnswer(
  await ownPage(withIt, 'options.html'),
  network.serverUrl,
  uris.slice(half),
)
await page.bringToFront()
// The server knows these now, as it does polls that somebody else has looked at.
const warm = await timesToTally(page, links.slice(half))

const ms = (value: number) => value.toFixed(1).padStart(7)
const [plain, extended] = [median(costs.without), median(costs.with)]
console.log(`
main-thread ms per 1,000 posts (121 nodes each, none with a poll), median of ${ROUNDS}
  without the extension            ${ms(plain)}
  with it                          ${ms(extended)}   ${(((extended - plain) / plain) * 100).toFixed(1)} % more

ms from a widget's appearance to its first tally          p50      p95
  polls that nobody has asked for yet              ${ms(percentile(cold, 0.5))}  ${ms(percentile(cold, 0.95))}
  polls that the server knows                      ${ms(percentile(warm, 0.5))}  ${ms(percentile(warm, 0.95))}
  for comparison: one fetch of a poll, one frame   ${ms(percentile(answers, 0.5))}  ${ms(percentile(answers, 0.95))}
`)
await withIt.close()
await without.close()
stop.abort()
await network.done
process.exit(0)
