import { expect, test } from 'vitest'
import type { ToContent } from '../messages.ts'
import { Tabs } from './tabs.ts'

const message = { type: 'own', uri: 'at://a', voter: { did: 'did:plc:a' }, option: 1 } as const

function page(tabs: Tabs, tab: number | undefined, ...uris: string[]) {
  const heard: ToContent[] = []
  const port = { postMessage: (it: ToContent) => void heard.push(it) }
  tabs.add(port, tab)
  for (const uri of uris) tabs.shown(port).add(uri)
  return heard
}

test('a page that is gone keeps nobody else from hearing', () => {
  const tabs = new Tabs()
  const gone = {
    postMessage: () => {
      throw new Error('Attempting to use a disconnected port object')
    },
  }
  tabs.add(gone, 1)
  tabs.shown(gone).add('at://a')
  const heard = page(tabs, 2, 'at://a')
  tabs.broadcast(() => ({ type: 'connection', online: true, since: 0 }))
  tabs.send(message)
  expect(heard.map(({ type }) => type)).toEqual(['connection', 'own'])
  expect(tabs.all()).toEqual(['at://a'])
})

test('a poll’s messages go to the pages that show it, a vote’s to the tab that it was cast in', () => {
  const tabs = new Tabs()
  const [first, second, other, popup] = [
    page(tabs, 1, 'at://a'),
    page(tabs, 2, 'at://a', 'at://b'),
    page(tabs, 3, 'at://b'),
    page(tabs, undefined, 'at://a'),
  ]
  tabs.send(message)
  tabs.sendTab(2, message)
  tabs.sendTab(undefined, message)
  expect([first, second, other, popup].map(({ length }) => length)).toEqual([1, 2, 0, 2])
  expect(tabs.all().toSorted()).toEqual(['at://a', 'at://b'])
})
