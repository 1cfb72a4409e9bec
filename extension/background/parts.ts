/** All that works for one companion server, joined: made anew when another server is chosen. */
import { isLoopback } from '@pollz/shared/links'
import type { ToBackground } from '../messages.ts'
import { Accounts } from './accounts.ts'
import { Live } from './live.ts'
import { Repos } from './repos.ts'
import { openServerDb } from './storage.ts'
import type { Port, Tabs } from './tabs.ts'
import { Votes } from './votes.ts'

export type Parts = {
  accounts: Accounts
  live: Live
  votes: Votes
  receive: (port: Port, message: ToBackground) => void
}

/** @param voted called after each vote that was cast */
export function createParts(
  server: string,
  network: { plc: string; handleResolver: string },
  tabs: Tabs,
  voted: () => void,
  signal: AbortSignal,
): Parts {
  const db = openServerDb(server)
  signal.addEventListener('abort', () => void db.then((it) => it.close()))
  const repos = new Repos({ ...network, allowHttp: isLoopback(new URL(server).hostname) })
  const accounts = new Accounts(
    server,
    repos,
    db,
    (did, intent) => void votes.signedIn(did, intent),
    (intent, reason) => votes.refuse(intent, reason),
  )
  const live = new Live(server, tabs, repos, db, signal)
  const votes = new Votes({ server, accounts, live, repos, tabs, voted })

  const receive = (port: Port, message: ToBackground) => {
    switch (message.type) {
      case 'watch':
        live.watch(port, message.uri)
        void votes.showOwn(message.uri, message.account)
        return
      case 'unwatch':
        live.unwatch(port, message.uri)
        return
      case 'vote':
        void votes.vote(port, message)
        return
      case 'voters':
        void votes.showVoters(port, message.uri, message.cursor)
        return
      case 'keepalive':
        return
      default:
        message satisfies never
    }
  }
  return { accounts, live, votes, receive }
}
