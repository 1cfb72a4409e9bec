import { expect, test, vi } from 'vitest'
import { newId } from './ids.ts'

test('ids are made where the page is not a secure context', () => {
  vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
  const [one, other] = [newId(), newId()]
  vi.unstubAllGlobals()
  expect(one).toMatch(/^[0-9a-f]{32}$/)
  expect(other).not.toBe(one)
})
