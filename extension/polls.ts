/** The polls of one page, bsky.app's or the extension's own: their models, fed by the background. */
import { browser } from 'wxt/browser'
import { batch, effect, signal as createSignal, type ReadonlySignal } from '@preact/signals'
import { pollLink } from '@pollz/shared/links'
import { connectBackground } from './connect.ts'
import type { PageAccount, ToContent } from './messages.ts'
import { PollModel } from './widget/model.ts'
import { createTexts } from './widget/texts.ts'

export type PageSettings = ToContent & { type: 'settings' }

export type Polls = {
  /** @param expectedOptions how many options it probably has */
  model: (uri: string, expectedOptions?: number) => PollModel
  /** The model that is there already. */
  known: (uri: string) => PollModel | undefined
  /** Forgets them all. */
  clear: () => void
}

/** The texts of this browser's language. */
export const browserTexts = () =>
  createTexts((key, values) => browser.i18n.getMessage(key, values), browser.i18n.getUILanguage())

/**
 * @param account that the page is using
 * @param site base URL of the site that has people's profiles
 * @param onSettings called first, and whenever a setting changes
 * @param onInvalidated the extension was updated or removed: this page is a remainder of it
 */
export function connectPolls(
  account: ReadonlySignal<PageAccount | undefined>,
  site: string,
  onSettings: (settings: PageSettings) => void,
  onInvalidated: () => void,
  signal: AbortSignal,
): Polls {
  const models = new Map<string, PollModel>()
  const connection = createSignal({ online: true, since: 0 })
  const resultsFirst = createSignal(false)
  const hasVoted = createSignal(true)
  let linkTo = (uri: string) => uri

  const send = connectBackground(
    {
      wanted: () => [...models.values()].some((model) => model.watched),
      onMessage: (message) => {
        if (message.type === 'settings') {
          const { hosts, server } = message
          linkTo = (uri) => pollLink(uri, hosts, server)
          batch(() => {
            resultsFirst.value = message.resultsFirst
            hasVoted.value = message.hasVoted
          })
          onSettings(message)
        } else if (message.type === 'connection') connection.value = message
        else models.get(message.uri)?.receive(message)
      },
      onConnect: () => {
        for (const model of models.values()) model.reconnected()
      },
      onInvalidated,
    },
    signal,
  )
  const around = {
    send,
    account,
    connection,
    resultsFirst,
    hasVoted,
    linkTo: (uri: string) => linkTo(uri),
    profileOf: (person: string) => `${site}/profile/${person}`,
  }

  // A tab in the background is out of sight.
  document.addEventListener(
    'visibilitychange',
    () => {
      for (const model of models.values()) model.pageVisible(document.visibilityState === 'visible')
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
      return known
    },
    known: (uri) => models.get(uri),
    clear: () => models.clear(),
  }
}
