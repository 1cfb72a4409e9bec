import { expect, test, vi } from 'vitest'

test('a wait that names no limit goes on for more than a second', async () => {
  let asked = 0
  // It asks every 50 ms: Vitest's own second is over after 20 times.
  await vi.waitUntil(() => ++asked > 25)
  await vi.waitFor(() => expect(++asked).toBeGreaterThan(50), { interval: 50 })
  expect(asked).toBe(51)
})
