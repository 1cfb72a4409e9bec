import type { PollView } from '@pollz/shared/wire'
import { expect, test } from 'vitest'
import en from '../locales/en/messages.json' with { type: 'json' }
import { leadText, MAX_POST, resultLink, resultPost, resultText } from './results.ts'
import { createTexts } from './texts.ts'

const texts = createTexts(
  (key, values) => en[key].message.replace(/\$(\d)/g, (_, i) => values[Number(i) - 1] ?? ''),
  'en-US',
)

const poll = (text: string, options: [string, number][], more: Partial<PollView> = {}): PollView => ({
  uri: 'at://did:plc:b/tech.waow.poll/1',
  repo: 'did:plc:b',
  rkey: '1',
  text,
  options: options.map(([it, count]) => ({ text: it, count })),
  total: options.reduce((sum, [, count]) => sum + count, 0),
  createdAt: '2026-11-23T20:15:00.000Z',
  edited: false,
  version: 7,
  ...more,
})

const tea = poll('Tea or coffee?', [
  ['Coffee', 38],
  ['Tea', 62],
])
const none = poll('Tea?', [
  ['Yes', 0],
  ['No', 0],
])
const link =
  'https://pollz.example/poll/did:plc:bbbbbbbbbbbbbbbbbbbbbbbb/3kabcabcabcab?options=10&v=1764043200000'

const lengthOf = (text: string) => [...new Intl.Segmenter('en').segment(text)].length

test('a result in a line: the leading option first, and how many votes', () => {
  expect(resultText(tea, texts)).toBe('Tea 62%, Coffee 38%, 100 votes')
  expect(resultText({ ...tea, voters: 80 }, texts)).toBe('Tea 78%, Coffee 48%, 80 voters')
  expect(resultText(none, texts)).toBe('0 votes')
})

test('what leads: of a tie all, of no votes nothing', () => {
  expect(leadText(tea, texts)).toBe('Tea 62% · 100 votes')
  const tie = poll('?', [
    ['Tea', 2],
    ['Coffee', 2],
    ['Water', 0],
  ])
  expect(leadText(tie, texts)).toBe('Tea and Coffee 50% · 4 votes')
  expect(leadText(none, texts)).toBe('0 votes')
})

test('a post has the question, the result and the link, by which the card is as of now', () => {
  const at = resultLink('https://pollz.example/poll/did:plc:b/1', tea)
  expect(at).toBe('https://pollz.example/poll/did:plc:b/1?options=2&v=7')
  expect(resultPost(tea, at, texts)).toBe(`Tea or coffee?\n\nTea 62%\nCoffee 38%\n100 votes\n\n${at}`)
  expect(resultPost(none, at, texts)).toBe(`Tea?\n\n0 votes\n\n${at}`)
  expect(resultPost({ ...tea, text: '' }, at, texts)).toBe(`Tea 62%\nCoffee 38%\n100 votes\n\n${at}`)
})

test('a post that would be too long has as many options as fit, the leading ones', () => {
  const many = poll(
    'Which?',
    Array.from({ length: 10 }, (_, i): [string, number] => [`${i} ${'x'.repeat(38)}`, i]),
  )
  const text = resultPost(many, link, texts)
  expect(lengthOf(text)).toBeLessThanOrEqual(MAX_POST)
  expect(
    text
      .split('\n')
      .slice(2, -3)
      .map((line) => line[0]),
  ).toEqual(['9', '8', '7', '6', '…'])
  expect(text).toMatch(/\n45 votes\n\nhttps:/)
})

test.each([
  ['letters', 'q'.repeat(300)],
  ['emoji, each of several code points', '👩‍👩‍👧‍👦'.repeat(300)],
])('a long question is cut, never the link: %s', (_, question) => {
  const text = resultPost({ ...tea, text: question }, link, texts)
  expect(lengthOf(text)).toBe(MAX_POST)
  expect(text).toMatch(/^[^\n]+…\n\n100 votes\n\nhttps:/)
  expect(text.endsWith(link)).toBe(true)
})
