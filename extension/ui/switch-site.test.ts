import { beforeEach, expect, test } from 'vitest'
import type { Settings } from '../requests.ts'
import { addSite, switchSite, type Switching } from './switch-site.ts'

const sister = 'https://sister.example'
const before: Settings = {
  server: 'https://pollz.example',
  second: '',
  hosts: [],
  resultsFirst: false,
  sites: [],
  on: true,
}
const withSister = { ...before, sites: [sister] }

let granted: Set<string>
let asked: string[]
let answer: boolean
let switching: Switching

beforeEach(() => {
  granted = new Set(['https://pollz.example/*'])
  asked = []
  answer = true
  const sites = new Set<string>()
  switching = {
    permissions: {
      contains: async ({ origins }) => origins.every((it) => granted.has(it)),
      request: async ({ origins }) => {
        asked.push(...origins)
        if (answer) for (const it of origins) granted.add(it)
        return answer
      },
      remove: async ({ origins }) => origins.every((it) => granted.delete(it)),
    },
    set: async (site, on) => {
      if (on) sites.add(site)
      else sites.delete(site)
      return [...sites]
    },
  }
})

test('switched on, its origin alone is asked for; switched off, that is given back', async () => {
  expect(await switchSite(before, sister, true, switching)).toEqual({ settings: withSister })
  expect(asked).toEqual(['https://sister.example/*'])
  expect(await switchSite(withSister, sister, false, switching)).toEqual({ settings: before })
  expect([...granted]).toEqual(['https://pollz.example/*'])
})

test('refused, it stays off, and that is said', async () => {
  answer = false
  expect(await switchSite(before, sister, true, switching)).toEqual({
    wrong: ['siteRefused', 'sister.example'],
  })
  expect(await switching.set('https://other.example', true)).toEqual(['https://other.example'])
})

test('a browser that takes no such pattern refuses too', async () => {
  switching.permissions.request = () => Promise.reject(new Error('Invalid value for origin pattern'))
  expect(await switchSite(before, sister, true, switching)).toEqual({
    wrong: ['siteRefused', 'sister.example'],
  })
})

test('what the server or another site needs too is kept', async () => {
  const server = 'https://pollz.example:8443'
  await switchSite(before, server, true, switching)
  await switchSite({ ...before, sites: [server] }, server, false, switching)
  expect(granted).toContain('https://pollz.example/*')
  const ports = [`${sister}:1`, `${sister}:2`]
  for (const it of ports) await switchSite(before, it, true, switching)
  await switchSite({ ...before, sites: ports }, ports[0]!, false, switching)
  expect(granted).toContain('https://sister.example/*')
  await switchSite({ ...before, sites: ports.slice(1) }, ports[1]!, false, switching)
  expect(granted).not.toContain('https://sister.example/*')
})

test('an address is added as its origin', async () => {
  expect(await addSite(before, ' Sister.example/ ', switching)).toEqual({ settings: withSister })
})

test.each([
  '',
  'http://sister.example',
  'https://sister.example/profile/alice.example',
  'not a host',
  'pollz.example',
])('no address: “%s”', async (typed) => {
  expect(await addSite(before, typed, switching)).toEqual({ wrong: ['siteInvalid'] })
  expect(asked).toEqual([])
})

test.each(['bsky.app', 'sister.example'])('%s is on already', async (typed) => {
  expect(await addSite(withSister, typed, switching)).toEqual({ settings: withSister })
  expect(asked).toEqual([])
})

test('the browser is asked before anything takes time', () => {
  void addSite(before, 'sister.example', switching)
  expect(asked).toEqual(['https://sister.example/*'])
})
