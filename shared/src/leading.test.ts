import { expect, test } from 'vitest'
import { leadingOption } from './leading.ts'

test.each([
  ['one has the most', [1, 3, 2], 1],
  ['two are even at the top', [3, 1, 3], undefined],
  ['others are even below it', [1, 1, 2], 2],
  ['nobody has voted', [0, 0], undefined],
  ['there are no options', [], undefined],
])('%s', (_, counts, leading) => {
  expect(leadingOption(counts.map((count) => ({ count })))).toBe(leading)
})
