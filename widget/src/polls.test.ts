import { signal } from '@preact/signals'
import { beforeEach, expect, test, vi } from 'vitest'
import type { PageAccount, ToEngine } from '@pollz/shared/engine'
import type { PollView } from '@pollz/shared/wire'
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

test('the settings say what somebody will be told of, and whether they can be told', () => {
  const settings = { type: 'settings', hosts: {}, server: 'https://s.test/', on: true } as const
  const flags = { resultsFirst: false, hasVoted: true, knowsSignIn: true }
  const { around } = polls.model(uri)
  connection.onMessage({ ...settings, ...flags })
  expect(around.reminders.value).toBeUndefined()
  connection.onMessage({ ...settings, ...flags, reminders: [uri] })
  expect(around.reminders.value).toEqual(new Set([uri]))
  const poll = { uri, options: [{}, {}], version: 3 } as unknown as PollView
  expect(around.resultLink(poll)).toBe('https://s.test/poll/did:plc:b/tech.waow.poll/1?options=2&v=3')
})
