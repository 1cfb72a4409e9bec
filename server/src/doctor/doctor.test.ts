/** The doctor beside what is no tap, or named wrongly; e2e/doctor.test.ts has it beside real taps. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { newFile } from '../../test/database.ts'
import { TapStandIn } from '../../test/tap-standin.ts'
import { readConfig } from '../config.ts'
import { examine } from './examine.ts'

const nobody = 'http://127.0.0.1:9'

let tap: TapStandIn

beforeEach(async () => (tap = await TapStandIn.listen()))
afterEach(() => tap.close())

/** What it says of taps, each with its state. */
async function saidOfTaps(tapUrl: string): Promise<string[]> {
  const config = readConfig({ DATABASE_URL: newFile(), PUBLIC_URL: nobody, PLC_URL: nobody, TAP_URL: tapUrl })
  const said: string[] = []
  for await (const { part, state, words } of examine(config))
    if (part.startsWith('TAP_URL')) said.push(`${state} ${part}: ${words}`)
  return said
}

test.each([
  ['does not know what a tap is asked', 404, '{"error":"NotFound"}'],
  ['answers something else', 200, '{"status":"ok"}'],
  ['answers no JSON', 200, '<html>'],
])('a server that has a /health and %s is no tap', async (_, status, body) => {
  const other = createServer((request, response) => {
    if (request.url === '/health') response.end('{"status":"ok"}')
    else response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => {
    other.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
  expect(await saidOfTaps(url)).toEqual([
    expect.stringMatching(`^bad TAP_URL ${url}: is no tap, by what it answers .*: is the address right\\?$`),
  ])
  other.close()
})

test('a tap that is named twice', async () => {
  const { url } = tap
  expect(await saidOfTaps(url)).toEqual([`good TAP_URL ${url}: answers`, expect.stringMatching(/^unknown/)])
  expect(await saidOfTaps(`${url},${url}/`)).toEqual([
    `bad TAP_URL: names ${url} twice: each tap has one consumer`,
    `good TAP_URL ${url}: answers`,
    expect.stringMatching(/^unknown/),
  ])
})
