/**
 * Between the extension and the companion server stands somebody who writes down what is sent, and who knows at first
 * only the scope that 0.4.0 asked for.
 */
import { once } from 'node:events'
import { createServer, request as ask } from 'node:http'
import type { AddressInfo } from 'node:net'
import { families, home } from '@pollz/shared/families'
import { OAUTH_SCOPE } from '@pollz/shared/oauth'
import { voteRkey } from '@pollz/shared/votes'
import type { BrowserContext, Page } from 'playwright-core'
import { WebSocket, WebSocketServer } from 'ws'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { buildExtension, openBrowser, openBsky, ownPage, pictureFailure } from './browser.ts'
import { Account, startTestNetwork, type Network } from './network.ts'
import { until } from './processes.ts'
import { option, showsCounts, signIn, voteFirst, widget } from './widget.ts'

/** Those whose votes 0.4.0 could write. */
const before = families.slice(0, 2)
/** One that it did not know: each option has a collection of its own. */
const newFamily = families.find(({ together }) => together)!

class Between {
  /** What was sent to the server: requests with their headers, and messages of sockets. */
  readonly sent: { what: string; text: string }[] = []
  scope = ['atproto', ...before.map(({ votes }) => `repo:${votes[0]!.nsid}`), `repo:${home.poll}`].join(' ')
  url = ''
  #server = createServer()

  static async start(network: Network): Promise<Between> {
    const between = new Between()
    const server = between.#server
    const { hostname, port } = new URL(network.serverUrl)
    server.on('request', async (request, response) => {
      const body = Buffer.from(await new Response(request as never).arrayBuffer())
      const { method, url, headers } = request
      between.sent.push({
        what: `${method} ${url!.split('?')[0]}`,
        text: `${url} ${JSON.stringify(headers)} ${body}`,
      })
      if (url === '/oauth/client-metadata.json')
        return void response
          .writeHead(200, { 'content-type': 'application/json', 'access-control-allow-origin': '*' })
          .end(JSON.stringify(await between.#metadata(network)))
      const passed = ask({ hostname, port, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers)
        answer.pipe(response)
      })
      passed.on('error', () => response.destroy())
      passed.end(body)
    })
    new WebSocketServer({ server }).on('connection', (socket, { url }) => {
      between.sent.push({ what: 'WebSocket', text: url! })
      const passed = new WebSocket(`ws://${hostname}:${port}${url}`)
      const open = once(passed, 'open')
      socket.on('message', async (data) => {
        between.sent.push({ what: 'message', text: String(data) })
        await open
        passed.send(String(data))
      })
      passed.on('message', (data) => socket.send(String(data)))
      passed.on('error', () => socket.terminate())
      passed.on('close', () => socket.close())
      socket.on('close', () => passed.close())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    between.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return between
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #metadata({ serverUrl }: Network) {
    const response = await fetch(`${serverUrl}/oauth/client-metadata.json`)
    const metadata = (await response.json()) as { client_id: string }
    const redirect = `${this.url}/oauth/callback`
    const query = new URLSearchParams({ scope: this.scope, redirect_uri: redirect })
    return {
      ...metadata,
      client_id: `http://localhost?${query}`,
      scope: this.scope,
      redirect_uris: [redirect],
    }
  }
}

describe.skipIf(!process.env['POLLZ_TAP'])('what somebody lets the extension do', () => {
  const stop = new AbortController()
  let network: Network
  let between: Between
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page
  let poll: string
  /** In a family that the older version could not write votes of. */
  let newer: string
  /** Pages to sign in that were opened. */
  const asked = new Set<Page>()

  beforeAll(async () => {
    ;({ network } = await startTestNetwork(stop.signal))
    between = await Between.start(network)
    const account = (handle: string) => Account.create(network.pdsUrl, between.url, handle)
    ;[alice, bob] = await Promise.all([account('alice.test'), account('bob.test')])
    await buildExtension({ ...network, serverUrl: between.url })
    poll = await bob.makePoll('Tabs or spaces?', ['Tabs', 'Spaces'])
    await bob.post('An old one:', poll, 'card')
    const question = await bob.post('Vi or Emacs?', undefined, 'text')
    const { data } = await bob.agent.com.atproto.repo.createRecord({
      repo: bob.did,
      collection: newFamily.poll,
      record: {
        $type: newFamily.poll,
        subject: { uri: question, cid: 'bafyreib5akotkmkmtqrqhqqqwvwbqnyeqcvrqxzmdcmvgqzqb5phgyjyjm' },
        a: 'Vi',
        b: 'Emacs',
        createdAt: new Date().toISOString(),
      },
    })
    newer = data.uri
    await bob.post('And a newer one:', newer, 'card')
    context = await openBrowser([alice, bob])
    context.on('page', (opened) => {
      opened.on('framenavigated', (frame) => {
        if (frame.url().startsWith(`${network.pdsUrl}/oauth/authorize`)) asked.add(opened)
      })
    })
    page = await openBsky(context, alice)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    between?.stop()
    stop.abort()
    await network?.done
  })

  /** The options of which alice has records for the newer poll. */
  const recorded = async () => {
    const lists = await Promise.all(
      newFamily.votes.map(({ nsid }) =>
        alice.agent.com.atproto.repo.listRecords({ repo: alice.did, collection: nsid }),
      ),
    )
    return lists.flatMap(({ data }, choice) => data.records.map(() => choice))
  }
  const tick = (name: string) => widget(page, newer).getByRole('checkbox', { name }).click()
  const castVote = () => widget(page, newer).getByRole('button', { name: 'Vote', exact: true }).click()

  test('somebody who looks at polls is not named to the companion server, signed in or not', async () => {
    await showsCounts(page, poll, [0, 0])
    await voteFirst(context, page, poll, 'Spaces')
    await showsCounts(page, poll, [0, 1])
    await page.reload()
    await widget(page, poll).getByRole('radio', { name: 'Spaces', checked: true }).waitFor()
    await showsCounts(page, newer, [0, 0])
    const popup = await ownPage(context, 'popup.html')
    await popup.getByRole('radio', { name: 'Spaces', checked: true }).waitFor()
    await popup.close()
    const announced = between.sent.filter(({ what }) => what === 'POST /api/votes')
    expect(announced.map(({ text }) => text.includes(alice.did))).toEqual([true])
    const reads = between.sent.filter((it) => !announced.includes(it))
    expect(reads.filter(({ text }) => text.includes(poll)).length).toBeGreaterThan(0)
    const vote = voteRkey(poll)
    expect(
      reads.filter(({ text }) =>
        [alice.did, alice.handle, vote].some((it) => decodeURIComponent(text).includes(it)),
      ),
    ).toEqual([])
  })

  test('where more is needed than the server can ask for, that is said, and nobody is sent in a circle', async () => {
    const askedBefore = asked.size
    await tick('Vi')
    await castVote()
    const shown = widget(page, newer)
    await shown.getByText('Couldn’t vote: your account’s server can’t limit an app to polls').waitFor()
    expect(await shown.getByRole('button', { name: 'Try again' }).count()).toBe(0)
    expect(asked.size).toBe(askedBefore)
    expect(await recorded()).toEqual([])
    await shown.getByRole('button', { name: 'Dismiss' }).click()
    // What is allowed goes on without a word.
    await option(page, poll, 'Tabs').click()
    await showsCounts(page, poll, [1, 0])
    expect(asked.size).toBe(askedBefore)
  })

  test('a newer version that needs more asks once, and then does what was clicked', async () => {
    between.scope = OAUTH_SCOPE
    const extensions = await context.newPage()
    await extensions.goto('chrome://extensions')
    await extensions.evaluate('chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true })')
    const [worker] = context.serviceWorkers()
    await Promise.all([
      context.waitForEvent('serviceworker'),
      // Its own answer is cut off.
      worker!.evaluate('chrome.runtime.reload()').catch(() => {}),
    ])
    await extensions.close()
    await page.reload()
    await option(page, poll, 'Tabs').waitFor()
    const askedBefore = asked.size
    // For what was allowed before nobody is asked.
    await option(page, poll, 'Spaces').click()
    await showsCounts(page, poll, [0, 1])
    expect(asked.size).toBe(askedBefore)
    await tick('Emacs')
    await signIn(context, page, castVote)
    await until('the vote on the PDS', async () => (await recorded()).join() === '1')
    await showsCounts(page, newer, [0, 1])
    // The first one needs another collection.
    await tick('Vi')
    await castVote()
    await until('another vote on the PDS', async () => (await recorded()).join() === '0,1')
    await showsCounts(page, newer, [1, 1])
    expect(asked.size).toBe(askedBefore + 1)
  })
})
