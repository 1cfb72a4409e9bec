import { signal } from '@preact/signals'
import { beforeEach, expect, test, vi } from 'vitest'
import type { PageAccount, ToEngine } from '@pollz/shared/engine'
import { connectPolls, type Connection, type Polls } from './polls.ts'

const uri = 'at://did:plc:b/tech.waow.poll/1'
let polls: Polls
let connection: Connection
let sent: ToEngine[]

/** The engine has what was clicked last. */
function accept() {
  const click = sent.findLast((it) => it.type === 'act')!
  connection.onMessage({ type: 'accepted', id: click.id, act: click.act })
}

beforeEach(({ onTestFinished }) => {
  vi.stubGlobal('document', new EventTarget())
  const stop = new AbortController()
  onTestFinished(() => {
    stop.abort()
    vi.unstubAllGlobals()
  })
  sent = []
  polls = connectPolls(
    (it) => {
      connection = it
      return (message) => void sent.push(message)
    },
    signal<PageAccount | undefined>(undefined),
    'https://bsky.app',
    () => {},
    stop.signal,
  )
})

test('a poll that nothing shows any more is forgotten', () => {
  polls.model(uri)
  polls.forget(uri)
  expect(polls.known(uri)).toBeUndefined()
})

test('but not while something is being done with it', () => {
  const model = polls.model(uri)
  model.vote([0])
  polls.forget(uri)
  expect(polls.known(uri)).toBe(model)
  model.click.dismiss()
  // The page stays connected until the engine has the click.
  polls.forget(uri)
  expect(polls.known(uri)).toBe(model)
  expect(connection.wanted()).toBe(true)
  accept()
  expect(connection.wanted()).toBe(false)
  model.edit()
  polls.forget('at://did:plc:b/tech.waow.poll/2')
  expect(polls.known(uri)).toBe(model)
  model.editing.value = undefined
  polls.forget('at://did:plc:b/tech.waow.poll/2')
  expect(polls.known(uri)).toBeUndefined()
})

test('nor when it is shown again meanwhile', () => {
  const model = polls.model(uri)
  model.vote([0])
  polls.forget(uri)
  expect(polls.model(uri)).toBe(model)
  accept()
  model.click.dismiss()
  polls.forget('at://did:plc:b/tech.waow.poll/2')
  expect(polls.known(uri)).toBe(model)
})
