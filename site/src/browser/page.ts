/** A page with polls: each is taken over from what the server drew, then what works for them is loaded. */
import { Click } from '@pollz/widget/click'
import { draw } from '@pollz/widget/draw.tsx'
import type { PageAccount, ToEngine, ToPage } from '@pollz/shared/engine'
import { connectPolls } from '@pollz/widget/polls'
import { SITE } from '@pollz/shared/network'
import { signal as createSignal } from '@preact/signals'
import { h } from 'preact'
import { textsOf } from '../texts.ts'
import { Account } from './Account.tsx'
import { followAuthor } from './author.ts'
import { followFirstVote } from './firstVote.ts'
import { followLists } from './lists.ts'
import { mountPolls } from './mount.ts'
import { state } from './state.ts'

const { publicUrl, language, messages, hosts } = state
const texts = textsOf(messages, language)
const { signal } = new AbortController()
const account = createSignal<PageAccount | undefined>(undefined)

const followVote = followFirstVote()
let hear: (message: ToPage) => void = () => {}
const engine = import('./engine.ts').then(({ startEngine }) =>
  startEngine(
    (message) => {
      if ('act' in message && message.act.type === 'signIn') signingIn.receive(message)
      else {
        followVote(message)
        hear(message)
      }
    },
    (person) => {
      if (person?.did !== account.peek()?.did) account.value = person
    },
    signal,
  ),
)
const send = (message: ToEngine) => {
  // A session belongs to the origin that started it, and a PDS leads back to the public one alone.
  if (message.type === 'act' && location.origin !== publicUrl)
    location.assign(new URL(location.pathname, publicUrl))
  else void engine.then(({ receive }) => receive(message))
}
const signingIn = new Click({ send, account })

const polls = connectPolls(
  ({ onMessage }) => {
    hear = onMessage
    // As it was drawn: with its results, which are in the page's picture and description too.
    hear({
      type: 'settings',
      hosts,
      server: publicUrl,
      on: true,
      resultsFirst: true,
      hasVoted: true,
      knowsSignIn: true,
    })
    return send
  },
  account,
  SITE,
  () => {},
  signal,
)
const mounted = mountPolls(polls, texts)
followLists(mounted, texts, signal)
followAuthor(account, async (did) => (await engine).made(did), texts)

const chart = document.getElementById('chart')
const { history } = state
if (chart && history) {
  const [uri] = Object.keys(state.polls)
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return
    observer.disconnect()
    void import('./chart.tsx').then(({ followChart }) =>
      followChart(chart, polls.model(uri!), texts, history),
    )
  })
  observer.observe(chart)
}

// In the reader's own time zone, which the server can't know.
// A day is one of UTC.
for (const time of document.querySelectorAll<HTMLTimeElement>('time:not([data-day])'))
  time.textContent = texts.date(time.dateTime)

const header = document.getElementById('account')!
const signOut = (did: string) => void engine.then((it) => it.signOut(did))
draw(header.attachShadow({ mode: 'open' }), h(Account, { account, click: signingIn, signOut }), texts)
