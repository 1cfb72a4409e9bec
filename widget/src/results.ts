/** A poll's result in words, for where no widget is. */
import { shareOf } from '@pollz/shared/share'
import type { PollView } from '@pollz/shared/wire'
import type { Texts } from './texts.ts'

/** A post on Bluesky has so many graphemes at most. */
export const MAX_POST = 300

/** "Tea 62%" for each option, the leading one first. */
const sharesIn = (poll: PollView, { percent }: Texts): string[] =>
  poll.options
    .toSorted((a, b) => b.count - a.count)
    .map(({ text, count }) => `${text} ${percent(shareOf(poll, count))}`)

const countIn = ({ total, voters }: PollView, texts: Texts): string =>
  voters === undefined ? texts.votes(total) : texts.voters(voters)

/** "Tea 62%, Coffee 38%, 120 votes" */
export const resultText = (poll: PollView, texts: Texts): string =>
  [...(poll.total === 0 ? [] : sharesIn(poll, texts)), countIn(poll, texts)].join(', ')

/** What leads, and of how many votes: "Tea 62% · 120 votes"; of a tie all that lead. */
export function leadText(poll: PollView, texts: Texts): string {
  const most = Math.max(...poll.options.map(({ count }) => count))
  const leading = poll.total === 0 ? [] : poll.options.filter(({ count }) => count === most)
  const lead = `${texts.list(leading.map(({ text }) => text))} ${texts.percent(shareOf(poll, most))}`
  return [...(leading.length === 0 ? [] : [lead]), countIn(poll, texts)].join(' · ')
}

/**
 * A poll's page for a post with its result. A site that has made a card of the page before may have kept it: with the
 * version it is another page to it.
 */
export const resultLink = (page: string, { options, version }: PollView): string =>
  `${page}?options=${options.length}&v=${version}`

/**
 * The text of a post with a result: the question, as many options as there is room for, and the link, of which the site
 * makes a card.
 */
export function resultPost(poll: PollView, link: string, texts: Texts): string {
  const shares = poll.total === 0 ? [] : sharesIn(poll, texts)
  const count = countIn(poll, texts)
  const post = (question: string, lines: string[]) =>
    [question, '', ...lines, count, '', link].join('\n').trimStart()
  for (let shown = shares.length; shown > 0; shown--) {
    const text = post(poll.text, [...shares.slice(0, shown), ...(shown < shares.length ? ['…'] : [])])
    if (lengthOf(text) <= MAX_POST) return text
  }
  // The question is in the card, too.
  const surplus = lengthOf(post(poll.text, [])) - MAX_POST
  if (surplus <= 0) return post(poll.text, [])
  return post(
    `${graphemes(poll.text)
      .slice(0, -surplus - 1)
      .join('')}…`,
    [],
  )
}

const graphemes = (text: string): string[] =>
  [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)].map(({ segment }) => segment)

const lengthOf = (text: string): number => graphemes(text).length
