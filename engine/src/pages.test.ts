import { expect, onTestFinished, test, vi } from 'vitest'
import type { ToPage } from '@pollz/shared/engine'
import { Pages } from './pages.ts'

const message = { type: 'own', uri: 'at://a', voter: { did: 'did:plc:a' }, option: 1 } as const

function page(pages: Pages, tab: number | undefined, ...uris: string[]) {
  const heard: ToPage[] = []
  const port = { postMessage: (it: ToPage) => void heard.push(it) }
  pages.add(port, tab)
  for (const uri of uris) pages.shown(port).add(uri)
  return heard
}

test('a page that is gone keeps nobody else from hearing', () => {
  const pages = new Pages()
  const gone = {
    postMessage: () => {
      throw new Error('Attempting to use a disconnected port object')
    },
  }
  pages.add(gone, 1)
  pages.shown(gone).add('at://a')
  const heard = page(pages, 2, 'at://a')
  pages.broadcast(() => ({ type: 'connection', online: true, since: 0 }))
  pages.send(message)
  expect(heard.map(({ type }) => type)).toEqual(['connection', 'own'])
  expect(pages.all()).toEqual(['at://a'])
})

test('a poll’s messages go to the pages that show it, an act’s to the tab that it was begun in', () => {
  const pages = new Pages()
  const [first, second, other, popup] = [
    page(pages, 1, 'at://a'),
    page(pages, 2, 'at://a', 'at://b'),
    page(pages, 3, 'at://b'),
    page(pages, undefined, 'at://a'),
  ]
  pages.send(message)
  const done = { type: 'done', id: 'x', act: { type: 'signIn' }, uri: '' } as const
  pages.sendPage(3, done)
  pages.sendPage(undefined, done)
  expect([first, second, other, popup].map(({ length }) => length)).toEqual([1, 1, 1, 2])
  expect(pages.all().toSorted()).toEqual(['at://a', 'at://b'])
})

test('pages of another engine hear of votes, and of acts that are theirs', async () => {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const [one, two] = [new Pages(), new Pages()]
  one.share('a database', stop.signal)
  two.share('a database', stop.signal)
  const [first, second] = [page(one, 1, 'at://a'), page(two, 2, 'at://a')]
  const done = { type: 'done', act: { type: 'signIn' }, uri: '' } as const
  one.sendPage(1, { ...done, id: 'of the first' })
  one.sendPage(2, { ...done, id: 'of the second' })
  one.send({ type: 'missing', uri: 'at://a', error: 'PollNotFound' })
  one.send(message)
  await vi.waitUntil(() => second.length === 2)
  expect(second).toEqual([{ ...done, id: 'of the second' }, message])
  expect(first.map(({ type }) => type)).toEqual(['done', 'missing', 'own'])
})
