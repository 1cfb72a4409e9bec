import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Wire } from './wire.ts'

let server: Server
let received: number
let wire: Wire

beforeEach(async () => {
  received = 0
  server = createServer((_, response) => {
    received++
    response.end('an answer')
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  wire = await Wire.listen(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})

afterEach(async () => {
  await wire.close()
  server.closeAllConnections()
  server.close()
})

const ask = async (signal?: AbortSignal) =>
  (await fetch(wire.url, { method: 'POST', body: 'x', signal })).text()

/** The code that undici gives for a connection that was reset. */
const reset = { cause: { code: expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/) } }

test('without a fault it is not noticed', async () => {
  expect(await ask()).toBe('an answer')
  expect(wire.hits).toEqual({ flaky: 0, refuse: 0, lose: 0, hang: 0 })
})

test('a refused request has not come through, a lost answer’s has; also where the connection was open', async () => {
  await ask()
  wire.break('refuse')
  await expect(ask()).rejects.toMatchObject(reset)
  expect(received).toBe(1)
  expect(wire.hits.refuse).toBe(1)
  wire.heal()
  await ask()
  wire.break('lose')
  await expect(ask()).rejects.toMatchObject(reset)
  expect(received).toBe(3)
  expect(wire.hits.lose).toBe(1)
  wire.heal()
  expect(await ask()).toBe('an answer')
})

test('a hanging connection never answers, not when the wire is healed either; a new one does', async () => {
  wire.break('hang')
  const patience = new AbortController()
  let settled = false
  const hanging = ask(patience.signal).finally(() => (settled = true))
  await vi.waitUntil(() => wire.hits.hang === 1)
  expect(received).toBe(1)
  wire.heal()
  expect(await ask()).toBe('an answer')
  expect(settled).toBe(false)
  patience.abort()
  await expect(hanging).rejects.toThrow(/abort/)
})

test('on a flaky wire every connection is reset, used or not', async () => {
  wire.break('flaky')
  let failed = 0
  while (wire.hits.flaky < 5) await ask().catch(() => failed++)
  // Most resets hit a connection that waits for its next request.
  expect(received).toBeGreaterThan(failed)
  wire.heal()
  await vi.waitUntil(() => ask().catch(() => false))
})
