import { beforeEach, describe, expect, test } from 'vitest'
import type { Settings } from '../requests.ts'
import type { Wrong } from './check.ts'
import { saveSettings, type Saving, type Typed } from './save.ts'

const before: Settings = {
  server: 'https://old.example',
  second: '',
  hosts: ['a.example'],
  resultsFirst: false,
  sites: [],
  on: true,
}
const typed = (change: Partial<Typed>): Typed => {
  const { server, second, resultsFirst, on } = before
  return { server, second, resultsFirst, on, hosts: 'a.example', ...change }
}

let granted: Set<string>
let answer: boolean
let saved: Settings[]
let checked: string[]
let wrong: Wrong | undefined
let saving: Saving

beforeEach(() => {
  granted = new Set(['https://old.example/*'])
  answer = true
  saved = []
  checked = []
  wrong = undefined
  saving = {
    permissions: {
      contains: async ({ origins }) => origins.every((it) => granted.has(it)),
      request: async ({ origins }) => {
        if (answer) for (const it of origins) granted.add(it)
        return answer
      },
      remove: async ({ origins }) => origins.every((it) => granted.delete(it)),
    },
    check: async (server) => {
      checked.push(server)
      return wrong
    },
    save: async (settings) => saved.push(settings),
  }
})

test('a server that stays is asked nothing: what else was set is saved while it is away', async () => {
  wrong = ['serverNone', 'https://old.example', 'away']
  const outcome = await saveSettings(before, typed({ on: false }), saving)
  expect(outcome).toEqual({ settings: { ...before, on: false }, wrong: [] })
  expect(saved).toEqual([{ ...before, on: false }])
  expect(checked).toEqual([])
})

test('another server is taken when it says that it is one; the one before is not used any more', async () => {
  const outcome = await saveSettings(before, typed({ server: 'new.example' }), saving)
  expect(outcome).toEqual({ settings: { ...before, server: 'https://new.example' }, wrong: [] })
  expect(saved.at(-1)).toEqual(outcome.settings)
  expect([...granted]).toEqual(['https://new.example/*'])
})

test('another port of the same host needs the same permission', async () => {
  await saveSettings(before, typed({ server: 'https://old.example:8443' }), saving)
  expect([...granted]).toEqual(['https://old.example/*'])
})

test('sites stay as they are, and so does the access that one needs', async () => {
  const sites = ['https://old.example:8443']
  const outcome = await saveSettings({ ...before, sites }, typed({ server: 'new.example' }), saving)
  expect(outcome.settings.sites).toEqual(sites)
  expect([...granted]).toEqual(['https://old.example/*', 'https://new.example/*'])
})

describe('a server that is not taken', () => {
  test('is none: the permission is given back, and the rest is saved', async () => {
    wrong = ['serverNone', 'https://new.example', '404']
    const outcome = await saveSettings(before, typed({ server: 'new.example', on: false }), saving)
    expect(outcome).toEqual({ settings: { ...before, on: false }, wrong: [wrong] })
    expect(saved).toEqual([{ ...before, on: false }])
    expect([...granted]).toEqual(['https://old.example/*'])
  })

  test('a permission that was there before stays', async () => {
    granted.add('https://new.example/*')
    wrong = ['serverNone', 'https://new.example', '404']
    await saveSettings(before, typed({ server: 'new.example' }), saving)
    expect(granted).toContain('https://new.example/*')
  })

  test('it may not be asked', async () => {
    answer = false
    const outcome = await saveSettings(before, typed({ server: 'new.example', on: false }), saving)
    expect(outcome).toEqual({
      settings: { ...before, on: false },
      wrong: [['serverRefused', 'https://new.example']],
    })
    expect(checked).toEqual([])
  })

  test('nor is a wrong address or host, and both are named', async () => {
    const change = { server: 'ftp://new.example', hosts: 'not a host', resultsFirst: true }
    const outcome = await saveSettings(before, typed(change), saving)
    expect(outcome).toEqual({
      settings: { ...before, resultsFirst: true },
      wrong: [['serverInvalid'], ['hostInvalid', 'not a host']],
    })
    expect(saved).toEqual([outcome.settings])
  })
})

test('another source of votes is an address, or none', async () => {
  const kept = { ...before, second: 'https://second.example' }
  const none = await saveSettings(kept, typed({ second: ' ' }), saving)
  expect([none.settings.second, none.wrong]).toEqual(['', []])
  const other = await saveSettings(kept, typed({ second: 'other.example' }), saving)
  expect([other.settings.second, other.wrong]).toEqual(['https://other.example', []])
  const nothing = await saveSettings(kept, typed({ second: 'no address' }), saving)
  expect([nothing.settings.second, nothing.wrong]).toEqual([kept.second, [['secondInvalid']]])
})

test('the browser is asked before anything takes time', () => {
  const order: string[] = []
  saving.permissions.request = async () => {
    order.push('request')
    return true
  }
  void saveSettings(before, typed({ server: 'new.example' }), saving)
  order.push('later')
  expect(order).toEqual(['request', 'later'])
})
