import { expect, test } from 'vitest'
import { wordsOf } from './writing.ts'

test.each([
  ['Tabs or spaces?', 'Tabs or spaces?'],
  [' Tabs?\n', 'Tabs?'],
  ['Seen https://a.example/b?c=d. What now?', 'Seen What now?'],
  ['https://a.example What now?', 'What now?'],
  ['What now?\nhttps://a.example', 'What now?'],
  ['One\n\nhttp://a.example\n\nTwo', 'One\n\nTwo'],
  ['https://a.example https://b.example', ''],
  ['Node.js or e.g. Deno?', 'Node.js or e.g. Deno?'],
])('the words of %j', (text, words) => {
  expect(wordsOf(text)).toBe(words)
})
