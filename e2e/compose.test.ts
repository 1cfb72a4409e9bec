/** Making a poll where one writes, posting it, finding it again, changing and deleting it. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { home } from '@pollz/shared/families'
import type { BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { buildExtension, openBrowser, openBsky, ownPage, pictureFailure } from './browser.ts'
import { startTestNetwork, type Account, type Network } from './network.ts'
import { until } from './processes.ts'
import { option, showsCounts, signIn, widget } from './widget.ts'

const tap = process.env['POLLZ_TAP']
const artifacts = join(import.meta.dirname, 'artifacts')

describe.skipIf(!tap)('making a poll', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account
  let context: BrowserContext
  let page: Page

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true })
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    await buildExtension(network)
    context = await openBrowser([alice, bob])
    page = await openBsky(context, alice)
  })

  afterEach(({ task }) => pictureFailure(task, context))

  afterAll(async () => {
    await context?.close()
    stop.abort()
    await network?.done
  })

  const composer = () => page.getByRole('dialog', { name: 'Composer' })
  const addPoll = () => composer().getByRole('button', { name: 'Add poll' })
  const editor = (within: Page | Locator = page) => within.getByRole('form', { name: 'New poll' })
  const field = (name: string, within: Page | Locator = editor()) =>
    within.getByRole('textbox', { name, exact: true })
  const values = () =>
    editor()
      .getByRole('listitem')
      .getByRole('textbox')
      .evaluateAll((fields) => fields.map((it) => (it as HTMLInputElement).value))
  const written = () => composer().locator('.ProseMirror').last()
  const leavesPost = () => editor().getByRole('checkbox', { name: 'Remove this text from your post' })
  const card = (link: string) => composer().locator(`[data-testid=composePostView] a[href="${link}"]`)
  const switchTheme = (name: string) =>
    page.getByRole('button', { name, exact: true }).evaluate((it) => (it as HTMLElement).click())

  const pollsOf = async (person: Account) => {
    const { data } = await person.agent.com.atproto.repo.listRecords({
      repo: person.did,
      collection: home.poll,
    })
    return data.records as unknown as { uri: string; value: { text: string; options: string[] } }[]
  }

  test('the composer has a button beside its own; the editor counts as the lexicon does', async () => {
    await page.getByRole('button', { name: 'New post' }).click()
    await addPoll().waitFor()
    expect(
      await composer()
        .getByTestId('openGifBtn')
        .evaluate((gif) => gif.nextElementSibling?.hasAttribute('data-pollz-button')),
    ).toBe(true)
    await written().fill('What do you think?')
    await addPoll().click()
    // It is in the composer's dialog, which would else take the focus back.
    await editor(composer()).waitFor()
    // What is to be written next has the focus.
    expect(await field('Question').inputValue()).toBe('What do you think?')
    expect(await field('Option 1').evaluate((it) => it.matches(':focus'))).toBe(true)
    await page.screenshot({ path: join(artifacts, 'composer-prefilled.png') })
    await switchTheme('dark')
    await page.screenshot({ path: join(artifacts, 'composer-prefilled-dark.png') })
    await switchTheme('light')
    await field('Question').fill('')
    const publish = editor().getByRole('button', { name: 'Publish poll' })
    await publish.click()
    await editor().getByText('Write a question').waitFor()
    expect(await editor().getByText('Fill in this option').count()).toBe(2)

    // 75 emoji have 300 bytes.
    await field('Question').fill('🙂'.repeat(75))
    await until('no complaint', async () => (await editor().getByText('Write a question').count()) === 0)
    await field('Question').fill(`${'🙂'.repeat(75)}!`)
    await editor().getByText('Too long').waitFor()
    await field('Question').fill('Tabs or spaces?')
    await field('Option 1').fill('é'.repeat(51))
    await editor().getByText('Too long').waitFor()
    await field('Option 1').fill('Tabs')
    await field('Option 2').fill(' Tabs ')
    await editor().getByText('Same as option 1').waitFor()
    await field('Option 2').fill('Spaces')

    const add = editor().getByRole('button', { name: 'Add option' })
    for (let i = 3; i <= 10; i++) {
      await add.click()
      await field(`Option ${i}`).fill(String(i))
    }
    expect(await add.isDisabled()).toBe(true)
    for (let i = 10; i > 3; i--)
      await editor()
        .getByRole('button', { name: `Remove option ${i}` })
        .click()
    await field('Option 3').fill('Both')
    expect(await values()).toEqual(['Tabs', 'Spaces', 'Both'])
  })

  test('its preview is the real widget, and nobody votes in it', async () => {
    const preview = editor().getByRole('group', { name: 'Preview' })
    const shown = async () => (await preview.locator('.option').allTextContents()).join()
    await until('the preview', async () => (await shown()) === 'Tabs,Spaces,Both')
    await preview.locator('.option').first().click({ force: true })
    expect(await preview.locator('[aria-checked=true]').count()).toBe(0)
    await page.screenshot({ path: join(artifacts, 'composer.png') })
    await switchTheme('dark')
    await page.screenshot({ path: join(artifacts, 'composer-dark.png') })
    await switchTheme('light')
  })

  test('options are put in order by keyboard and by pointer', async () => {
    const handle = (name: string) => editor().getByRole('button', { name: `Move option ${name}: drag` })
    await handle('1').focus()
    await page.keyboard.press('ArrowDown')
    expect(await values()).toEqual(['Spaces', 'Tabs', 'Both'])
    await editor().getByText('“Tabs” is now option 2').waitFor()
    // The focus goes along.
    await until('the focus', () => handle('2').evaluate((it) => it.matches(':focus')))
    await page.keyboard.press('End')
    expect(await values()).toEqual(['Spaces', 'Both', 'Tabs'])

    const from = (await handle('3').boundingBox())!
    const to = (await handle('1').boundingBox())!
    await page.mouse.move(from.x + 8, from.y + 8)
    await page.mouse.down()
    await page.mouse.move(to.x + 8, to.y + 8, { steps: 8 })
    await page.mouse.up()
    expect(await values()).toEqual(['Tabs', 'Spaces', 'Both'])
    // What comes after is only a pointer that moves.
    await page.mouse.move(from.x + 8, from.y + 8, { steps: 4 })
    expect(await values()).toEqual(['Tabs', 'Spaces', 'Both'])
  })

  test('Escape closes the editor and not the composer, and nothing written is lost', async () => {
    await field('Question').press('Escape')
    await editor().waitFor({ state: 'detached' })
    expect(await composer().count()).toBe(1)
    expect(await written().evaluate((it) => it.matches(':focus'))).toBe(true)
    // Shortcuts of the page do not hear what is typed.
    await addPoll().click()
    await field('Question').press('End')
    await field('Question').pressSequentially(' n/')
    expect(await field('Question').inputValue()).toBe('Tabs or spaces? n/')
    await field('Question').fill('Tabs or spaces?')
    expect(await values()).toEqual(['Tabs', 'Spaces', 'Both'])
    // The composer itself still closes by it, and a new one has the draft.
    await editor().getByRole('button', { name: 'Cancel' }).click()
    await page.keyboard.press('Escape')
    await composer().waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'New post' }).click()
    await written().fill('What do you think?')
    await addPoll().click()
    expect(await values()).toEqual(['Tabs', 'Spaces', 'Both'])
    expect(await field('Question').inputValue()).toBe('Tabs or spaces?')
    expect(await leavesPost().count()).toBe(0)
  })

  test('publishing writes the record, tells the server, and attaches it to the post as a card', async () => {
    await signIn(context, page, () => editor().getByRole('button', { name: 'Publish poll' }).click())
    await editor().waitFor({ state: 'detached' })
    const [poll] = await pollsOf(alice)
    expect(poll!.value).toMatchObject({ text: 'Tabs or spaces?', options: ['Tabs', 'Spaces', 'Both'] })
    const link = `${alice.linkTo(poll!.uri)}?options=3`
    // The composer has made its card, which no widget covers, and which is enough.
    await card(link).waitFor()
    await until('the text alone', async () => (await written().textContent()) === 'What do you think?')
    expect(await card(link).count()).toBe(1)
    expect(await composer().locator('[data-pollz]').count()).toBe(0)
    await page.screenshot({ path: join(artifacts, 'composed.png') })
    // The server has read it, although no vote has made tap look at her yet.
    await until('the poll on the server', async () => {
      const list = (await (await fetch(`${network.serverUrl}/api/polls`)).json()) as { uri: string }[]
      return list.some(({ uri }) => uri === poll!.uri)
    })
  })

  test('a toolbar that is drawn anew, or moves to another post, has its button again, once', async () => {
    const redraw = () =>
      composer()
        .getByTestId('openGifBtn')
        .evaluate((gif) => {
          const toolbar = gif.parentElement!
          toolbar.replaceChildren(gif.cloneNode(true))
        })
    await redraw()
    await addPoll().waitFor()
    await redraw()
    await addPoll().waitFor()
    expect(await addPoll().count()).toBe(1)

    await composer().getByRole('button', { name: 'Add post' }).click()
    await composer().locator('.ProseMirror').nth(1).waitFor()
    await composer().locator('.ProseMirror').first().focus()
    await addPoll().click()
    await field('Question').fill('In the first?')
    await field('Option 1').fill('Yes')
    await field('Option 2').fill('No')
    await editor().getByRole('button', { name: 'Publish poll' }).click()
    await until('its link', async () => {
      const [poll] = await pollsOf(alice)
      const text = await composer().locator('.ProseMirror').first().textContent()
      return poll!.value.text === 'In the first?' && text!.includes(alice.linkTo(poll!.uri))
    })
    expect(await composer().locator('.ProseMirror').nth(1).textContent()).toBe('')
  })

  test('an editor that takes no paste: the link is there to be copied', async () => {
    await written().evaluate((it) => it.replaceWith(it.cloneNode(true)))
    await written().focus()
    await written().evaluate((it) =>
      it.addEventListener('paste', (event) => event.stopImmediatePropagation(), true),
    )
    await addPoll().click()
    await field('Question').fill('By hand?')
    await field('Option 1').fill('Yes')
    await field('Option 2').fill('No')
    await editor().getByRole('button', { name: 'Publish poll' }).click()
    await composer().getByText('Add its link to your post').waitFor()
    const [poll] = await pollsOf(alice)
    expect(await composer().getByLabel('Link').inputValue()).toBe(`${alice.linkTo(poll!.uri)}?options=2`)
    await composer().getByRole('button', { name: 'Dismiss' }).click()
    // It is not posted.
    await composer().evaluate((it) => it.remove())
  })

  test('a refusal is said, and trying again does not make a second poll', async () => {
    await alice.agent.com.atproto.server.deactivateAccount({})
    await page.getByRole('button', { name: 'New post' }).click()
    await addPoll().click()
    await field('Question').fill('Refused?')
    await field('Option 1').fill('Yes')
    await field('Option 2').fill('No')
    await editor().getByRole('button', { name: 'Publish poll' }).click()
    const alert = editor().getByRole('alert')
    await alert.getByText(/Couldn’t publish: .*deactivated/i).waitFor()
    await alice.agent.com.atproto.server.activateAccount()
    await alert.getByRole('button', { name: 'Try again' }).click()
    await editor().waitFor({ state: 'detached' })
    expect((await pollsOf(alice)).filter(({ value }) => value.text === 'Refused?')).toHaveLength(1)
    // It is not posted.
    await composer().evaluate((it) => it.remove())
  })

  test('the popup finds polls that were never posted, to post or to delete them', async () => {
    const polls = await pollsOf(alice)
    const posted = polls.find(({ value }) => value.text === 'Tabs or spaces?')!
    await alice.post('Here it is', posted.uri, 'card')
    const popup = await ownPage(context, 'popup.html')
    await popup.setViewportSize({ width: 380, height: 600 })
    const made = (text: string) =>
      popup
        .locator('section')
        .filter({ has: popup.getByRole('heading', { name: 'Your polls' }) })
        .locator('> div')
        .filter({ hasText: text })
    await made('By hand?').getByText('Not posted yet').waitFor()
    expect(await made('Tabs or spaces?').getByText('Not posted yet').count()).toBe(0)
    await popup.screenshot({ path: join(artifacts, 'popup-made.png') })

    await made('Refused?').getByRole('button', { name: 'Delete' }).click()
    await made('Refused?').getByRole('button', { name: 'Delete poll' }).click()
    await popup.getByText('This poll no longer exists.').waitFor()
    await until('the record is gone', async () =>
      (await pollsOf(alice)).every(({ value }) => value.text !== 'Refused?'),
    )

    const byHand = polls.find(({ value }) => value.text === 'By hand?')!
    const closed = popup.waitForEvent('close')
    const [opened] = await Promise.all([
      context.waitForEvent('page'),
      made('By hand?').getByRole('button', { name: 'Post', exact: true }).click(),
    ])
    await closed
    await opened.getByRole('dialog', { name: 'Composer' }).waitFor()
    expect(await opened.locator('.ProseMirror').textContent()).toBe(`${alice.linkTo(byHand.uri)}?options=2`)
    await opened.close()
  })

  test('New poll in the popup does the same where the composer has no button', async () => {
    const popup = await ownPage(context, 'popup.html')
    const [made] = await Promise.all([
      context.waitForEvent('page'),
      popup.getByRole('button', { name: 'New poll' }).click(),
    ])
    await made.getByText('You’re publishing as @alice.test.').waitFor()
    const form = editor(made)
    await field('Question', form).fill('From the popup?')
    await field('Option 1', form).fill('Yes')
    await field('Option 2', form).fill('No')
    await made.screenshot({ path: join(artifacts, 'new-poll.png') })
    await form.getByRole('button', { name: 'Publish poll' }).click()
    await made.getByRole('dialog', { name: 'Composer' }).waitFor()
    const [poll] = await pollsOf(alice)
    expect(poll!.value.text).toBe('From the popup?')
    expect(await made.locator('.ProseMirror').textContent()).toBe(`${alice.linkTo(poll!.uri)}?options=2`)
    await made.close()
  })

  test('its author changes it in the feed: votes stay with the place, and everybody is told; then deletes it', async () => {
    const { uri } = (await pollsOf(alice)).find(({ value }) => value.text === 'Tabs or spaces?')!
    await bob.vote(uri, 1)
    await page.goto('https://bsky.app/')
    await showsCounts(page, uri, [0, 1, 0])
    const shown = widget(page, uri)
    await shown.getByRole('button', { name: 'Manage your poll' }).click()
    await page.screenshot({ path: join(artifacts, 'manage.png') })
    await shown.getByRole('button', { name: 'Edit' }).click()
    await field('Question', shown).fill('Tabs or blanks?')
    await until(
      'no warning yet',
      async () => (await shown.getByText('Votes stay with each option').count()) === 0,
    )
    await field('Option 2', shown).fill('Blanks')
    await shown.getByText('Votes stay with each option').waitFor()
    await shown.getByRole('button', { name: 'Save' }).click()
    await shown.getByRole('form').waitFor({ state: 'detached' })
    await option(page, uri, 'Blanks').waitFor()
    await showsCounts(page, uri, [0, 1, 0])
    await shown.getByText('Edited after the first vote').waitFor()
    expect((await pollsOf(alice)).find((it) => it.uri === uri)!.value).toMatchObject({
      text: 'Tabs or blanks?',
      options: ['Tabs', 'Blanks', 'Both'],
    })

    // Nobody else may.
    await page.getByRole('button', { name: '@bob.test' }).click()
    await option(page, uri, 'Blanks').waitFor()
    expect(await widget(page, uri).getByRole('button', { name: 'Manage your poll' }).count()).toBe(0)
    await page.getByRole('button', { name: '@alice.test' }).click()
    await shown.getByRole('button', { name: 'Manage your poll' }).click()
    await shown.getByRole('button', { name: 'Delete' }).click()
    await shown.getByText('Delete this poll?').waitFor()
    await shown.getByRole('button', { name: 'Cancel' }).click()
    await option(page, uri, 'Blanks').waitFor()
    await shown.getByRole('button', { name: 'Manage your poll' }).click()
    await shown.getByRole('button', { name: 'Delete' }).click()
    await shown.getByRole('button', { name: 'Delete poll' }).click()
    await shown.getByText('This poll no longer exists.').waitFor()
    await until('the server knows', async () => {
      const answer = await fetch(`${network.serverUrl}/api/polls/${encodeURIComponent(uri)}`)
      const { error, message } = (await answer.json()) as { error?: string; message?: string }
      return error === 'PollNotFound' && message!.includes('was deleted')
    })
  })

  describe('a poll that ends, with several to choose', () => {
    const DAY = 86_400_000
    const recordOf = async (text: string) => {
      const found = (await pollsOf(alice)).find(({ value }) => value.text === text)
      return { uri: found!.uri, record: found!.value as unknown as Record<string, unknown> }
    }

    test('is written by keyboard; its record says so, and says nothing where nobody has', async () => {
      await page.goto('https://bsky.app/')
      await page.getByRole('button', { name: 'New post' }).click()
      await addPoll().click()
      await field('Question').fill('Which days?')
      await field('Option 1').fill('Friday')
      await field('Option 2').fill('Saturday')
      const preview = editor().getByRole('group', { name: 'Preview' })
      expect(await preview.locator('button:not(.option)').filter({ visible: true }).count()).toBe(0)
      await editor().getByRole('button', { name: 'Add option' }).focus()
      await page.keyboard.press('Tab')
      await page.keyboard.press('Space')
      await page.keyboard.press('Tab')
      // Never, in an hour, in a day, in 3 days: shortcuts of the page do not hear it.
      for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowDown')
      await preview.getByText('Ends ').waitFor()
      expect(await preview.locator('.option[role=checkbox]').count()).toBe(2)
      await page.screenshot({ path: join(artifacts, 'composer-ends.png') })
      await switchTheme('dark')
      await page.screenshot({ path: join(artifacts, 'composer-ends-dark.png') })
      await switchTheme('light')
      const clicked = Date.now()
      await editor().getByRole('button', { name: 'Publish poll' }).press('Enter')
      await editor().waitFor({ state: 'detached' })
      const { record } = await recordOf('Which days?')
      expect(record).toEqual({
        $type: home.poll,
        text: 'Which days?',
        options: ['Friday', 'Saturday'],
        createdAt: expect.any(String),
        endsAt: expect.any(String),
        multiple: true,
      })
      const [createdAt, endsAt] = ['createdAt', 'endsAt'].map((name) => Date.parse(String(record[name])))
      expect(createdAt).toBeGreaterThanOrEqual(clicked)
      // From the click: a moment passes between what the page and the engine call by that name.
      expect(Math.round((endsAt! - createdAt!) / 60_000)).toBe((3 * DAY) / 60_000)
      const { record: plain } = await recordOf('By hand?')
      expect(Object.keys(plain).toSorted()).toEqual(['$type', 'createdAt', 'options', 'text'])
      // It is not posted.
      await composer().evaluate((it) => it.remove())
    })

    test('ends at a date that is to come; of one that is changed everything else stays', async () => {
      const { uri, record } = await recordOf('Which days?')
      await alice.post('Here it is', uri, 'card')
      await bob.vote(uri, 1)
      await page.goto('https://bsky.app/')
      const shown = widget(page, uri)
      const edit = async () => {
        await shown.getByRole('button', { name: 'Manage your poll' }).click()
        await shown.getByRole('button', { name: 'Edit' }).click()
      }
      const save = async () => {
        await shown.getByRole('button', { name: 'Save' }).click()
        await shown.getByRole('form').waitFor({ state: 'detached' })
      }
      await shown.getByText('1 voter').waitFor()
      await edit()
      const date = shown.getByLabel('Date and time')
      expect(await shown.getByRole('combobox', { name: 'Ends' }).inputValue()).toBe('date')
      const shownTime = new Date(await date.inputValue()).getTime()
      expect(shownTime).toBe(Math.floor(Date.parse(String(record['endsAt'])) / 60_000) * 60_000)
      await field('Question', shown).fill('Which days, then?')
      expect(await shown.getByText('marked as edited').count()).toBe(0)
      await save()
      expect((await recordOf('Which days, then?')).record).toEqual({ ...record, text: 'Which days, then?' })

      await edit()
      await date.fill('2001-02-03T04:05')
      await shown.getByText('Choose a time that’s still to come').waitFor()
      await shown.getByRole('button', { name: 'Save' }).click()
      await until('the focus', () => date.evaluate((it) => it.matches(':focus')))
      await date.fill('2038-01-19T03:14')
      await shown.getByText('the poll will be marked as edited').waitFor()
      await shown.getByRole('checkbox', { name: 'People may choose several' }).uncheck()
      await shown.getByText('Votes for several options won’t count any more').waitFor()
      await save()
      await shown.getByText('Ends 19 Jan 2038').or(shown.getByText('Ends Jan 19, 2038')).waitFor()
      await shown.getByText('Edited after the first vote').waitFor()
      const { multiple: _, ...rest } = record
      expect((await recordOf('Which days, then?')).record).toEqual({
        ...rest,
        text: 'Which days, then?',
        endsAt: await page.evaluate(() => new Date('2038-01-19T03:14').toISOString()),
      })
      await edit()
      await shown.getByRole('combobox', { name: 'Ends' }).selectOption('never')
      await save()
      const { endsAt: __, ...plain } = rest
      expect((await recordOf('Which days, then?')).record).toEqual({ ...plain, text: 'Which days, then?' })
    })
  })

  describe('the text of the post', () => {
    const post = (index: number) => composer().getByTestId('composePostView').nth(index)
    const textOf = (index: number) => post(index).locator('.ProseMirror')
    const cards = (index: number) => post(index).locator('a[role=link]')
    const extract = 'https://bsky.app/v1/extract**'

    afterEach(async () => {
      await page.unroute(extract)
      await composer().getByTestId('composerPublishBtn').click()
    })

    const begin = async (text: string) => {
      await page.getByRole('button', { name: 'New post' }).click()
      await textOf(0).fill(text)
      await addPoll().click()
      await editor().waitFor()
    }

    /** @returns the link of the poll, once its record is there and the editor gone */
    const publish = async (question: string) => {
      if ((await field('Option 1').inputValue()) === '') {
        await field('Option 1').fill('Yes')
        await field('Option 2').fill('No')
      }
      await editor().getByRole('button', { name: 'Publish poll' }).click()
      await editor().waitFor({ state: 'detached' })
      const { uri } = (await pollsOf(alice)).find(({ value }) => value.text === question)!
      return `${alice.linkTo(uri)}?options=2`
    }

    test('posted, the poll stands in the feed', async () => {
      await begin('Bread or rice?')
      await card(await publish('Bread or rice?')).waitFor()
      await composer().getByTestId('composerPublishBtn').click()
      const widget = page.getByRole('radiogroup', { name: 'Bread or rice?' })
      await widget.waitFor()
      expect(await widget.getByRole('radio').count()).toBe(2)
      await page.getByRole('button', { name: 'New post' }).click()
    })

    test('is the question, and leaves the post with the link: the card stays', async () => {
      await begin('Tea or coffee?')
      expect(await field('Question').inputValue()).toBe('Tea or coffee?')
      expect(await leavesPost().isChecked()).toBe(true)
      const link = await publish('Tea or coffee?')
      await card(link).waitFor()
      await until('an empty text', async () => (await textOf(0).textContent()) === '')
      expect(await cards(0).count()).toBe(1)
      // Undone step by step it is all there again, and left alone.
      expect(await textOf(0).evaluate((it) => it.matches(':focus'))).toBe(true)
      await page.keyboard.press('Control+z')
      expect(await textOf(0).textContent()).toBe(link)
      await page.keyboard.press('Control+z')
      expect(await textOf(0).textContent()).toBe('Tea or coffee?')
      expect(await card(link).count()).toBe(1)
      await page.keyboard.press('End')
      await page.keyboard.type(' Really?')
      expect(await textOf(0).textContent()).toBe('Tea or coffee? Really?')
    })

    test('stays where somebody wants it twice', async () => {
      await begin('Tea or milk?')
      await leavesPost().uncheck()
      const link = await publish('Tea or milk?')
      await card(link).waitFor()
      await until('the text alone', async () => (await textOf(0).textContent()) === 'Tea or milk?')
      expect(await cards(0).count()).toBe(1)
    })

    test('stays when the question has become another one, or the editor is cancelled', async () => {
      await begin('Beer?')
      await field('Question').fill('Beer or wine?')
      await leavesPost().waitFor({ state: 'detached' })
      await field('Question').fill('Beer?')
      await leavesPost().waitFor()
      await editor().getByRole('button', { name: 'Cancel' }).click()
      expect(await textOf(0).textContent()).toBe('Beer?')
      // What nobody has touched is no draft.
      await textOf(0).fill('Beer or ale?')
      await addPoll().click()
      expect(await field('Question').inputValue()).toBe('Beer or ale?')
      await field('Question').fill('Beer or wine?')
      const link = await publish('Beer or wine?')
      await card(link).waitFor()
      await until('the text alone', async () => (await textOf(0).textContent()) === 'Beer or ale?')
    })

    test('is not the question when it is longer than one may be', async () => {
      await begin(`${'🙂'.repeat(75)}!`)
      expect(await field('Question').inputValue()).toBe('')
      expect(await leavesPost().count()).toBe(0)
      await editor().getByRole('button', { name: 'Cancel' }).click()
    })

    test('has links, which are no words of the question and stay', async () => {
      const other = 'https://a.example/article'
      await begin(`${other} What of this?`)
      await card(other).waitFor()
      expect(await field('Question').inputValue()).toBe('What of this?')
      const link = await publish('What of this?')
      // A post has one card.
      expect(await textOf(0).textContent()).toBe(`${link} ${other}`)
      expect(await cards(0).count()).toBe(1)
    })

    test('of the other posts of a thread is not touched', async () => {
      await page.getByRole('button', { name: 'New post' }).click()
      await textOf(0).fill('First')
      await composer().getByRole('button', { name: 'Add post' }).click()
      await textOf(1).fill('Is it second?')
      await composer().getByRole('button', { name: 'Add post' }).click()
      await textOf(2).fill('Third')
      await textOf(1).focus()
      await addPoll().click()
      const link = await publish('Is it second?')
      await post(1).locator(`a[href="${link}"]`).waitFor()
      await until('an empty text', async () => (await textOf(1).textContent()) === '')
      expect(await textOf(0).textContent()).toBe('First')
      expect(await textOf(2).textContent()).toBe('Third')
      expect(await composer().locator('a[role=link]').count()).toBe(1)
    })

    test('keeps the link where there is no card', async () => {
      await page.route(extract, (route) => route.abort())
      await begin('No card?')
      await leavesPost().uncheck()
      const link = await publish('No card?')
      await post(0).getByText(`No card for ${link}`).waitFor()
      expect(await textOf(0).textContent()).toBe(`No card? ${link}`)
    })

    test.each([
      ['in its line', ['Space', 'M', 'o', 'e', 'ArrowLeft'], [' Moe'], ['Late? More']],
      ['in a line of its own', ['Enter'], ['', ''], ['Late?', 'r']],
    ])('loses the link to a late card while somebody goes on writing %s', async (_, keys, more, lines) => {
      const asked = Promise.withResolvers<() => Promise<void>>()
      await page.route(extract, (route) => asked.resolve(() => route.fallback()))
      await begin('Late?')
      await leavesPost().uncheck()
      const link = await publish('Late?')
      const written = () => textOf(0).locator('p').allTextContents()
      for (const key of keys) await page.keyboard.press(key)
      expect(await written()).toEqual([`Late? ${link}${more[0]}`, ...more.slice(1)])
      await (
        await asked.promise
      )()
      await card(link).waitFor()
      await until('the text alone', async () => (await written())[0] === `Late?${more[0]}`)
      // Who writes notices nothing.
      await page.keyboard.press('r')
      expect(await written()).toEqual(lines)
      // Nor is a link swapped that somebody has put in again.
      await page.keyboard.type(` ${link}`)
      expect(await textOf(0).textContent()).toContain(link)
    })

    test('gets the link back when its card goes', async () => {
      await begin('Gone?')
      const link = await publish('Gone?')
      await card(link).waitFor()
      await until('an empty text', async () => (await textOf(0).textContent()) === '')
      await composer().getByRole('button', { name: 'Remove attachment' }).click()
      await until('the link', async () => (await textOf(0).textContent()) === link)
      expect(await cards(0).count()).toBe(0)
    })
  })
})
