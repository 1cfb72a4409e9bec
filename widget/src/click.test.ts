import type { PageAccount, ToEngine } from '@pollz/shared/engine'
import { signal } from '@preact/signals'
import { beforeEach, describe, expect, test } from 'vitest'
import { Click } from './click.ts'

const act = { type: 'vote', uri: 'at://did:plc:b/tech.waow.poll/1', option: 1 } as const
let sent: ToEngine[]
let click: Click
let id: string

beforeEach(() => {
  sent = []
  click = new Click({ send: (message) => void sent.push(message), account: signal<PageAccount>() })
  click.start(act, { identifier: 'alice.test' })
  id = sent.splice(0).flatMap((it) => (it.type === 'act' ? it.id : []))[0]!
})

const signingIn = (of = id) => click.receive({ type: 'signingIn', id: of, act, as: 'alice.test' })

describe('what is dismissed', () => {
  test('while somebody is to sign in is not done any more', () => {
    signingIn()
    click.dismiss()
    expect(sent).toEqual([{ type: 'withdraw', id }])
    expect(click.phase.value).toEqual({ name: 'idle' })
  })

  test('on its way is done, unless it takes signing in', () => {
    click.receive({ type: 'accepted', id, act })
    click.dismiss()
    expect(sent).toEqual([])
    expect(signingIn()).toBe(false)
    expect(sent).toEqual([{ type: 'withdraw', id }])
  })

  test('is nothing where it has ended', () => {
    signingIn()
    click.receive({ type: 'refused', id, act, reason: { name: 'notFinished' } })
    click.dismiss()
    expect(sent).toEqual([])
  })
})

test('a sign-in that ends withdraws nothing', () => {
  signingIn()
  click.receive({ type: 'done', id, act, uri: act.uri })
  signingIn('of another page')
  expect(sent).toEqual([])
})
