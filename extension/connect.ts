/** The way to the background: a port, opened again whenever the browser has let the background sleep, and requests. */
import { browser, type Browser } from 'wxt/browser'
import { KEEPALIVE, PORT, type Ask, type Requests, type ToBackground, type ToContent } from './messages.ts'

const RECONNECT = 250

export type Connection = {
  /** Whether something is to be heard: if not, the background may sleep. */
  wanted: () => boolean
  onMessage: (message: ToContent) => void
  /** On each new connection: the background has forgotten everything. */
  onConnect: () => void
  /** The extension was updated or removed: this script is a remainder of it. */
  onInvalidated: () => void
}

/** @returns what sends a message */
export function connectBackground(
  { wanted, onMessage, onConnect, onInvalidated }: Connection,
  signal: AbortSignal,
): (message: ToBackground) => void {
  let port: Browser.runtime.Port | undefined
  // A browser that starts may load pages before the background.
  let heard = false
  const connect = () => {
    if (signal.aborted || port) return
    if (!browser.runtime?.id) return onInvalidated()
    port = browser.runtime.connect({ name: PORT })
    port.onMessage.addListener((message: ToContent) => {
      heard = true
      onMessage(message)
    })
    port.onDisconnect.addListener(() => {
      port = undefined
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
