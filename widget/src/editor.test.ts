import { signal } from '@preact/signals'
import { home } from '@pollz/shared/families'
import { isTid } from '@pollz/shared/tid'
import type { PollView } from '@pollz/shared/wire'
import { beforeEach, describe, expect, test } from 'vitest'
import { EditorModel, MAX_OPTION, MAX_TEXT } from './editor.ts'
import type { PageAccount, ToEngine } from '@pollz/shared/engine'

let sent: ToEngine[]
let done: string[]
let model: EditorModel

const create = (edited?: PollView) =>
  new EditorModel(
    { send: (message) => sent.push(message), account: signal<PageAccount | undefined>({ did: 'did:plc:a' }) },
    {
      account: signal(undefined),
      connection: signal({ online: true, since: 0 }),
      resultsFirst: signal(false),
      hasVoted: signal(true),
      knowsSignIn: signal(true),
      linkTo: (it) => it,
      profileOf: (it) => it,
    },
    (uri) => done.push(uri),
    edited,
  )

const poll: PollView = {
  uri: 'at://did:plc:a/tech.waow.poll/3kabc',
  repo: 'did:plc:a',
  rkey: '3kabc',
  text: 'Tea?',
  options: [
    { text: 'Yes', count: 2 },
    { text: 'No', count: 1 },
  ],
  total: 3,
  createdAt: '2026-11-23T20:15:00.000Z',
  edited: false,
  version: 1,
}

beforeEach(() => {
  sent = []
  done = []
  model = create()
})

const texts = () => model.options.value.map(({ text }) => text)
const fitsLexicon = () =>
  home.readPoll(
    { $type: home.poll, createdAt: '2026-11-23T20:15:00.000Z', ...model.draft.value },
    { did: 'did:plc:alice', collection: home.poll, rkey: '3kaaaaaaaaaa2' },
  ).ok

const write = (text: string, ...options: string[]) => {
  model.text.value = text
  for (const [i, option] of options.entries()) {
    if (i >= model.options.value.length) model.add()
    model.write(i, option)
  }
}

describe('what is wrong', () => {
  test.each([
    ['nothing is written', '', ['', ''], ['empty', 'empty', 'empty']],
    ['only spaces', '  ', [' a', 'b '], ['empty']],
    ['one byte too many', '🙂'.repeat(75) + 'x', ['a', 'b'], ['tooLong']],
    ['a long option', 'a', ['é'.repeat(51), 'b'], ['tooLong']],
    ['the same option', 'a', ['b', ' b'], ['same']],
    ['nothing', '🙂'.repeat(75), ['é'.repeat(50), 'b'], []],
  ])('%s', (_, text, options, expected) => {
    write(text, ...options)
    expect(model.problems.value.map(({ name }) => name)).toEqual(expected)
    // What the lexicon refuses is too long; the rest is allowed, and makes no sense.
    expect(fitsLexicon()).toBe(!expected.includes('tooLong'))
  })

  test('the limits are the lexicon’s', () => {
    write('x'.repeat(MAX_TEXT), 'y'.repeat(MAX_OPTION), 'b')
    expect(fitsLexicon()).toBe(true)
    model.text.value += 'x'
    expect(fitsLexicon()).toBe(false)
  })

  test('is not published', () => {
    expect(model.publish()).toBe(false)
    expect(sent).toEqual([])
  })
})

test('there are two to ten options, which keep their key wherever they go', () => {
  write('?', 'a', 'b')
  model.remove(0)
  expect(texts()).toEqual(['a', 'b'])
  for (let i = 0; i < 20; i++) model.add()
  expect(model.options.value).toHaveLength(10)
  const { key } = model.options.value[0]!
  model.move(0, 2)
  expect(texts().slice(0, 3)).toEqual(['b', '', 'a'])
  expect(model.options.value[2]!.key).toBe(key)
  expect(model.moved.value).toEqual({ text: 'a', to: 2 })
  model.move(0, -1)
  model.move(9, 10)
  expect(model.options.value[2]!.key).toBe(key)
})

describe('the text of the post that a poll is for', () => {
  test('is the question, which leaves the post', () => {
    model.prefill('Tea or coffee?')
    expect(model.draft.value.text).toBe('Tea or coffee?')
    expect([model.isPostText.value, model.leavesPost.value]).toEqual([true, true])
  })

  test('is the question again when it has changed meanwhile', () => {
    model.prefill('Tea?')
    model.prefill('Tea or coffee?')
    expect(model.draft.value.text).toBe('Tea or coffee?')
    expect(model.isPostText.value).toBe(true)
  })

  test('has nothing to do with a question that somebody has written', () => {
    model.text.value = 'Tabs?'
    model.prefill('Tea or coffee?')
    expect(model.draft.value.text).toBe('Tabs?')
    expect(model.isPostText.value).toBe(false)
  })

  test('stays in the post when the question becomes another one', () => {
    model.prefill('Tea or coffee?')
    model.text.value = 'Tea, coffee or milk?'
    expect(model.isPostText.value).toBe(false)
    model.prefill('Tea or coffee?')
    expect(model.draft.value.text).toBe('Tea, coffee or milk?')
    // Spaces around it are nobody's words.
    model.text.value = ' Tea or coffee? '
    expect(model.isPostText.value).toBe(true)
  })

  test('of another post, which has none, does not take the question away', () => {
    model.prefill('Tea?')
    model.prefill('')
    expect(model.draft.value.text).toBe('Tea?')
    expect(model.isPostText.value).toBe(false)
  })

  test.each([
    ['🙂'.repeat(75), true],
    [`${'🙂'.repeat(75)}!`, false],
  ])('%s: is it short enough for a question? %s', (text, fits) => {
    model.prefill(text)
    expect(model.draft.value.text).toBe(fits ? text : '')
    expect(model.isPostText.value).toBe(fits)
  })
})

test('every try to publish says the same, under a key of its own', () => {
  write(' Tea? ', 'Yes', ' No ')
  expect(model.publish()).toBe(true)
  const { id, act } = sent[0] as ToEngine & { type: 'act' }
  expect(act).toMatchObject({ type: 'publish', draft: { text: 'Tea?', options: ['Yes', 'No'] } })
  model.receive({ type: 'refused', id, act, reason: { name: 'unreachable' } })
  model.publish()
  const again = sent[1] as ToEngine & { type: 'act' }
  expect(again.act).toEqual(act)
  // It is dated by the click, not by when the editor was opened.
  expect(act).not.toHaveProperty('draft.createdAt')
  expect(isTid(model.rkey)).toBe(true)
  expect(create().rkey).not.toBe(model.rkey)
  model.receive({ type: 'done', id: again.id, act, uri: 'at://x' })
  expect(done).toEqual(['at://x'])
})

test('a poll that is changed keeps its key and date, and says what will become of its votes', () => {
  model = create(poll)
  model.text.value = 'Tea now?'
  expect(model.willSayEdited.value).toBe(false)
  model.move(0, 1)
  expect(model.willSayEdited.value).toBe(true)
  // C7: counts stay with the place.
  expect(model.previewed(String, '?')).toMatchObject({
    text: 'Tea now?',
    options: [
      { text: 'No', count: 2 },
      { text: 'Yes', count: 1 },
    ],
    total: 3,
    edited: true,
  })
  model.publish()
  expect(sent[0]).toMatchObject({ act: { rkey: '3kabc', draft: { createdAt: poll.createdAt } } })
})

test('whoever closes the editor while they are to sign in does not want it published', () => {
  write('Tea?', 'Yes', 'No')
  model.publish()
  const { id, act } = sent.at(-1) as ToEngine & { type: 'act' }
  model.receive({ type: 'accepted', id, act })
  model.leave()
  expect(sent.at(-1)).toMatchObject({ type: 'act' })
  model.receive({ type: 'signingIn', id, act, as: 'a.test' })
  model.leave()
  expect(sent.at(-1)).toEqual({ type: 'withdraw', id })
})
