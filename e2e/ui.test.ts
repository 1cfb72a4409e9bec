/** The extension's own pages, its settings, its languages, and what it does when something is away or refuses. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { databaseOf } from '@pollz/engine/storage'
import { home } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import type { BrowserContext, Page, Request } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { axeFinds, buildExtension, openBrowser, openBsky, ownPage, pictureFailure } from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { option, showsCounts, signIn, voteFirst, widget } from './widget.ts'

const tap = process.env['POLLZ_TAP']
const artifacts = join(import.meta.dirname, 'artifacts')

/** As much of the extension's own API as a test calls in its pages. */
type Chrome = {
  tabs: { query: (what: object) => Promise<{ id: number }[]>; getCurrent: () => Promise<{ id: number }> }
  runtime: { sendMessage: (message: object) => Promise<unknown> }
}

type Replay = {
  url: string
  token: string
  /** The scheme of the Authorization header. */
  scheme: 'DPoP' | 'Bearer'
  /** Whose key signs a proof, if any does; or a proof that was sent before. */
  key: 'none' | 'another' | 'own' | { sent: string }
  body: object
  session: { database: string; did: string }
}

/**
 * Sends a request with somebody's token, as whoever has the token alone can: with no proof, with one
 * by another key, or with one that it has seen. In a page
 * of the extension it can also be signed as its background does. It is for `evaluate`, so it uses nothing outside of itself.
 */
async function replay({ url, token, scheme, key, body, session }: Replay) {
  const encode = (bytes: Uint8Array) =>
    btoa(String.fromCharCode(...bytes))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replaceAll('=', '')
  const json = (value: object) => encode(new TextEncoder().encode(JSON.stringify(value)))
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const ownKey = () =>
    new Promise<CryptoKeyPair>((resolve, reject) => {
      const opening = indexedDB.open(session.database)
      opening.onerror = () => reject(opening.error!)
      opening.onsuccess = () => {
        const reading = opening.result.transaction('sessions').objectStore('sessions').get(session.did)
        reading.onsuccess = () => resolve(reading.result.dpopKey.keyPair)
      }
    })
  const pair =
    key === 'own' ? await ownKey() : await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)

  async function send(nonce: string | undefined) {
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)))
    const head = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
    const iat = Math.floor(Date.now() / 1000)
    const claims = { jti: crypto.randomUUID(), htm: 'POST', htu: url, iat, ath: encode(hash), nonce }
    const signed = `${json(head)}.${json(claims)}`
    const signature = await crypto.subtle.sign(algorithm, pair.privateKey, new TextEncoder().encode(signed))
    const proof = typeof key === 'object' ? key.sent : `${signed}.${encode(new Uint8Array(signature))}`
    return fetch(url, {
      method: 'POST',
      headers: {
        authorization: `${scheme} ${token}`,
        'content-type': 'application/json',
        ...(key === 'none' ? {} : { dpop: proof }),
      },
      body: JSON.stringify(body),
    })
  }

  const first = await send(undefined)
  // A PDS takes proofs with its newest nonce only, and says which that is.
  const nonce = first.headers.get('dpop-nonce')
  const answer = nonce === null ? first : await send(nonce)
  return { status: answer.status, text: await answer.text() }
}

describe.skipIf(!tap)('the extension beside the page', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page
  let poll: string
  /** Votes on their way to the PDS, as somebody on the way would see them. */
  const writes: Request[] = []

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true })
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network)
    poll = await bob.makePoll('Tea or coffee?', ['Tea', 'Coffee'])
    await bob.post('Well?', poll, 'card')
    await alice.makePoll('Hers?', ['Yes', 'No'])
    context = await openBrowser([alice, bob])
    context.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/xrpc/com.atproto.repo.putRecord'))
        writes.push(request)
    })
    page = await openBsky(context, alice)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
  })

  const hasVoted = (chosen: number) =>
    until('the vote on the PDS', async () => {
      const record = (await alice.voteRecord(poll)) as { option: number } | undefined
      return record?.option === chosen
    })

  test('before the first vote ever it is said that votes are public; after it no more', async () => {
    const hint = widget(page, poll).getByText('Votes are public')
    await hint.waitFor()
    await voteFirst(context, page, poll, 'Tea')
    await showsCounts(page, poll, [1, 0])
    await hint.waitFor({ state: 'detached' })
    await page.reload()
    await showsCounts(page, poll, [1, 0])
    expect(await hint.count()).toBe(0)
  })

  test('the popup: who is signed in, what they voted on and made, live', async () => {
    const popup = await ownPage(context, 'popup.html')
    await popup.setViewportSize({ width: 380, height: 600 })
    await popup.getByRole('button', { name: '@alice.test', exact: true }).waitFor()
    const list = (name: string) =>
      popup.locator('section').filter({ has: popup.getByRole('heading', { name }) })
    await list('Recent votes').getByText('Tea or coffee?').waitFor()
    await list('Your polls').getByText('Hers?').waitFor()
    await bob.vote(poll, 1)
    await list('Recent votes').locator('.total').getByText('2 votes').waitFor()
    await popup.screenshot({ path: join(artifacts, 'popup.png'), fullPage: true })
    expect(await axeFinds(popup)).toEqual([])
    await popup.close()
  })

  test('a stolen token writes nothing: the PDS wants a proof by the key that never leaves the browser', async () => {
    const request = writes[0]!
    const { authorization, dpop } = await request.allHeaders()
    const before = (await alice.voteRecord(poll)) as object
    const inside = await ownPage(context, 'popup.html')
    const attempt = (scheme: Replay['scheme'], key: Replay['key'], record: object) =>
      inside.evaluate(replay, {
        scheme,
        key,
        url: request.url(),
        token: authorization!.replace(/^DPoP /, ''),
        body: { repo: alice.did, collection: home.vote, rkey: voteRkey(poll), record },
        session: { database: databaseOf(network.serverUrl), did: alice.did },
      })
    const other = { ...before, option: 1 }
    const refused = (status: number, text: string) => ({ status, text: expect.stringContaining(text) })
    expect(await attempt('Bearer', 'none', other)).toEqual(refused(400, 'InvalidToken'))
    expect(await attempt('DPoP', 'none', other)).toEqual(refused(401, 'DPoP proof required'))
    expect(await attempt('DPoP', 'another', other)).toEqual(refused(401, 'Invalid DPoP key binding'))
    expect(await attempt('DPoP', { sent: dpop! }, other)).toEqual(refused(401, 'replay'))
    expect(await alice.voteRecord(poll)).toEqual(before)
    // With its own key the same request is taken: nothing else was wrong with the others.
    expect(await attempt('DPoP', 'own', other)).toMatchObject({ status: 200 })
    expect(await attempt('DPoP', 'own', before)).toMatchObject({ status: 200 })
    expect(await alice.voteRecord(poll)).toEqual(before)
    await inside.close()
  })

  test('the extension’s script in a page is not answered what its own pages are', async () => {
    const ask = `chrome.runtime.sendMessage({ type: 'state' }).then((it) => typeof it, (error) => error.message)`
    const inside = await ownPage(context, 'popup.html')
    expect(await inside.evaluate(ask)).toBe('object')
    await inside.close()
    const cdp = await context.newCDPSession(page)
    const script = new Promise<number>((resolve) => {
      cdp.on('Runtime.executionContextCreated', ({ context: { id, origin } }) => {
        if (origin.startsWith('chrome-extension:')) resolve(id)
      })
    })
    await cdp.send('Runtime.enable')
    const { result } = await cdp.send('Runtime.evaluate', {
      contextId: await script,
      expression: ask,
      awaitPromise: true,
    })
    expect(result.value).toBe('undefined')
    await cdp.detach()
  })

  test('a session that is over leads back to signing in, and the click is kept', async () => {
    const inside = await ownPage(context, 'popup.html')
    await inside.evaluate(
      ([database, did]) =>
        new Promise<void>((resolve, reject) => {
          const opening = indexedDB.open(database!)
          opening.onerror = () => reject(opening.error!)
          opening.onsuccess = () => {
            const store = opening.result.transaction('sessions', 'readwrite').objectStore('sessions')
            const reading = store.get(did!)
            reading.onsuccess = () => {
              const session = reading.result
              // As after two weeks, or after the account's owner has revoked it.
              Object.assign(session.tokenSet, { expires_at: '2026-01-01T00:00:00Z', refresh_token: 'over' })
              store.put(session, did).onsuccess = () => resolve()
            }
          }
        }),
      [databaseOf(network.serverUrl), alice.did],
    )
    await inside.close()
    await page.bringToFront()
    await signIn(context, page, () => option(page, poll, 'Coffee').click())
    await showsCounts(page, poll, [0, 2])
    expect(await alice.voteRecord(poll)).toMatchObject({ option: 1 })
  })

  test('a vote that the PDS refuses is taken back, with the reason, and can be tried again', async () => {
    await alice.agent.com.atproto.server.deactivateAccount({})
    await option(page, poll, 'Tea').click()
    const alert = widget(page, poll).getByRole('alert')
    await alert.getByText(/Couldn’t vote: .*deactivated/i).waitFor()
    expect(await option(page, poll, 'Tea').getAttribute('aria-checked')).toBe('false')
    await page.screenshot({ path: join(artifacts, 'refused.png') })
    await alice.agent.com.atproto.server.activateAccount()
    await alert.getByRole('button', { name: 'Try again' }).click()
    await hasVoted(0)
    await showsCounts(page, poll, [1, 1])
  })

  test('options: wrong values are named, right ones are saved and act at once', async () => {
    const options = await ownPage(context, 'options.html')
    const save = () => options.getByRole('button', { name: 'Save' }).click()
    const server = options.getByLabel('Server')
    await server.fill('ftp://example.com')
    await save()
    await options.getByText('enter an address that starts with https://').waitFor()
    await server.fill(network.serverUrl)
    await options.getByLabel('Other sites').fill('polls.example.com\nnot a host')
    await save()
    await options.getByText('“not a host” isn’t a host name').waitFor()
    await options.getByLabel('Other sites').fill('polls.example.com')
    // The PDS listens on this machine too, where the permission is given, and is no pollz server.
    await server.fill(network.pdsUrl.replace('localhost', '127.0.0.1'))
    await save()
    await options.getByText('isn’t a pollz server').waitFor()
    await server.fill(network.serverUrl)
    await options.getByLabel('Show polls on bsky.app').uncheck()
    await save()
    await options.getByText('Saved.', { exact: true }).waitFor()
    expect(await axeFinds(options)).toEqual([])
    await options.screenshot({ path: join(artifacts, 'options.png') })
    await until('no polls', async () => (await page.locator('[data-pollz]').count()) === 0)
    // The card is a card again.
    expect(await page.locator('a[aria-label="Well?"]').isVisible()).toBe(true)

    await options.getByLabel('Show polls on bsky.app').check()
    await options.getByLabel('Show results before I vote').check()
    await save()
    await until('polls again', async () => (await widget(page, poll).count()) === 1)
    await page.getByRole('button', { name: 'logged out' }).click()
    await page.getByRole('button', { name: '@bob.test' }).click()
    await widget(page, poll).locator('.count').first().waitFor()
    // A link on the host that was added is a poll, with the real one's repo and key.
    const link = `https://polls.example.com/poll/${poll.split('/')[2]}/${poll.split('/')[4]}`
    await page.locator('a[aria-label="Well?"]').evaluate((it, href) => it.setAttribute('href', href), link)
    await widget(page, poll).getByRole('radio').first().waitFor()
    await options.close()
  })

  test('signing out in the popup revokes the session', async () => {
    const popup = await ownPage(context, 'popup.html')
    await popup.getByRole('button', { name: 'Sign out: @alice.test' }).click()
    await popup.getByText('You’re not signed in').waitFor()
    await popup.reload()
    await popup.getByText('You’re not signed in').waitFor()
    await popup.getByLabel('Handle').fill('nobody.test')
    await popup.getByRole('button', { name: 'Sign in' }).click()
    await popup.getByRole('alert').waitFor()
    await popup.getByLabel('Handle').fill('@alice.test')
    await signIn(context, popup, () => popup.getByRole('button', { name: 'Sign in' }).click())
    await until('her account', async () => {
      await popup.reload()
      await popup.getByRole('heading', { name: 'Accounts' }).waitFor()
      return (await popup.getByRole('button', { name: '@alice.test', exact: true }).count()) === 1
    })
    await popup.close()
    expect(context.pages()).toContain(page)
  })

  test('one socket for all tabs, and none while no poll is in view', async () => {
    const sockets = async () => {
      const text = await (await fetch(`${network.serverUrl}/metrics`)).text()
      return Number(/^pollz_watchers (\d+)$/m.exec(text)?.[1])
    }
    const other = await context.newPage()
    await other.goto('https://bsky.app/profile/bob.test')
    await widget(other, poll).getByRole('radio').first().waitFor()
    await widget(page, poll).getByRole('radio').first().waitFor()
    expect(await sockets()).toBe(1)
    await other.close()
    await page.goto('https://bsky.app/profile/nobody')
    await until('no socket', async () => (await sockets()) === 0)
  })

  test('off on one page, and on again', async () => {
    await page.goto('https://bsky.app/')
    await widget(page, poll).getByRole('radio').first().waitFor()
    const popup = await ownPage(context, 'popup.html')
    expect(context.pages()).toHaveLength(2)
    /** As the popup over the other tab does. */
    const turn = (on: boolean) =>
      popup.evaluate(async (on) => {
        const { chrome } = globalThis as unknown as { chrome: Chrome }
        const own = await chrome.tabs.getCurrent()
        const other = (await chrome.tabs.query({})).find(({ id }) => id !== own.id)!
        await chrome.runtime.sendMessage({ type: 'page', tab: other.id, on })
      }, on)
    await turn(false)
    await until('no polls', async () => (await page.locator('[data-pollz]').count()) === 0)
    await page.reload()
    await page.locator('a[aria-label="Well?"]').waitFor()
    await turn(true)
    await widget(page, poll).getByRole('radio').first().waitFor()
    await popup.close()
  })

  test('while the server is away: the last tally with its time, a poll from its PDS, votes, and back', async () => {
    const unseen = await bob.makePoll('Never asked before?', ['Yes', 'No'])
    await bob.post('Another', unseen, 'card')
    await network.killServer()
    page = await openBsky(context, alice)
    await widget(page, poll)
      .getByText(/as of .*reconnecting/)
      .waitFor()
    await widget(page, poll).getByText('2 votes').waitFor()
    // Her own vote, as her PDS has it.
    await widget(page, poll).getByRole('radio', { name: 'Tea', checked: true }).waitFor()
    const other = widget(page, unseen)
    await other.getByText('Never asked before?').waitFor()
    await other.getByText('can’t be counted right now').waitFor()
    await option(page, unseen, 'Yes').click()
    await until('the vote on the PDS', async () => (await alice.voteRecord(unseen)) !== undefined)
    await page.screenshot({ path: join(artifacts, 'server-away.png') })
    await network.startServer()
    await showsCounts(page, unseen, [1, 0])
    expect(await page.getByText('reconnecting').count()).toBe(0)
  })

  test.skipIf(process.env['POLLZ_LANGUAGES_MISSING'])('in German, where the browser is', async () => {
    const german = await openBrowser([alice, bob], { language: 'de' })
    const seite = await openBsky(german, bob)
    await widget(seite, poll).getByText('2 Stimmen').first().waitFor()
    await widget(seite, poll).getByText('Stimmen sind öffentlich').waitFor()
    expect(await widget(seite, poll).getByRole('button', { name: 'Details' }).count()).toBe(1)
    await german.close()
  })
})
