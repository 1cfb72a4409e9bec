/** The picture of a poll for link cards: question, options and their bars, in Bluesky's colours. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createCanvas, GlobalFonts, type SKRSContext2D } from '@napi-rs/canvas'
import { leadingOption } from '@pollz/shared/leading'
import type { PollView } from '@pollz/shared/wire'
import type { Style } from './cards.ts'

/** What link cards ask for: 1.91 to 1. */
export const WIDTH = 1200
export const HEIGHT = 630

const MARGIN = 56
const BELOW_QUESTION = 24
const FOOTER = 44
const MAX_ROW = 84
const MIN_ROW = 32
/** Between options: less between many. */
const gapOf = (options: number) => (options > 6 ? 7 : 12)
/** Sizes of the question, in px: the greatest that leaves room for the options. */
const SIZES = [60, 52, 46, 40, 34, 28]
const MAX_LINES = 4
/** Where even the smallest is too large. */
const FEWEST_LINES = 3

const COLORS = {
  light: {
    background: '#ffffff',
    text: '#000000',
    secondary: '#405168',
    border: '#c0cad8',
    bar: '#e5f0ff',
    leading: '#a8ccff',
    brand: '#006aff',
  },
  dark: {
    background: '#000000',
    text: '#ffffff',
    secondary: '#a5b2c5',
    border: '#313f54',
    bar: '#001e47',
    leading: '#003a85',
    brand: '#4291ff',
  },
}
type Colors = (typeof COLORS)['light']

/** Bluesky's own. */
const FONT = 'PollzInter'
const inter = dirname(createRequire(import.meta.url).resolve('inter-ui/package.json'))
for (const name of ['Regular', 'SemiBold'])
  GlobalFonts.registerFromPath(join(inter, 'web', `Inter-${name}.woff2`), FONT)

/** Other scripts and emoji come from what the machine has: all of it, for nothing else falls back by itself. */
const families = [
  FONT,
  ...GlobalFonts.families.map(({ family }) => family).filter((it) => !/Mono|Serif|Math/.test(it)),
]
  .map((family) => `"${family}"`)
  .join(', ')

const fontOf = (weight: 400 | 600, size: number) => `${weight} ${size}px ${families}`

const words = new Intl.Segmenter(undefined, { granularity: 'word' })
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const number = new Intl.NumberFormat('en')
/** A picture is kept by caches for long: what it says has to be true at any time, anywhere. */
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })

/** Whether a text is read from right to left: by its first letter, as `dir=auto` says it. */
const isRtl = (text: string) =>
  /^[^\p{L}]*[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u.test(text)

/** One line of what somebody wrote: what can't be drawn has a mark instead. */
const lineOf = (text: string) =>
  text
    .toWellFormed()
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()

/** @returns PNG, 1200 by 630 */
export function drawCard({ poll, style }: { poll: PollView; style: Style }): Buffer {
  const colors = COLORS[style.theme]
  const percent = new Intl.NumberFormat(style.language, { style: 'percent' })
  const canvas = createCanvas(WIDTH, HEIGHT)
  const context = canvas.getContext('2d')
  context.fillStyle = colors.background
  context.fillRect(0, 0, WIDTH, HEIGHT)
  context.textBaseline = 'middle'

  const { size, lines, row } = layout(context, poll)
  const question = lineOf(poll.text)
  context.fillStyle = colors.text
  context.font = fontOf(600, size)
  for (const [i, line] of lines.entries())
    write(context, line, isRtl(question), MARGIN, WIDTH - MARGIN, MARGIN + lineHeight(size) * (i + 0.5))

  const gap = gapOf(poll.options.length)
  let y = MARGIN + lineHeight(size) * lines.length + BELOW_QUESTION
  const leading = leadingOption(poll.options)
  for (const [i, { text, count }] of poll.options.entries()) {
    drawOption(
      context,
      lineOf(text),
      poll.total === 0 ? undefined : count / (poll.voters ?? poll.total),
      i === leading,
      y,
      row,
      { colors, percent },
    )
    y += row + gap
  }
  drawFooter(context, style.facts ?? factsOf(poll), colors)
  // Not `encode`: it works in the background and does not keep the canvas from being freed meanwhile.
  return canvas.encodeSync('png')
}

const lineHeight = (size: number) => size * 1.25

/** The greatest question that leaves room for the options, each `row` px high. */
function layout(context: SKRSContext2D, poll: PollView): { size: number; lines: string[]; row: number } {
  const n = poll.options.length
  const rowBelow = (size: number, lines: string[]) => {
    const above = MARGIN + lineHeight(size) * lines.length + BELOW_QUESTION
    return Math.min(MAX_ROW, (HEIGHT - MARGIN - FOOTER - above) / n - gapOf(n))
  }
  for (const size of SIZES) {
    context.font = fontOf(600, size)
    const lines = wrap(context, lineOf(poll.text), WIDTH - 2 * MARGIN)
    const row = rowBelow(size, lines)
    if (lines.length <= MAX_LINES && row >= MIN_ROW) return { size, lines, row }
  }
  const size = SIZES.at(-1)!
  const all = wrap(context, lineOf(poll.text), WIDTH - 2 * MARGIN)
  const lines = all.slice(0, FEWEST_LINES)
  if (all.length > lines.length) lines.push(shorten(context, `${lines.pop()}…`, WIDTH - 2 * MARGIN))
  return { size, lines, row: rowBelow(size, lines) }
}

function drawOption(
  context: SKRSContext2D,
  text: string,
  share: number | undefined,
  leads: boolean,
  y: number,
  height: number,
  { colors, percent }: { colors: Colors; percent: Intl.NumberFormat },
): void {
  const rtl = isRtl(text)
  const width = WIDTH - 2 * MARGIN
  const radius = Math.min(14, height / 3)
  if (share !== undefined && share > 0) {
    context.save()
    context.beginPath()
    context.roundRect(MARGIN, y, width, height, radius)
    context.clip()
    context.fillStyle = leads ? colors.leading : colors.bar
    context.fillRect(rtl ? WIDTH - MARGIN - width * share : MARGIN, y, width * share, height)
    context.restore()
  }
  context.strokeStyle = colors.border
  context.lineWidth = 2
  context.beginPath()
  context.roundRect(MARGIN, y, width, height, radius)
  context.stroke()

  const size = Math.round(Math.min(32, Math.max(16, height * 0.44)))
  const padding = 24
  const [left, right] = [MARGIN + padding, WIDTH - MARGIN - padding]
  const middle = y + height / 2
  let room = right - left
  context.fillStyle = colors.text
  if (share !== undefined) {
    context.font = fontOf(leads ? 600 : 400, size)
    const figure = percent.format(share)
    room -= context.measureText(figure).width + padding
    write(context, figure, !rtl, left, right, middle)
  }
  context.font = fontOf(leads ? 600 : 400, size)
  write(context, shorten(context, text, room), rtl, left, right, middle)
}

/** What stands below the options. */
export function factsOf({ total, voters, multiple, endsAt, handle }: PollView): string {
  const who = voters === undefined ? { n: total, word: 'vote' } : { n: voters, word: 'voter' }
  return [
    `${number.format(who.n)} ${who.word}${who.n === 1 ? '' : 's'}`,
    ...(multiple ? ['several choices'] : []),
    ...(endsAt === undefined ? [] : [`until ${date.format(new Date(endsAt))} UTC`]),
    ...(handle === undefined ? [] : [`@${handle}`]),
  ].join(' · ')
}

function drawFooter(context: SKRSContext2D, facts: string, colors: Colors): void {
  const y = HEIGHT - MARGIN - FOOTER / 2 + 8
  context.font = fontOf(600, 28)
  context.fillStyle = colors.brand
  const brand = context.measureText('pollz').width
  write(context, 'pollz', true, MARGIN, WIDTH - MARGIN, y)
  context.font = fontOf(400, 28)
  context.fillStyle = colors.secondary
  write(context, shorten(context, facts, WIDTH - 2 * MARGIN - brand - 24), false, MARGIN, WIDTH - MARGIN, y)
}

/** @param end whether it ends at the right, instead of beginning at the left */
function write(
  context: SKRSContext2D,
  text: string,
  end: boolean,
  left: number,
  right: number,
  y: number,
): void {
  context.direction = isRtl(text) ? 'rtl' : 'ltr'
  context.textAlign = end ? 'right' : 'left'
  context.fillText(text, end ? right : left, y)
}

/** Lines that are not wider than this; a word that is goes over several. */
function wrap(context: SKRSContext2D, text: string, width: number): string[] {
  const fits = (line: string) => context.measureText(line.trimEnd()).width <= width
  const lines: string[] = []
  let line = ''
  const add = (part: string) => {
    if (line === '' || fits(line + part)) line += part
    else {
      lines.push(line.trimEnd())
      line = part.trimStart()
    }
  }
  for (const { segment } of words.segment(text)) {
    if (fits(segment)) add(segment)
    else for (const { segment: letter } of graphemes.segment(segment)) add(letter)
  }
  return [...lines, line.trimEnd()]
}

/** As much of a text as there is room for. */
function shorten(context: SKRSContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text
  const letters = [...graphemes.segment(text)].map(({ segment }) => segment)
  while (letters.length > 1 && context.measureText(`${letters.join('')}…`).width > width) letters.pop()
  return `${letters.join('').replace(/[\s…]+$/, '')}…`
}
