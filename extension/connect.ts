/** Port to the background, reopened after the worker sleeps; and requests. */
import { browser, type Browser } from 'wxt/browser'
import type { ToEngine } from '@pollz/shared/engine'
import type { Connection } from '@pollz/widget/polls'
import { createTexts } from '@pollz/widget/texts'
import { KEEPALIVE, PORT, type Ask, type PageAnswer, type PageAsk, type Requests } from './requests.ts'

const RECONNECT = 250

/** The texts of this browser's language. */
export const browserTexts = () =>
  createTexts(
    // WXT's own types know only files that are in its public folder.
    (key, values) => browser.i18n.getMessage(key as Parameters<typeof browser.i18n.getMessage>[0], values),
    browser.i18n.getUILanguage(),
  )

/**
 * @param onInvalidated the extension was updated or removed: this script is orphaned
 * @returns what sends a message
 */
export function connectBackground(
  { wanted, onMessage, onConnect }: Connection,
  onInvalidated: () => void,
  signal: AbortSignal,
): (message: ToEngine) => void {
  let port: Browser.runtime.Port | undefined
  // A browser that starts may load pages before the background.
  let heard = false
  const connect = () => {
    if (signal.aborted || port) return
    if (!browser.runtime?.id) return onInvalidated()
    port = browser.runtime.connect({ name: PORT })
    port.onMessage.addListener((message: unknown) => {
      heard = true
      onMessage(message)
    })
    port.onDisconnect.addListener(() => {
      port = undefined
      if (!browser.runtime?.id) return onInvalidated()
      if (!heard || wanted()) setTimeout(connect, RECONNECT)
    })
    onConnect()
  }
  connect()
  const keepalive = setInterval(() => {
    if (wanted()) port?.postMessage({ type: 'keepalive' })
  }, KEEPALIVE)
  // Settings may have changed while nobody listened.
  addEventListener('focus', connect, { signal })
  // A page that comes back from the back-forward cache has a port that leads nowhere, and may not say so.
  addEventListener(
    'pageshow',
    ({ persisted }) => {
      if (!persisted) return
      port?.disconnect()
      port = undefined
      connect()
    },
    { signal },
  )
  signal.addEventListener('abort', () => {
    clearInterval(keepalive)
    port?.disconnect()
  })
  return (message) => {
    connect()
    port?.postMessage(message)
  }
}

/** Asks the background something; only the extension's own pages may. */
export function ask<T extends keyof Requests>(
  type: T,
  what: Requests[T]['ask'],
): Promise<Requests[T]['answer']> {
  return browser.runtime.sendMessage({ type, ...what } as Ask)
}

/** Asks the content script of a tab. A page that has none, because it is still loading, has nothing to say. */
export function askPage(tab: number): Promise<PageAnswer> {
  const what: PageAsk = { type: 'unplaced' }
  return browser.tabs.sendMessage<PageAsk, PageAnswer>(tab, what).catch(() => ({ unplaced: 0 }))
}
