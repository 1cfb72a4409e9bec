import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../log.ts'
import { Tracking } from './tracking.ts'

let server: Server
let url: string
let stop: AbortController
/** DIDs of each request that was answered well, in their order */
let added: string[][]
let broken: boolean
let refused: number
/** of each DID: what it says of its state, the next one each time */
let states: Map<string, string[]>

beforeEach(async () => {
  stop = new AbortController()
  added = []
  broken = false
  refused = 0
  states = new Map()
  server = createServer(async (request, response) => {
    const [, , did = ''] = request.url!.split('/')
    const info = states.get(decodeURIComponent(did))
    if (info) {
      if (info[0] === 'hangs') return
      if (info[0] === 'forgotten') return void response.writeHead(404).end()
      if (info[0] === 'fails') return void response.writeHead(500).end()
      const state = info.length > 1 ? info.shift() : info[0]
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ did, handle: '', state, rev: '', records: 0 }))
    }
    let body = ''
    for await (const chunk of request) body += String(chunk)
    if (broken) refused++
    else if (request.url === '/repos/add') added.push((JSON.parse(body) as { dids: string[] }).dids)
    response.writeHead(broken ? 500 : 200).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  stop.abort()
  server.closeAllConnections()
  server.close()
})

const tracking = () =>
  new Tracking({ urls: [url], adminPassword: undefined, log: createLog('error'), signal: stop.signal })
const dids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `did:plc:${from + i}`)

test('who comes while tap is being told goes into the next request, together and once', async () => {
  const it = tracking()
  for (const did of dids(0, 100)) it.track([did, 'did:plc:0'])
  await vi.waitUntil(() => new Set(added.flat()).size === 100)
  expect(added.length).toBeLessThan(4)
})

test('a tap that fails is told again, of those that wait and of everybody', async () => {
  broken = true
  const it = tracking()
  it.track(['did:plc:new'])
  void it.trackAll(url, async (after, limit) => ({
    dids: after < 600 ? dids(after, Math.min(after + limit, 600)) : [],
    last: after < 600 ? Math.min(after + limit, 600) : undefined,
  }))
  await vi.waitUntil(() => refused >= 2)
  broken = false
  await vi.waitUntil(() => added.flat().length === 601, 10_000)
  expect(new Set(added.flat()).size).toBe(601)
})

test('it waits until tap has read them all, or failed to', async () => {
  states.set('did:plc:a', ['pending', 'resyncing', 'active'])
  states.set('did:plc:b', ['error'])
  states.set('did:plc:deleted', ['forgotten'])
  await tracking().trackAndWait(['did:plc:a', 'did:plc:b', 'did:plc:deleted'], 60_000)
  expect(states.get('did:plc:a')).toEqual(['active'])
})

test('it waits no longer than it has patience, and says so where tap can’t be told', async () => {
  states.set('did:plc:a', ['pending'])
  await tracking().trackAndWait(['did:plc:a'], 100)
  expect(added).toEqual([['did:plc:a']])
  broken = true
  await expect(tracking().trackAndWait(['did:plc:a'], 100)).rejects.toThrow(/./)
})

test.each(['hangs', 'fails'])('a tap that is told and then %s has not read them', async (state) => {
  states.set('did:plc:a', [state])
  await expect(tracking().trackAndWait(['did:plc:a'], 200)).rejects.toThrow(/./)
  expect(added).toEqual([['did:plc:a']])
})
