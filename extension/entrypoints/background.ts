import { defineBackground } from 'wxt/utils/define-background'
import { browser } from 'wxt/browser'
import { pollHosts } from '@pollz/shared/families'
import { PORT, type ToBackground } from '../messages.ts'
import { Accounts } from '../background/accounts.ts'
import { Live } from '../background/live.ts'
import { Tabs } from '../background/tabs.ts'
import { Votes } from '../background/votes.ts'
import { DEFAULT_HANDLE_RESOLVER_URL, DEFAULT_PLC_URL, DEFAULT_SERVER_URL } from '../settings.ts'

export default defineBackground(() => {
  const server = import.meta.env['WXT_SERVER_URL'] ?? DEFAULT_SERVER_URL
  const accounts = new Accounts({
    server,
    plc: import.meta.env['WXT_PLC_URL'] ?? DEFAULT_PLC_URL,
    handleResolver: import.meta.env['WXT_HANDLE_RESOLVER_URL'] ?? DEFAULT_HANDLE_RESOLVER_URL,
  })
  const tabs = new Tabs()
  const live = new Live(server, tabs)
  const votes = new Votes({ server, accounts, live, tabs })

  // All listeners are added while the worker starts: it may have been woken for one of these events.
  browser.runtime.onConnect.addListener((port) => {
    if (port.name !== PORT) return
    tabs.add(port)
    port.postMessage({ type: 'hosts', hosts: pollHosts(server) })
    if (live.online !== undefined) port.postMessage({ type: 'connection', online: live.online })
    port.onMessage.addListener((message: ToBackground) => {
      switch (message.type) {
        case 'watch':
          live.watch(port, message.uri)
          void votes.showOwn(message.uri, message.voter)
          return
        case 'unwatch':
          live.unwatch(port, message.uri)
          return
        case 'vote':
          void votes.vote(message)
          return
        case 'keepalive':
          return
        default:
          message satisfies never
      }
    })
    port.onDisconnect.addListener(() => {
      tabs.remove(port)
      live.forget(port)
    })
  })

  accounts.onSignedIn((did, intent) => void votes.signedIn(did, intent))
  accounts.onGivenUp((intent, reason) => tabs.send(intent.uri, { type: 'refused', uri: intent.uri, reason }))
})
