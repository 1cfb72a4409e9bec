/** The whole path: a click in one browser, a record on the PDS, tap, the server, and the tally in another browser. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { buildExtension, openBrowser, openBsky, pictureFailure } from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { counts, option, showsCounts, signIn, stopWorker, voteFirst, widget } from './widget.ts'

const artifacts = join(import.meta.dirname, 'artifacts')
/** The README's picture: `UPDATE_PICTURE=1 npm test` makes it anew. */
const picture = process.env['UPDATE_PICTURE']
  ? join(import.meta.dirname, '../docs/widget.png')
  : join(artifacts, 'widget.png')
const tap = process.env['POLLZ_TAP']

describe.skipIf(!tap)('a poll in the page, a vote, a tally that moves', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let carol: Account
  let alices: BrowserContext
  let bobs: BrowserContext
  let poll: string
  let hidden: string

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true })
    const started = await startTestNetwork(stop.signal, 'alice', 'bob', 'carol')
    network = started.network
    ;[alice, bob, carol] = started.accounts
    await buildExtension(network)
    poll = await bob.makePoll('Tabs or spaces?', ['Tabs', 'Spaces', 'Both, in turns'])
    await bob.post('A question for everybody:', poll, 'card')
    hidden = await carol.makePoll('<img src=x onerror="document.title=1">', [
      '\u202eright to left',
      '🙂'.repeat(25),
      '<b>bold</b>',
    ])
    await carol.post('Only a link:', hidden, 'text')
    const people = [alice, bob, carol]
    ;[alices, bobs] = (await Promise.all([openBrowser(people), openBrowser(people)])) as [
      BrowserContext,
      BrowserContext,
    ]
  })

  afterEach(({ task }) => pictureFailure(task, alices, bobs))

  afterAll(async () => {
    await Promise.all([alices?.close(), bobs?.close()])
    stop.abort()
    await network?.done
  })

  const hasVoted = (voter: Account, chosen: number) =>
    until('the vote on the PDS', async () => {
      const record = (await voter.voteRecord(poll)) as { option: number } | undefined
      return record?.option === chosen
    })

  test('a voter who never made a poll votes, and another browser sees it without a reload', async () => {
    const hers = await openBsky(alices, alice)
    const his = await openBsky(bobs, bob)
    await showsCounts(his, poll, [0, 0, 0])
    await showsCounts(hers, poll, [0, 0, 0])

    await voteFirst(alices, hers, poll, 'Spaces')
    await showsCounts(hers, poll, [0, 1, 0])
    await showsCounts(his, poll, [0, 1, 0])
    // The tally may come a moment before the answer to her click.
    await widget(hers, poll).getByRole('radio', { name: 'Spaces', checked: true }).waitFor()
    expect(await alice.voteRecord(poll)).toMatchObject({ subject: poll, option: 1 })
    await hers.screenshot({ path: join(artifacts, 'voted-light.png') })
  })

  test('she changes her vote and takes it back, and both see it', async () => {
    const hers = alices.pages()[0]!
    const his = bobs.pages()[0]!
    await option(hers, poll, 'Both').click()
    await showsCounts(hers, poll, [0, 0, 1])
    await showsCounts(his, poll, [0, 0, 1])
    expect(await alice.voteRecord(poll)).toMatchObject({ option: 2 })

    await widget(hers, poll).getByRole('button', { name: 'Remove vote' }).click()
    await showsCounts(hers, poll, [0, 0, 0])
    await showsCounts(his, poll, [0, 0, 0])
    await until('the record is gone', async () => !(await alice.voteRecord(poll)))
  })

  test('a vote of another client comes through tap alone', async () => {
    const his = bobs.pages()[0]!
    await carol.vote(poll, 0)
    await showsCounts(his, poll, [1, 0, 0])
    const info = await fetch(`${network.tapUrl}/info/${carol.did}`)
    expect(await info.json()).toMatchObject({ did: carol.did })
  })

  test('a poll that is only linked shows below the text, and its text is only text', async () => {
    const hers = alices.pages()[0]!
    await widget(hers, hidden).getByText('<img src=x onerror').waitFor()
    await option(hers, hidden, '<b>bold</b>').waitFor()
    expect(await hers.title()).not.toBe('1')
    // It stands after the text's wrapper, inside the post.
    expect(await widget(hers, hidden).evaluate((host) => host.previousElementSibling?.className)).toBe(
      'css-text-wrapper',
    )
  })

  test('clicks, keys and typing in a widget stay in it', async () => {
    const hers = alices.pages()[0]!
    await option(hers, poll, 'Tabs').focus()
    await hers.keyboard.press('ArrowDown')
    await hers.keyboard.press('n')
    // Arrows move, they don't vote; Enter does, and does not open the thread.
    expect(await counts(hers, poll)).toEqual([1, 0, 0])
    await hers.keyboard.press('Enter')
    await showsCounts(hers, poll, [1, 1, 0])
    await widget(hers, poll).getByText('Tabs or spaces?').click()
    expect(new URL(hers.url()).pathname).toBe('/')
    expect(await hers.getByTestId('composePostView').count()).toBe(0)
  })

  test('where nobody is logged in, a handle is asked for; a sign-in that is given up is said', async () => {
    const his = bobs.pages()[0]!
    await his.getByRole('button', { name: 'logged out' }).click()
    await showsCounts(his, poll, [1, 1, 0])
    await option(his, poll, 'Both').click()
    const shown = widget(his, poll)
    await shown.getByLabel('Vote as').fill('@bob.test')
    const start = () => shown.getByRole('button', { name: 'Sign in' }).click()
    const [authorize] = await Promise.all([bobs.waitForEvent('page'), start()])
    await authorize.close()
    await shown.getByText('Couldn’t vote: the sign-in wasn’t finished').waitFor()
    await showsCounts(his, poll, [1, 1, 0])

    await shown.getByRole('button', { name: 'Try again' }).click()
    await shown.getByLabel('Vote as').fill('bob.test')
    await signIn(bobs, his, start)
    await showsCounts(his, poll, [1, 1, 1])
    expect(await bob.voteRecord(poll)).toMatchObject({ option: 2 })
  })

  test('it follows the theme, and stands in the opened thread too', async () => {
    const hers = alices.pages()[0]!
    for (const theme of ['dim', 'dark', 'light'] as const) {
      await hers.getByRole('button', { name: theme, exact: true }).click()
      await until(theme, async () => (await widget(hers, poll).getAttribute('data-theme')) === theme)
      await hers.screenshot({ path: join(artifacts, `feed-${theme}.png`) })
    }
    await widget(hers, poll).screenshot({ path: picture })
    await hers.getByText('A question for everybody:').first().click()
    await until('the thread', () => new URL(hers.url()).pathname.startsWith('/profile/'))
    // Once in the feed, which stays in the document, and once here.
    const all = hers.locator(`[data-pollz="${poll}"]`)
    await until('a second widget', async () => (await all.count()) === 2)
    await widget(hers, poll).getByRole('radio').first().waitFor()
    await hers.goBack()
    expect(new URL(hers.url()).pathname).toBe('/')
  })

  test('a background that the browser has ended comes back, and the page goes on', async () => {
    const hers = alices.pages()[0]!
    await hers.goto('https://bsky.app/')
    await showsCounts(hers, poll, [1, 1, 1])
    await stopWorker(alices)
    await carol.vote(poll, 1)
    await showsCounts(hers, poll, [0, 2, 1])
    await option(hers, poll, 'Tabs').click()
    await showsCounts(hers, poll, [1, 1, 1])
    await hasVoted(alice, 0)
    expect(await counts(hers, poll)).toEqual([1, 1, 1])
  })

  test('without its server the widget says so, a vote is written all the same, and counted later', async () => {
    const hers = alices.pages()[0]!
    await hers.goto('https://bsky.app/')
    await showsCounts(hers, poll, [1, 1, 1])
    await network.killServer()
    await widget(hers, poll).getByText('reconnecting').waitFor()
    await option(hers, poll, 'Both').click()
    await hasVoted(alice, 2)
    await showsCounts(hers, poll, [0, 1, 2])
    await network.startServer()
    await widget(hers, poll).getByText('reconnecting').waitFor({ state: 'detached' })
    await until('the server has counted it', async () => {
      const response = await fetch(`${network.serverUrl}/api/polls/${encodeURIComponent(poll)}`)
      return ((await response.json()) as { options: { count: number }[] }).options[2]?.count === 2
    })
    expect(await counts(hers, poll)).toEqual([0, 1, 2])
  })

  test('a poll that is deleted says so where it stands', async () => {
    const hers = alices.pages()[0]!
    await option(hers, hidden, '<b>bold</b>').waitFor()
    const [, , repo, collection, rkey] = hidden.split('/') as [string, string, string, string, string]
    await carol.agent.com.atproto.repo.deleteRecord({ repo, collection, rkey })
    await widget(hers, hidden).getByText('This poll no longer exists.').waitFor()
    expect(await widget(hers, hidden).getByRole('radio').count()).toBe(0)
  })

  test('the server’s page of a poll, by DID and by handle', async () => {
    for (const repo of [bob.did, bob.handle]) {
      const url = `${network.serverUrl}/poll/${repo}/${poll.split('/')[4]}`
      const response = await fetch(url, { headers: { accept: 'application/json' } })
      expect(await response.json()).toMatchObject({ uri: poll, text: 'Tabs or spaces?' })
    }
  })
})
