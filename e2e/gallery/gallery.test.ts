/** Every state in every theme: a picture of each, nothing for axe to find, nothing wider than the window. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type axe from 'axe-core'
import type { AxeResults } from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openPlainBrowser } from '../browser.ts'
import type * as states from './states.ts'

type InPage = typeof globalThis & { gallery: typeof states; axe: typeof axe }

const THEMES = {
  light: ['#fff', '#000'],
  dim: ['#151d28', '#fff'],
  dark: ['#000', '#fff'],
} as const
type Theme = keyof typeof THEMES

/** States of which there is a picture in a narrow window too. */
const NARROW = [
  'ten long options',
  'what the first click does',
  'first click, nobody logged in',
  'nobody logged in',
  'nobody logged in, but somebody voted here',
  'leading',
  'a tie',
  'server away',
  'fault',
  'cannot be loaded',
  'details',
  'a new poll, its question from the post',
  'a new poll that ends, with several to choose',
  'a new poll whose end has passed',
  'a poll that can’t be counted here',
]

const folder = join(import.meta.dirname, '../artifacts/gallery')
const require = createRequire(import.meta.url)
const pictures: { name: string; file: string }[] = []
let browser: Browser
let page: Page

async function bundle(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'error',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      write: false,
      lib: { entry: join(import.meta.dirname, 'states.ts'), formats: ['iife'], name: 'gallery' },
    },
  })
  const [first] = Array.isArray(built) ? built : [built]
  if (!first || !('output' in first)) throw new Error('the states were not built')
  return first.output[0].code
}

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  browser = await openPlainBrowser()
  page = await browser.newPage({ viewport: { width: 600, height: 100 }, deviceScaleFactor: 2 })
  const css = Object.entries(THEMES)
    .map(([theme, [background, text]]) => `.theme--${theme} { background: ${background}; color: ${text} }`)
    .join('\n')
  // Over https, as bsky.app is: some of what browsers have is for secure pages only.
  await page.route('https://gallery.example/', (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<!doctype html><html lang="en"><title>Gallery</title><style>body { margin: 0; padding: 4px 16px 12px } h1 { position: absolute; clip-path: inset(50%) } ${css}</style><main><h1>Gallery</h1><div></div></main>`,
    }),
  )
  await page.goto('https://gallery.example/')
  await page.addScriptTag({ content: await bundle() })
  await page.addScriptTag({ path: require.resolve('axe-core') })
})

afterAll(async () => {
  await browser?.close()
  const figures = pictures
    .map(
      ({ name, file }) => `<figure><figcaption>${name}</figcaption><img src="${file}" width="300"></figure>`,
    )
    .join('\n')
  writeFileSync(
    join(folder, 'index.html'),
    `<!doctype html><meta charset="utf-8"><title>pollz: every state in every theme</title>
<style>body { font: 14px system-ui; background: #888 } main { display: grid; grid-template-columns: repeat(3, 300px); gap: 16px; align-items: start } figure { margin: 0 }</style>
<main>${figures}</main>`,
  )
})

const names = () => page.evaluate(() => (globalThis as InPage).gallery.names)
async function draw(name: string, theme: Theme): Promise<void> {
  const clicked = await page.evaluate(
    ([name, theme]) => {
      const { draw, clicked } = (globalThis as InPage).gallery
      draw(name, theme)
      return clicked(name)
    },
    [name, theme] as const,
  )
  if (clicked !== undefined) await page.getByRole('radio', { name: clicked }).click()
}

/** When the bars have grown. */
const still = () =>
  page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished)))

async function complaints(): Promise<string[]> {
  const { violations }: AxeResults = await page.evaluate(() => (globalThis as InPage).axe.run())
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}

describe.each(Object.keys(THEMES) as Theme[])('%s', (theme) => {
  test('every state has its picture, and axe finds nothing in it', async () => {
    const found: string[] = []
    for (const name of await names()) {
      await draw(name, theme)
      await still()
      found.push(...(await complaints()).map((it) => `${name}: ${it}`))
      const file = `${name.replaceAll(/[^a-z]+/gi, '-')}-${theme}.png`
      await page.screenshot({ path: join(folder, file), fullPage: true })
      pictures.push({ name: `${name}, ${theme}`, file })
    }
    expect(found).toEqual([])
  })
})

test.each([
  ['a window of 320 px', 320, 1],
  ['a window of 640 px at 200 %', 640, 2],
])('nothing is wider than %s', async (_, width, zoom) => {
  await page.setViewportSize({ width, height: 600 })
  await page.evaluate((zoom) => document.documentElement.style.setProperty('zoom', String(zoom)), zoom)
  const wide: string[] = []
  for (const name of await names()) {
    await draw(name, 'light')
    const surplus = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement
      const root = document.querySelector('main > div')!.shadowRoot!
      const cut = [...root.querySelectorAll('.text, .share, .footer, .notice, .details')].filter(
        (it) => it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).display !== 'inline',
      )
      return scrollWidth - clientWidth + cut.length
    })
    if (surplus > 0) wide.push(name)
    if (width === 320 && NARROW.includes(name)) {
      const file = `${name.replaceAll(/[^a-z]+/gi, '-')}-320.png`
      await page.screenshot({ path: join(folder, file), fullPage: true })
      pictures.push({ name: `${name}, 320 px`, file })
    }
  }
  await page.evaluate(() => document.documentElement.style.removeProperty('zoom'))
  await page.setViewportSize({ width: 600, height: 100 })
  expect(wide).toEqual([])
})

test('the skeleton is as high as the poll, and showing the results does not move the page', async () => {
  const height = async (name: string) => {
    await draw(name, 'light')
    return page.locator('main > div').evaluate((it) => it.getBoundingClientRect().height)
  }
  const loading = await height('loading')
  expect(loading).toBeGreaterThan(100)
  expect(await height('open')).toBe(loading)
  expect(await height('results asked for')).toBe(loading)
  expect(await height('voting')).toBe(loading)
  expect(await height('voted')).toBe(loading)
  expect(await height('its question is its post’s text')).toBe(
    await height('loading in the post that asks it'),
  )
})

test.each(Object.keys(THEMES) as Theme[])(
  'circles can be seen on whatever is below them: %s',
  async (theme) => {
    const faint: string[] = []
    for (const name of ['open', 'results asked for', 'a tie', 'leading', 'right to left']) {
      await draw(name, theme)
      await still()
      const contrasts = await page.evaluate(() => {
        const luminance = (color: string) => {
          const [r, g, b] = [...color.matchAll(/[\d.]+/g)].map(([part]) => {
            const value = Number(part) / 255
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
          })
          return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
        }
        const ratio = (a: string, b: string) => {
          const [dark, light] = [luminance(a), luminance(b)].toSorted((x, y) => x - y)
          return (light! + 0.05) / (dark! + 0.05)
        }
        const page = getComputedStyle(document.documentElement).backgroundColor
        const root = document.querySelector('main > div')!.shadowRoot!
        return [...root.querySelectorAll('[aria-checked=false]')].flatMap((option) => {
          const { borderColor } = getComputedStyle(option.querySelector('.mark')!)
          // Where a bar ends below the circle it has both around it.
          const { backgroundColor } = getComputedStyle(option.querySelector('.bar')!)
          return [page, backgroundColor].map((it) => ratio(borderColor, it))
        })
      })
      if (contrasts.some((it) => it < 3)) faint.push(`${name}: ${contrasts.map((it) => it.toFixed(1))}`)
    }
    expect(faint).toEqual([])
  },
)

test('bars of options that are written from right to left grow from the right', async () => {
  await draw('right to left', 'light')
  await still()
  const gaps = await page.locator('[role=radio]').evaluateAll((options) =>
    options.map((option) => {
      const bar = option.querySelector('.bar')!.getBoundingClientRect()
      const around = option.getBoundingClientRect()
      return { start: Math.round(around.right - bar.right) <= 1, end: bar.left - around.left > 50 }
    }),
  )
  expect(gaps).toEqual([
    { start: true, end: true },
    { start: true, end: true },
  ])
})

test('bars grow, but not for people who ask for less motion', async () => {
  const duration = () =>
    page
      .locator('.bar')
      .first()
      .evaluate((it) => getComputedStyle(it).transitionDuration)
  await draw('voted', 'light')
  expect(await duration()).toBe('0.35s')
  await page.emulateMedia({ reducedMotion: 'reduce' })
  expect(await duration()).toBe('0s')
  await page.emulateMedia({ reducedMotion: 'no-preference' })
})

test('by keyboard: arrows move within the group, Tab leaves it, the focus can be seen', async () => {
  await draw('open', 'light')
  await page.keyboard.press('Tab')
  const focused = () =>
    page.evaluate(() => document.querySelector('main > div')!.shadowRoot!.activeElement?.textContent)
  expect(await focused()).toBe('Tabs')
  await page.keyboard.press('ArrowDown')
  expect(await focused()).toBe('Spaces')
  const outline = () =>
    page.evaluate(
      () => getComputedStyle(document.querySelector('main > div')!.shadowRoot!.activeElement!).outlineStyle,
    )
  expect(await outline()).toBe('solid')
  await page.keyboard.press('End')
  expect(await focused()).toBe('Whatever the formatter says')
  await page.keyboard.press('ArrowRight')
  expect(await focused()).toBe('Tabs')
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Show results')
  expect(await page.getByRole('radio', { checked: true }).count()).toBe(0)
  await page.keyboard.press('Enter')
  await page.getByText('5,992 votes').first().waitFor()
  await page.getByRole('radio', { name: 'Spaces 66% (3,977 votes)' }).press('Space')
  await page.getByRole('radio', { name: 'Spaces', checked: true }).waitFor()
})

test('changes are read out where somebody is, and nowhere else', async () => {
  const status = page.getByRole('status')
  /** Somebody else votes. */
  const tally = (more: number) =>
    page.evaluate((more) => {
      const { tell, tabs, uri } = (globalThis as InPage).gallery
      tell({ type: 'poll', uri, poll: { ...tabs, total: tabs.total + more }, tally: 'live' })
    }, more)
  await draw('results asked for', 'light')
  await tally(1)
  await page.getByText('5,993 votes').first().waitFor()
  expect(await status.innerText()).toBe('')

  await page.getByRole('radio', { name: 'Spaces' }).focus()
  await page.evaluate(() => {
    const { tell, alice, uri } = (globalThis as InPage).gallery
    tell({ type: 'own', uri, voter: alice, option: 1 })
  })
  await status.getByText('You voted for Spaces. 5,993 votes. Tabs: 20%. Spaces: 66%').waitFor()
  // Coalesced: the next ones wait for their turn.
  for (let i = 2; i < 10; i++) await tally(i)
  await page.getByText('6,001 votes').first().waitFor()
  expect(await status.innerText()).toContain('5,993 votes')
})

describe('the focus stays in the widget when what had it goes:', () => {
  /** What has the focus in the widget, by role or class and its words; undefined: nothing in it. */
  const focused = () =>
    page.evaluate(() => {
      const it = document.querySelector('main > div')!.shadowRoot!.activeElement
      return (
        it &&
        `${it.role ?? it.localName}: ${it.ariaLabel ?? it.querySelector('.text')?.textContent ?? it.textContent}`
      )
    })

  test.each([
    ['open', 'Show results', 'radio: Tabs'],
    ['voted', 'Remove vote', 'radio: Tabs'],
    ['refused', 'Try again', 'radio: Spaces'],
    ['refused', 'Dismiss', 'radio: Tabs'],
    ['signing in', 'Cancel', 'radio: Tabs'],
    ['what the first click does', 'Continue', 'radio: Spaces'],
    ['what the first click does', 'Cancel', 'radio: Spaces'],
    ['nobody logged in', 'Cancel', 'radio: Tabs'],
    ['managing one’s own', 'Cancel', 'button: Manage your poll'],
    ['about to delete it', 'Cancel', 'button: Manage your poll'],
    ['editing it', 'Cancel', 'radio: Tabs'],
    ['cannot be loaded', 'Try again', 'section: Loading pollDetails'],
  ])('%s, %s', async (name, button, expected) => {
    await draw(name, 'light')
    // A form takes the focus itself, a moment later.
    if (await page.getByRole('textbox').count()) await page.locator(':is(input, textarea):focus').waitFor()
    await page.getByRole('button', { name: button, exact: true }).press('Enter')
    await vi.waitFor(async () => expect(await focused()).toBe(expected))
  })

  test('and goes on to the poll when it is there', async () => {
    await draw('cannot be loaded', 'light')
    await page.getByRole('button', { name: 'Try again' }).press('Enter')
    await page.getByText('Loading poll').waitFor()
    await page.evaluate(() => {
      const { tell, tabs, uri } = (globalThis as InPage).gallery
      tell({ type: 'poll', uri, poll: tabs, tally: 'live' })
    })
    await vi.waitFor(async () => expect(await focused()).toBe('radio: Tabs'))
  })

  test('but it is not taken from where somebody has gone meanwhile', async () => {
    await draw('open', 'light')
    const button = page.getByRole('button', { name: 'Show results' })
    await button.focus()
    await page.evaluate(() =>
      (document.querySelector('main > div')!.shadowRoot!.activeElement as HTMLElement).blur(),
    )
    await page.evaluate(() => {
      const { tell, alice, uri } = (globalThis as InPage).gallery
      tell({ type: 'own', uri, voter: alice, option: 1 })
    })
    await button.waitFor({ state: 'detached' })
    expect(await focused()).toBe(null)
  })
})

test('results that were asked for are read out, once', async () => {
  await draw('open', 'light')
  await page.evaluate(() => {
    const status = document.querySelector('main > div')!.shadowRoot!.querySelector('[role=status]')!
    const said: string[] = []
    Object.assign(globalThis, { said })
    new MutationObserver(() => said.push(status.textContent)).observe(status, {
      childList: true,
      characterData: true,
      subtree: true,
    })
  })
  await page.getByRole('button', { name: 'Show results' }).click()
  await page.getByRole('status').getByText('5,992 votes. Tabs: 20%. Spaces: 66%').waitFor()
  await page.getByRole('radio', { name: 'Spaces' }).focus()
  // What is said next is the vote.
  await page.evaluate(() => {
    const { tell, alice, uri } = (globalThis as InPage).gallery
    tell({ type: 'own', uri, voter: alice, option: 1 })
  })
  await page.getByRole('status').getByText('You voted for Spaces').waitFor()
  const said = await page.evaluate(() => (globalThis as unknown as { said: string[] }).said)
  expect(said.filter((it) => it !== '').map((it) => it.split('. ')[0])).toEqual([
    '5,992 votes',
    'You voted for Spaces',
  ])
})

test('before the first vote ever a click says what comes, and only Continue starts it', async () => {
  await draw('what the first click does', 'light')
  const alert = page.getByRole('alert')
  await alert.getByText('To vote, allow pollz at your account’s server.').waitFor()
  const busy = () => page.locator('[aria-busy=true]').count()
  expect(await busy()).toBe(0)
  await alert.getByRole('button', { name: 'Cancel' }).click()
  expect(await alert.count()).toBe(0)
  expect(await busy()).toBe(0)
  await page.getByRole('radio', { name: 'Tabs' }).click()
  await alert.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('radio', { name: 'Tabs', checked: true }).waitFor()
  expect(await busy()).toBe(1)
  expect(await alert.count()).toBe(0)
})

test('a poll’s end and several choices are chosen by keyboard; nothing in the preview is to be pressed', async () => {
  await draw('a new poll', 'light')
  const focused = () =>
    page.evaluate(() => {
      const it = document.querySelector('main > div')!.shadowRoot!.activeElement as HTMLInputElement
      return it.ariaLabel ?? it.labels?.[0]?.firstChild?.textContent ?? it.textContent
    })
  await page.locator('textarea:focus').fill('Tea?')
  await page.getByRole('textbox', { name: 'Option 1' }).fill('Yes')
  await page.getByRole('textbox', { name: 'Option 2' }).fill('No')
  const preview = page.getByRole('group', { name: 'Preview' })
  const several = page.getByRole('checkbox', { name: 'People may choose several' })
  await page.getByRole('button', { name: 'Add option' }).focus()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Space')
  expect(await several.isChecked()).toBe(true)
  await preview.locator('.option[role=checkbox]').nth(1).waitFor()
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Ends')
  await page.keyboard.press('ArrowDown')
  await preview.getByText('1 hr left').waitFor()
  await page.keyboard.press('End')
  await page.keyboard.press('Tab')
  const date = page.getByLabel('Date and time')
  expect(await date.and(page.locator(':focus')).count()).toBe(1)
  await date.fill('2001-02-03T04:05')
  await page.getByText('Choose a time that’s still to come').waitFor()
  await page.keyboard.press('Enter')
  expect(await page.locator('form[aria-busy=true]').count()).toBe(0)
  // It is the date that is wrong.
  expect(await date.and(page.locator('[aria-invalid=true]:focus')).count()).toBe(1)
  expect(await date.evaluate((it) => it.getAttribute('aria-describedby'))).toBe(
    await page.getByText('Choose a time that’s still to come').getAttribute('id'),
  )
  await date.fill('')
  await page.getByText('Choose a date and time').waitFor()
  await date.fill('2038-01-19T03:14')
  await preview.getByText('Ends 19 Jan 2038').waitFor()
  expect(await preview.locator('button:not(.option)').filter({ visible: true }).count()).toBe(0)
  await date.press('Enter')
  await page.locator('form[aria-busy=true]').waitFor()
})

test('what lies over a composer is a dialog: it has the focus, and Tab goes round in it', async () => {
  const inside = () =>
    page.evaluate(() =>
      document.querySelector('main > div')!.shadowRoot!.activeElement?.getAttribute('aria-label'),
    )
  await draw('a new poll, over a composer', 'light')
  const dialog = page.getByRole('dialog', { name: 'New poll' })
  await dialog.waitFor()
  await vi.waitUntil(async () => (await inside()) === 'Question')
  await page.keyboard.press('Shift+Tab')
  await dialog.getByRole('button', { name: 'Publish poll' }).and(page.locator(':focus')).waitFor()
  await page.keyboard.press('Tab')
  expect(await inside()).toBe('Question')
  await draw('a link that was not put in', 'light')
  await page.getByRole('dialog', { name: 'Add poll' }).waitFor()
  await vi.waitUntil(async () => (await inside()) === 'Link')
})
