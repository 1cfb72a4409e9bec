/** Runs in the page: the real widget in every state that it has, on models that were told what leads there. */
import { signal } from '@preact/signals'
import { composeUrl } from '@pollz/shared/network'
import type { PollView } from '@pollz/shared/wire'
import type { Act, ActMessage, Check, PageAccount, PollMessage, ToPage } from '@pollz/shared/engine'
import {
  drawComposerButton,
  drawEditor,
  drawEditorDialog,
  drawLink,
  drawPoll,
  drawUncounted,
} from '@pollz/widget/draw.tsx'
import { EditorModel } from '@pollz/widget/editor'
import { PollModel, type ShownPost, type Surroundings } from '@pollz/widget/model'
import { createTexts, type Key, type Texts } from '@pollz/widget/texts'
import de from '@pollz/widget/locales/de/messages.json'
import en from '@pollz/widget/locales/en/messages.json'
import ja from '@pollz/widget/locales/ja/messages.json'

const locales = { de, en, ja }

export const alice: PageAccount = { did: 'did:plc:aliceaaaaaaaaaaaaaaaaaaa', handle: 'alice.example' }
export const uri = 'at://did:plc:bobbbbbbbbbbbbbbbbbbbbbb/tech.waow.poll/3kabc'
const noon = Date.parse('2026-11-24T12:00:00Z')

function poll(text: string, options: [string, number][], more: Partial<PollView> = {}): PollView {
  return {
    uri,
    repo: 'did:plc:bobbbbbbbbbbbbbbbbbbbbbb',
    rkey: '3kabc',
    handle: 'bob.example',
    text,
    options: options.map(([it, count]) => ({ text: it, count })),
    total: options.reduce((sum, [, count]) => sum + count, 0),
    createdAt: '2026-11-23T20:15:00.000Z',
    edited: false,
    version: 1,
    ...more,
  }
}

export const tabs = poll('Tabs or spaces?', [
  ['Tabs', 1204],
  ['Spaces', 3977],
  ['Whatever the formatter says', 811],
])

/** Of the one who reads. */
const mine: PollView = { ...tabs, uri: `at://${alice.did}/tech.waow.poll/3kabc`, repo: alice.did }

type Setting = {
  messages?: ToPage[]
  /** What somebody does then. */
  act?: (model: PollModel) => void
  /** The option that somebody clicks then. */
  click?: string
  loggedOut?: boolean
  hasVoted?: boolean
  /** polls that somebody will be told the end of */
  reminders?: ReadonlySet<string>
  knowsSignIn?: boolean
  offline?: boolean
  /** whoever else is asked for votes */
  second?: string
  language?: keyof typeof locales
  /** That it stands in. */
  post?: ShownPost
  /** What is drawn instead of the poll. */
  instead?: (root: ShadowRoot, texts: Texts, around: Surroundings) => void
}

function editor(around: Surroundings, edited?: PollView): EditorModel {
  return new EditorModel(around, around, () => {}, edited)
}

const shown = (it: PollView): ToPage => ({ type: 'poll', uri, poll: it, tally: 'live' })
const own = (option: number | null): ToPage => ({ type: 'own', uri, voter: alice, option })
const vote: Act = { type: 'vote', uri, option: 1 }
const refused = (reason: (ToPage & { type: 'refused' })['reason']): ToPage => ({
  type: 'refused',
  id: 'x',
  act: vote,
  reason,
})
const missing = (error: string): ToPage => ({ type: 'missing', uri, error })
const person = (name: string, option: number) => ({
  voter: `did:plc:${name}`,
  handle: `${name}.example`,
  option,
  uri: `at://did:plc:${name}/tech.waow.vote/1`,
  createdAt: '2026-11-23T20:20:00.000Z',
})
const voters = (votes: ReturnType<typeof person>[], cursor?: string): ToPage => ({
  type: 'voters',
  uri,
  votes,
  cursor,
  author: undefined,
})

/** By this machine's clock. */
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()

const several: PollView = { ...tabs, multiple: true, voters: Math.ceil(tabs.total * 0.75) }

const asking: ShownPost = { rkey: '3kpost', text: tabs.text, asks: true }

const following = (on: boolean, ...people: [string, number[]][]): ToPage => ({
  type: 'following',
  uri,
  voter: alice.did,
  on,
  people: people.map(([name, options]) => ({
    did: `did:plc:${name}`,
    handle: `${name}.example`,
    options,
  })),
})
const check = (it: Check): ToPage => ({ type: 'check', uri, check: it })
const checked = (change: Partial<Check & { name: 'done' }>): ToPage =>
  check({
    name: 'done',
    at: Date.now() - 12 * 60_000,
    verdict: 'right',
    here: false,
    listed: 5992,
    proved: 5992,
    counts: tabs.options.map(({ count }) => count),
    voters: 5992,
    findings: [],
    doubts: [],
    found: 0,
    doubted: 0,
    ...change,
  })
const voteOf = (name: string) => `at://did:plc:${name}/tech.waow.vote/1`
const withDetails = (...messages: ToPage[]): Setting => ({
  messages: [shown(tabs), own(1)],
  act: (model) => {
    model.toggleVoters()
    for (const it of [voters([person('carol', 1), person('dan', 2)]), ...messages]) model.receive(it as never)
  },
})
const wrong = checked({
  verdict: 'wrong',
  proved: 5990,
  findings: [
    { fault: 'added', uri: voteOf('nobody') },
    { fault: 'changed', uri: voteOf('carol') },
    { fault: 'sum', uri },
  ],
  doubts: [
    { why: 'unreachable', uri: voteOf('dan') },
    { why: 'signature', uri: voteOf('erin') },
  ],
  found: 3,
  doubted: 14,
})

const settings: Record<string, Setting> = {
  loading: {},
  'before the first vote ever': { messages: [shown(tabs)], hasVoted: false },
  'what the first click does': { messages: [shown(tabs)], hasVoted: false, click: 'Spaces' },
  'first click, nobody logged in': {
    messages: [shown(tabs), { type: 'whoAreYou', id: 'x', act: vote }],
    hasVoted: false,
    loggedOut: true,
  },
  open: { messages: [shown(tabs)] },
  'results asked for': { messages: [shown(tabs)], act: (model) => (model.asked.value = true) },
  voting: {
    messages: [shown(tabs)],
    act: (model) => {
      model.vote([1])
      const phase = model.click.phase.peek()
      if (phase.name === 'busy')
        model.receive({ type: 'accepted', id: phase.id, act: phase.act, signedIn: true })
    },
  },
  voted: { messages: [shown(tabs), own(1)] },
  changing: { messages: [shown(tabs), own(1)], act: (model) => model.vote([0]) },
  leading: { messages: [shown(tabs), own(0)] },
  'it ends in two hours': { messages: [shown({ ...tabs, endsAt: inHours(2.5) })] },
  'told when it ends': {
    messages: [shown({ ...tabs, endsAt: inHours(2.5) })],
    reminders: new Set([uri]),
  },
  'may be told when it ends': {
    messages: [shown({ ...tabs, endsAt: inHours(2.5) })],
    reminders: new Set(),
  },
  'it ends in days': { messages: [shown({ ...tabs, endsAt: inHours(50) })] },
  'the result can be checked': withDetails(),
  'people one follows, not asked for': withDetails(following(false)),
  'people one follows': withDetails(following(true, ['carol', [1]], ['dan', [2]], ['erin', [1]])),
  'people one follows, in Japanese': {
    ...withDetails(following(true, ['carol', [1]], ['dan', [2]])),
    language: 'ja',
  },
  'nobody whom one follows': withDetails(following(true)),
  'the result is being checked': withDetails(check({ name: 'running', done: 1204, of: 5992 })),
  'the result is right': withDetails(checked({})),
  'the result is wrong': withDetails(wrong),
  'the result is wrong, in German': { ...withDetails(wrong), language: 'de' },
  'the result is wrong, in Japanese': { ...withDetails(wrong), language: 'ja' },
  'nobody can tell whether it is right': withDetails(
    checked({
      verdict: 'unknown',
      proved: 5990,
      doubts: [{ why: 'perhapsLate', uri: voteOf('carol') }],
      doubted: 1,
      secondFailed: 'https://second.example does not answer',
    }),
  ),
  'the check could not be done': withDetails(
    check({ name: 'failed', detail: 'https://pollz.example does not answer' }),
  ),
  'counted by this browser': {
    messages: [shown(tabs), checked({ here: true, at: noon + 240_000, counts: [1, 2, 3], voters: 6 })],
    offline: true,
    second: 'https://constellation.example',
  },
  'votes may be missing': { messages: [shown({ ...tabs, incomplete: true }), own(0)] },
  'the server has lost its database': {
    messages: [shown({ ...tabs, asOf: '2026-01-01T12:04:00.000Z' }), own(0)],
  },
  'several to choose': { messages: [shown(several)] },
  'several ticked': {
    messages: [shown(several)],
    act: (model) => {
      model.tick(0)
      model.tick(1)
    },
  },
  'several voted': {
    messages: [shown(several), { type: 'own', uri, voter: alice, option: 0, options: [0, 1] }],
  },
  'its question is its post’s text': {
    messages: [shown({ ...tabs, post: 'at://did:plc:bobbbbbbbbbbbbbbbbbbbbbb/app.bsky.feed.post/3kpost' })],
    post: asking,
  },
  'loading in the post that asks it': { post: asking },
  'no question that could be read': { messages: [shown({ ...tabs, text: '' })] },
  'a tie': {
    messages: [
      shown(
        poll('Tea or coffee?', [
          ['Tea', 12],
          ['Coffee', 12],
          ['Water', 3],
        ]),
      ),
      own(0),
    ],
  },
  'nobody has voted': {
    messages: [
      shown(
        poll('Tea or coffee?', [
          ['Tea', 0],
          ['Coffee', 0],
        ]),
      ),
    ],
    act: (model) => (model.asked.value = true),
  },
  edited: { messages: [shown({ ...tabs, edited: true }), own(2)] },
  ended: { messages: [shown({ ...tabs, endsAt: '2026-11-23T22:00:00Z' }), own(1)] },
  'one’s own, ended': { messages: [shown({ ...mine, endsAt: '2026-11-23T22:00:00Z' })] },
  deleted: { messages: [shown(tabs), missing('PollNotFound')] },
  'account not active': { messages: [missing('RepoInactive')] },
  'hidden by the server': { messages: [missing('Hidden')] },
  'cannot be loaded': { messages: [missing('UpstreamFailure')] },
  'server away, last tally known': { messages: [shown(tabs), own(1)], offline: true },
  'server away, tally unknown': {
    messages: [{ type: 'poll', uri, poll: { ...tabs, total: 0 }, tally: 'unknown' }],
    offline: true,
  },
  'signing in': { messages: [shown(tabs), { type: 'signingIn', id: 'x', act: vote, as: 'alice.example' }] },
  'nobody logged in': {
    messages: [shown(tabs), { type: 'whoAreYou', id: 'x', act: vote }],
    loggedOut: true,
  },
  'nobody logged in, but somebody voted here': {
    messages: [shown(tabs), { type: 'whoAreYou', id: 'x', act: vote, last: alice }],
    loggedOut: true,
  },
  offline: { messages: [shown(tabs), refused({ name: 'offline' })] },
  'account’s server away': { messages: [shown(tabs), refused({ name: 'unreachable' })] },
  'server away': { messages: [shown(tabs), refused({ name: 'serverAway' })] },
  fault: { messages: [shown(tabs), refused({ name: 'fault', detail: 'QuotaExceededError' })] },
  refused: { messages: [shown(tabs), refused({ name: 'refused', detail: 'Account is deactivated' })] },
  'another account than the page’s': {
    messages: [shown(tabs), refused({ name: 'otherAccount', as: 'carol.example' })],
  },
  details: {
    messages: [shown(tabs), own(1)],
    act: (model) => {
      model.toggleVoters()
      const { did, handle } = alice
      const mine = { ...person('x', 1), voter: did, handle: handle! }
      model.receive(
        voters([mine, person('carol', 0), person('a-rather-long-handle.of-somebody', 2)], '4') as never,
      )
    },
  },
  'details of nobody': {
    messages: [
      shown(
        poll('Tea or coffee?', [
          ['Tea', 0],
          ['Coffee', 0],
        ]),
      ),
    ],
    act: (model) => {
      model.toggleVoters()
      model.receive(voters([]) as never)
    },
  },
  'ten long options': {
    messages: [
      shown(
        poll(
          'Which of these, all things considered and none of them left out, would you rather see in the next release, knowing that only one can be in it?',
          Array.from({ length: 10 }, (_, i) => [
            `Number ${i + 1}, which is described at such length that it goes over more than a single line here`.slice(
              0,
              60 + i * 4,
            ),
            i * i * 37,
          ]),
        ),
      ),
      own(7),
    ],
  },
  'emoji and one long word': {
    messages: [
      shown(
        poll('🎉🎊?', [
          ['👩‍👩‍👧‍👦'.repeat(3), 5],
          ['🙂'.repeat(25), 3],
          ['Donaudampfschifffahrtsgesellschaft'.repeat(2), 1],
        ]),
      ),
      own(0),
    ],
  },
  'right to left': {
    messages: [
      shown(
        poll('ما هو أفضل مشروب؟', [
          ['قهوة', 7],
          ['شاي بالنعناع', 12],
        ]),
      ),
      own(1),
    ],
  },
  'Chinese, Japanese, Korean': {
    messages: [
      shown(
        poll('朝ごはんは何を食べますか？', [
          ['ごはんと味噌汁', 40],
          ['面包和牛奶', 12],
          ['아침은 안 먹어요', 9],
        ]),
      ),
      own(0),
    ],
    language: 'ja',
  },
  German: { messages: [shown(tabs)], hasVoted: false, language: 'de' },
  'one’s own': { messages: [shown(mine)] },
  'managing one’s own': { messages: [shown(mine)], act: (model) => (model.managing.value = 'open') },
  'about to delete it': {
    messages: [shown(mine)],
    act: (model) => (model.managing.value = 'deleting'),
  },
  'not deleted': {
    messages: [
      shown(mine),
      { type: 'refused', id: 'x', act: { type: 'delete', uri }, reason: { name: 'unreachable' } },
    ],
  },
  'editing it': {
    messages: [shown(mine)],
    act: (model) => {
      model.edit()
      model.editing.value!.move(0, 1)
    },
  },
  'editing one that ends, with several to choose': {
    messages: [shown({ ...several, uri: mine.uri, repo: mine.repo, endsAt: '2038-01-19T03:14:07.000Z' })],
    act: (model) => {
      model.edit()
      model.editing.value!.multiple.value = false
    },
  },
  'a new poll': { instead: (root, texts, around) => drawEditor(root, editor(around), texts, () => {}) },
  'a new poll, over a composer': {
    instead: (root, texts, around) => drawEditorDialog(root, editor(around), texts, () => {}),
  },
  'a new poll, its question from the post': {
    instead: (root, texts, around) => {
      const model = editor(around)
      model.prefill('What do you think: tabs or spaces?')
      drawEditorDialog(root, model, texts, () => {})
    },
  },
  'a poll with much wrong': {
    instead: (root, texts, around) => {
      const model = editor(around)
      model.text.value = '🙂'.repeat(76)
      for (const option of ['Tabs', 'x'.repeat(95), 'é'.repeat(60), 'Tabs']) model.add(option)
      model.publish()
      drawEditor(root, model, texts, () => {})
    },
  },
  'publishing it': {
    instead: (root, texts, around) => {
      const model = editor(around, mine)
      model.publish()
      drawEditor(root, model, texts)
    },
  },
  'not published': {
    instead: (root, texts, around) => {
      const model = editor(around, mine)
      const act: Act = { type: 'publish', rkey: model.rkey, draft: model.draft }
      model.receive({
        type: 'refused',
        id: 'x',
        act,
        reason: { name: 'refused', detail: 'Account is deactivated' },
      })
      drawEditor(root, model, texts, () => {})
    },
  },
  'a new poll that ends, with several to choose': {
    instead: (root, texts, around) => {
      const model = editor(around)
      model.text.value = 'Which days suit you?'
      model.write(0, 'Friday')
      model.write(1, 'Saturday')
      model.multiple.value = true
      model.endAt(3 * 24 * 3_600_000)
      drawEditorDialog(root, model, texts, () => {})
    },
  },
  'a new poll that ends at a date': {
    instead: (root, texts, around) => {
      const model = editor(around)
      model.text.value = 'Which day suits you?'
      model.write(0, 'Friday')
      model.write(1, 'Saturday')
      model.endAt('date')
      model.endDate.value = '2038-01-19T03:14'
      drawEditor(root, model, texts, () => {})
    },
  },
  'a new poll whose end has passed': {
    instead: (root, texts, around) => {
      const model = editor(around)
      model.text.value = 'Which day suits you?'
      model.write(0, 'Friday')
      model.write(1, 'Saturday')
      model.endAt('date')
      model.endDate.value = '2026-01-19T03:14'
      model.publish()
      drawEditor(root, model, texts, () => {})
    },
  },
  'a new poll in German': {
    language: 'de',
    instead: (root, texts, around) => drawEditor(root, editor(around), texts, () => {}),
  },
  'a link that was not put in': {
    instead: (root, texts) => drawLink(root, 'https://pollz.example/poll/bob.example/3kabc', texts, () => {}),
  },
  'a poll that can’t be counted here': {
    instead: (root, texts) => drawUncounted(root, 'https://poll.blue/p/3kabc', texts),
  },
  'the composer’s button': { instead: (root, texts) => drawComposerButton(root, texts, () => {}) },
}

export const names = Object.keys(settings)

/** The option that somebody has to click for a state: a script’s clicks do nothing. */
export const clicked = (name: string) => settings[name]!.click

let drawn: PollModel | undefined

/** Tells the model of the widget that is drawn something more. */
export function tell(message: PollMessage | ActMessage): void {
  drawn!.receive(message)
}

/** Puts the widget in a state into the page, alone, as it stands in a post. */
export function draw(name: string, theme: string): void {
  const setting = settings[name]!
  document.documentElement.className = `theme--${theme}`
  const connection = signal({ online: true, since: 0 })
  const around: Surroundings = {
    send: () => {},
    account: signal(setting.loggedOut ? undefined : alice),
    connection,
    resultsFirst: signal(false),
    hasVoted: signal(setting.hasVoted ?? true),
    knowsSignIn: signal(setting.knowsSignIn ?? setting.hasVoted ?? true),
    linkTo: () => 'https://pollz.example/poll/bob.example/3kabc',
    profileOf: (it) => `https://bsky.app/profile/${it}`,
    resultLink: () => 'https://pollz.example/poll/bob.example/3kabc',
    compose: (it) => composeUrl(it),
    reminders: signal(setting.reminders),
    second: signal(setting.second ?? ''),
  }
  const model = new PollModel(uri, around)
  drawn = model
  for (const message of setting.messages ?? []) model.receive(message as never)
  if (setting.offline) connection.value = { online: false, since: noon }
  setting.act?.(model)
  const host = document.createElement('div')
  host.setAttribute('data-theme', theme)
  const messages: Record<Key, { message: string }> = locales[setting.language ?? 'en']
  const texts = createTexts(
    (key, values) => messages[key].message.replace(/\$(\d)/g, (_, i) => values[Number(i) - 1] ?? ''),
    setting.language ?? 'en-GB',
  )
  // A form takes the focus when it is drawn.
  document.querySelector('main > div')!.replaceWith(host)
  const root = host.attachShadow({ mode: 'open' })
  if (setting.instead) setting.instead(root, texts, around)
  else drawPoll(root, model, texts, setting.post)
}
