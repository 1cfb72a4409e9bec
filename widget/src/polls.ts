/** The polls of one page: their models, fed by whoever works for it. */
import { batch, effect, signal as createSignal, type ReadonlySignal, type Signal } from '@preact/signals'
import { pollLink, pollPage } from '@pollz/shared/links'
import { composeUrl, profileUrl } from '@pollz/shared/network'
import type { PollView } from '@pollz/shared/wire'
import { EditorModel } from './editor.ts'
import { read, toPage, type PageAccount, type ToEngine, type ToPage } from '@pollz/shared/engine'
import { PollModel } from './model.ts'
import { resultLink } from './results.ts'

export type PageSettings = ToPage & { type: 'settings' }

export type Polls = {
  /** @param expectedOptions how many options it probably has */
  model: (uri: string, expectedOptions?: number) => PollModel
  /** The model that is there already. */
  known: (uri: string) => PollModel | undefined
  /**
   * For a new poll.
   *
   * @param done called with its at-uri, and its link
   */
  write: (done: (uri: string, link: string) => void) => EditorModel
  /** The link of a poll, with how many options it has: what shows it can leave room for them. */
  linkTo: (uri: string, options: number) => string
  /** Forgets a poll that nothing shows any more, once nothing is being done with it. */
  forget: (uri: string) => void
  /** Forgets all polls. */
  clear: () => void
}

export type Connection = {
  /** Whether something is to be heard: if not, the background may sleep. */
  wanted: () => boolean
  /** @param message is checked here */
  onMessage: (message: unknown) => void
  /** On each new connection: the background has forgotten everything. */
  onConnect: () => void
}

/**
 * @param connect to who works for this page; returns what sends a message
 * @param account that the page is using
 * @param site base URL of the site that has people's profiles
 * @param onSettings called first, and whenever a setting changes
 */
export function connectPolls(
  connect: (connection: Connection) => (message: ToEngine) => void,
  account: ReadonlySignal<PageAccount | undefined>,
  site: string,
  onSettings: (settings: PageSettings) => void,
  signal: AbortSignal,
): Polls {
  const models = new Map<string, PollModel>()
  /** Polls to forget. */
  const left = new Set<string>()
  const connection: Signal<{ online: boolean; since: number; ahead?: number }> = createSignal({
    online: true,
    since: 0,
  })
  const resultsFirst = createSignal(false)
  const hasVoted = createSignal(true)
  const knowsSignIn = createSignal(true)
  const reminders = createSignal<ReadonlySet<string> | undefined>(undefined)
  const second = createSignal('')
  let linkTo = (uri: string) => uri
  let pageOf = linkTo

  /** Polls that are being written or changed. */
  const editors = () => [
    ...(written ? [written] : []),
    ...[...models.values()].flatMap(({ editing }) => editing.value ?? []),
  ]
  let written: EditorModel | undefined

  const receive = (sent: unknown) => {
    const message = read(toPage, sent)
    if (!message) return
    if (message.type === 'settings') {
      const { hosts, server } = message
      linkTo = (uri) => pollLink(uri, hosts, server)
      pageOf = (uri) => pollPage(uri, hosts, server)
      batch(() => {
        resultsFirst.value = message.resultsFirst
        hasVoted.value = message.hasVoted
        knowsSignIn.value = message.knowsSignIn
        reminders.value = message.reminders && new Set(message.reminders)
        second.value = message.second ?? ''
      })
      onSettings(message)
    } else if (message.type === 'connection') {
      connection.value = message
      for (const model of models.values()) model.lookAtClock()
    } else if (!('act' in message)) models.get(message.uri)?.receive(message)
    else {
      const { act } = message
      if (act.type === 'publish') {
        const editor = editors().find(({ rkey }) => rkey === act.rkey)
        // A page that was left to sign in has no editor any more.
        const edited = [...models.values()].find(({ poll }) => poll.value?.rkey === act.rkey)
        ;(editor ?? edited)?.receive(message)
      } else if (act.type !== 'signIn') models.get(act.uri)?.receive(message)
    }
  }
  const send = connect({
    // Who is about to publish something is waited for too.
    wanted: () =>
      (written !== undefined && written.click.phase.value.name !== 'idle') ||
      [...models.values()].some((model) => model.watched || model.click.waiting),
    onMessage: receive,
    onConnect: () => {
      for (const model of models.values()) model.reconnected()
      written?.click.reconnected()
    },
  })
  const around = {
    send,
    account,
    connection,
    resultsFirst,
    hasVoted,
    knowsSignIn,
    linkTo: (uri: string) => linkTo(uri),
    profileOf: (person: string) => profileUrl(person, site),
    resultLink: (poll: PollView) => resultLink(pageOf(poll.uri), poll),
    compose: (text: string) => composeUrl(text, site),
    reminders,
    second,
  }

  // A tab in the background is out of sight.
  document.addEventListener(
    'visibilitychange',
    () => {
      const visible = document.visibilityState === 'visible'
      for (const model of models.values()) model.pageVisible(visible)
      if (visible && models.size > 0) send({ type: 'shown', account: account.peek() })
    },
    { signal },
  )
  let before = account.peek()?.did
  const endAccount = effect(() => {
    const did = account.value?.did
    if (did !== before) for (const model of models.values()) model.accountChanged()
    before = did
  })
  signal.addEventListener('abort', endAccount)

  return {
    model: (uri, expectedOptions) => {
      const known = models.get(uri) ?? new PollModel(uri, around, expectedOptions)
      models.set(uri, known)
      left.delete(uri)
      return known
    },
    known: (uri) => models.get(uri),
    write: (done) => {
      const model: EditorModel = new EditorModel({ send, account }, around, (uri) => {
        done(uri, withOptions(linkTo(uri), model.options.value.length))
        written = undefined
      })
      return (written = model)
    },
    linkTo: (uri, options) => withOptions(linkTo(uri), options),
    forget: (uri) => {
      left.add(uri)
      for (const it of left) {
        const model = models.get(it)
        if (
          model &&
          (model.click.phase.peek().name !== 'idle' || model.click.waiting || model.editing.peek())
        )
          continue
        models.delete(it)
        left.delete(it)
      }
    },
    clear: () => {
      models.clear()
      left.clear()
    },
  }
}

/** A hint in a link: whoever shows the poll can leave room for it before it is there. */
const withOptions = (link: string, options: number) => `${link}?options=${options}`
