import { signal } from '@preact/signals'
import { beforeEach, expect, test, vi } from 'vitest'
import type { PageAccount } from '@pollz/shared/engine'
import { connectPolls, type Polls } from './polls.ts'

const uri = 'at://did:plc:b/tech.waow.poll/1'
let polls: Polls

beforeEach(({ onTestFinished }) => {
  vi.stubGlobal('document', new EventTarget())
  const stop = new AbortController()
  onTestFinished(() => {
    stop.abort()
    vi.unstubAllGlobals()
  })
  polls = connectPolls(
    () => () => {},
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
  model.vote(0)
  polls.forget(uri)
  expect(polls.known(uri)).toBe(model)
  model.acting.dismiss()
  model.edit()
  polls.forget('at://did:plc:b/tech.waow.poll/2')
  expect(polls.known(uri)).toBe(model)
  model.editing.value = undefined
  polls.forget('at://did:plc:b/tech.waow.poll/2')
  expect(polls.known(uri)).toBeUndefined()
})

test('nor when it is shown again meanwhile', () => {
  const model = polls.model(uri)
  model.vote(0)
  polls.forget(uri)
  expect(polls.model(uri)).toBe(model)
  model.acting.dismiss()
  polls.forget('at://did:plc:b/tech.waow.poll/2')
  expect(polls.known(uri)).toBe(model)
})
