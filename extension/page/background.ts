/** The port to the background, opened again whenever the browser has let the background sleep. */
import { browser, type Browser } from 'wxt/browser'
import { KEEPALIVE, PORT, type ToBackground, type ToContent } from '../messages.ts'

const RECONNECT = 250

export type Background = { send: (message: ToBackground) => void }

/**
 * @param onMessage gets every message
 * @param onConnect called on each new connection: the background has forgotten everything
 * @param onInvalidated the extension was updated or removed: this script is a remainder of it
 */
export function connectBackground(
  onMessage: (message: ToContent) => void,
  onConnect: () => void,
  onInvalidated: () => void,
  signal: AbortSignal,
): Background {
  let port: Browser.runtime.Port | undefined
  const connect = () => {
    if (signal.aborted) return
    if (!browser.runtime?.id) return onInvalidated()
    port = browser.runtime.connect({ name: PORT })
    port.onMessage.addListener(onMessage)
    port.onDisconnect.addListener(() => {
      port = undefined
      setTimeout(connect, RECONNECT)
    })
    onConnect()
  }
  connect()
  const keepalive = setInterval(() => {
    if (document.visibilityState === 'visible') port?.postMessage({ type: 'keepalive' })
  }, KEEPALIVE)
  signal.addEventListener('abort', () => {
    clearInterval(keepalive)
    port?.disconnect()
  })
  return { send: (message) => port?.postMessage(message) }
}
