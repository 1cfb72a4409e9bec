import { expect, test } from 'vitest'
import { choiceOf, choicesIn, isSameChoice } from './choices.ts'

test.each([
  [[], { option: null }],
  [[3], { option: 3 }],
  [[3, 3], { option: 3 }],
  [[10, 2, 2], { option: 2, options: [2, 10] }],
])('%j there and back', (choices, choice) => {
  expect(choiceOf(choices)).toEqual(choice)
  expect(choicesIn(choice)).toEqual([...new Set(choices)].toSorted((a, b) => a - b))
})

test('what is in the journal of a client that knows one choice is read', () => {
  expect(choicesIn({ option: 0 })).toEqual([0])
  expect(isSameChoice({ option: 0 }, choiceOf([0]))).toBe(true)
  expect(isSameChoice({ option: 0 }, choiceOf([0, 1]))).toBe(false)
})
