import { signal, type Signal } from '@preact/signals'
import { home } from '@pollz/shared/families'
import { isTid } from '@pollz/shared/tid'
import type { PollView } from '@pollz/shared/wire'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { EditorModel, LASTS, MAX_OPTION, MAX_TEXT } from './editor.ts'
import type { PageAccount, ToEngine } from '@pollz/shared/engine'

let sent: ToEngine[]
let done: string[]
let model: EditorModel
const connection: Signal<{ online: boolean; since: number; ahead?: number }> = signal({
  online: true,
  since: 0,
})

const create = (edited?: PollView) =>
  new EditorModel(
    { send: (message) => sent.push(message), account: signal<PageAccount | undefined>({ did: 'did:plc:a' }) },
    {
      account: signal(undefined),
      connection,
      resultsFirst: signal(false),
      hasVoted: signal(true),
      knowsSignIn: signal(true),
      linkTo: (it) => it,
      profileOf: (it) => it,
      resultLink: (it) => it.uri,
      compose: (it) => it,
      reminders: signal(undefined),
      second: signal(''),
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
  connection.value = { online: true, since: 0 }
  model = create()
})

const texts = () => model.options.value.map(({ text }) => text)
const fitsLexicon = () =>
  home.readPoll(
    { $type: home.poll, createdAt: '2026-11-23T20:15:00.000Z', ...model.draft },
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
    expect(model.problems.map(({ name }) => name)).toEqual(expected)
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
    expect(model.draft.text).toBe('Tea or coffee?')
    expect([model.isPostText.value, model.leavesPost.value]).toEqual([true, true])
  })

  test('is the question again when it has changed meanwhile', () => {
    model.prefill('Tea?')
    model.prefill('Tea or coffee?')
    expect(model.draft.text).toBe('Tea or coffee?')
    expect(model.isPostText.value).toBe(true)
  })

  test('has nothing to do with a question that somebody has written', () => {
    model.text.value = 'Tabs?'
    model.prefill('Tea or coffee?')
    expect(model.draft.text).toBe('Tabs?')
    expect(model.isPostText.value).toBe(false)
  })

  test('stays in the post when the question becomes another one', () => {
    model.prefill('Tea or coffee?')
    model.text.value = 'Tea, coffee or milk?'
    expect(model.isPostText.value).toBe(false)
    model.prefill('Tea or coffee?')
    expect(model.draft.text).toBe('Tea, coffee or milk?')
    // Spaces around it are nobody's words.
    model.text.value = ' Tea or coffee? '
    expect(model.isPostText.value).toBe(true)
  })

  test('of another post, which has none, does not take the question away', () => {
    model.prefill('Tea?')
    model.prefill('')
    expect(model.draft.text).toBe('Tea?')
    expect(model.isPostText.value).toBe(false)
  })

  test.each([
    ['🙂'.repeat(75), true],
    [`${'🙂'.repeat(75)}!`, false],
  ])('%s: is it short enough for a question? %s', (text, fits) => {
    model.prefill(text)
    expect(model.draft.text).toBe(fits ? text : '')
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

const published = () => {
  expect(model.publish()).toBe(true)
  const { act } = sent.at(-1) as ToEngine & { type: 'act' }
  return (act as { draft: unknown }).draft
}

/** As the input has it: local time. */
const local = (time: number) => {
  const it = new Date(time)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${it.getFullYear()}-${two(it.getMonth() + 1)}-${two(it.getDate())}T${two(it.getHours())}:${two(it.getMinutes())}`
}

describe('how long a poll goes on, and how many options a person may choose', () => {
  const HOUR = 3_600_000
  const now = Date.parse('2026-11-25T12:00:00.000Z')
  const iso = (time: number) => new Date(time).toISOString()

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now })
    onTestFinished(() => void vi.useRealTimers())
    write('Tea?', 'Yes', 'No')
  })

  test('is for ever and one, and nothing is written of it, unless somebody says so', () => {
    expect(published()).toEqual({ text: 'Tea?', options: ['Yes', 'No'] })
    model.multiple.value = true
    model.endAt(HOUR)
    expect(published()).toEqual({
      text: 'Tea?',
      options: ['Yes', 'No'],
      endsAt: iso(now + HOUR),
      multiple: true,
    })
    expect(fitsLexicon()).toBe(true)
    model.multiple.value = false
    model.endAt('never')
    expect(published()).toEqual({ text: 'Tea?', options: ['Yes', 'No'] })
  })

  test.each(LASTS)('%i ms from the click, and not from opening the editor, by the server’s clock', (ms) => {
    model.endAt(ms)
    vi.setSystemTime(now + 5 * HOUR)
    expect(published()).toMatchObject({ endsAt: iso(now + 5 * HOUR + ms) })
    connection.value = { online: true, since: 0, ahead: -2 * HOUR }
    expect(published()).toMatchObject({ endsAt: iso(now + 3 * HOUR + ms) })
  })

  test('ends at a date, which begins where the poll would end', () => {
    model.endAt('date')
    expect(model.endDate.value).toBe(local(now + 24 * HOUR))
    model.endDate.value = ''
    model.endAt(3 * 24 * HOUR)
    model.endAt('date')
    expect(model.endDate.value).toBe(local(now + 72 * HOUR))
    model.endDate.value = local(now + 7 * HOUR)
    // What somebody has chosen is still there when they come back to it.
    model.endAt('never')
    model.endAt('date')
    expect(published()).toMatchObject({ endsAt: iso(now + 7 * HOUR) })
    expect(fitsLexicon()).toBe(true)
  })

  test.each([
    ['no date', '', 'noDate'],
    ['this minute', local(now), 'past'],
    ['long ago', '0001-01-01T00:00', 'past'],
    ['in a minute', local(now + 60_000), undefined],
    ['the last day that can be written', '9999-12-30T12:00', undefined],
    ['a year of five digits', '10000-01-02T12:00', 'tooFar'],
  ])('%s', (_, date, expected) => {
    model.endAt('date')
    model.endDate.value = date
    expect(model.problems).toEqual(expected ? [{ field: 'end', name: expected }] : [])
    expect(model.publish()).toBe(expected === undefined)
    expect(model.previewed(String, '?').endsAt !== undefined).toBe(expected === undefined)
    expect(fitsLexicon()).toBe(true)
  })

  test('a date that passes while somebody writes is past, by the server’s clock', () => {
    model.endAt('date')
    model.endDate.value = local(now + HOUR)
    expect(model.problems).toEqual([])
    connection.value = { online: true, since: 0, ahead: 30 * 60_000 }
    vi.setSystemTime(now + HOUR / 2)
    expect(model.publish()).toBe(false)
    const { tried } = model
    expect(tried.value).toBe(now + HOUR / 2)
    // Whoever tries again is told again.
    vi.setSystemTime(now + HOUR)
    expect(model.publish()).toBe(false)
    expect(tried.value).toBe(now + HOUR)
    expect(sent).toEqual([])
  })

  test('the preview has what is chosen, and the time that it says is the one that was chosen', () => {
    model.multiple.value = true
    model.endAt(HOUR)
    const { endsAt, multiple, voters } = model.previewed(String, '?')
    expect([multiple, voters]).toEqual([true, 0])
    vi.setSystemTime(now + 20)
    model.preview.receive({ type: 'poll', uri: '', poll: model.previewed(String, '?'), tally: 'live' })
    expect(Date.parse(endsAt!) - Date.now()).toBeGreaterThanOrEqual(HOUR)
    expect(model.preview.left.value).toBeGreaterThanOrEqual(HOUR)
  })

  describe('of a poll that is changed', () => {
    const endsAt = '2026-11-27T12:00:30.500Z'
    const open: PollView = { ...poll, endsAt, multiple: true, voters: 2 }
    const rest = { options: ['Yes', 'No'], createdAt: poll.createdAt }

    test('are shown, and stay as they are where only the text is changed', () => {
      model = create(open)
      expect([model.end.value, model.endDate.value, model.multiple.value]).toEqual([
        'date',
        local(Date.parse(endsAt)),
        true,
      ])
      model.text.value = 'Tea now?'
      expect(model.willSayEdited.value).toBe(false)
      expect(model.previewed(String, '?')).toMatchObject({ endsAt, multiple: true, voters: 2, edited: false })
      expect(published()).toEqual({ text: 'Tea now?', ...rest })
      // Whoever looks at what there is and comes back has changed nothing.
      model.endAt('never')
      model.endAt('date')
      model.multiple.value = false
      model.multiple.value = true
      expect(published()).toEqual({ text: 'Tea now?', ...rest })
    })

    test('say what will become of its votes', () => {
      model = create(open)
      model.endAt('never')
      expect([model.willSayEdited.value, model.willLoseVotes.value]).toEqual([true, false])
      expect(model.previewed(String, '?')).toMatchObject({ edited: true })
      expect(published()).toEqual({ text: 'Tea?', ...rest, endsAt: null })
      model.endAt(HOUR)
      expect(published()).toEqual({ text: 'Tea?', ...rest, endsAt: iso(now + HOUR) })
      model.multiple.value = false
      // Whoever chose several has no vote then.
      expect([model.willSayEdited.value, model.willLoseVotes.value]).toEqual([true, true])
      expect(published()).toMatchObject({ multiple: false })
      model = create({ ...open, total: 0, voters: 0 })
      model.endAt('never')
      model.multiple.value = false
      expect([model.willSayEdited.value, model.willLoseVotes.value]).toEqual([false, false])
    })

    test('may have ended, and is opened again; a date from before it was made is refused', () => {
      model = create({ ...open, endsAt: '2026-11-24T00:00:00.000Z' })
      model.text.value = 'Tea, then?'
      expect(published()).toEqual({ text: 'Tea, then?', ...rest })
      model.endDate.value = local(now - HOUR)
      expect(model.problems).toEqual([{ field: 'end', name: 'past' }])
      model.endDate.value = local(now + HOUR)
      expect(published()).toMatchObject({ endsAt: iso(now + HOUR) })
      // Its author's clock was wrong.
      model = create({ ...poll, createdAt: iso(now + 2 * HOUR) })
      model.endAt(HOUR)
      expect(model.problems).toEqual([{ field: 'end', name: 'beforeStart' }])
    })
  })
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
