/** All that works for one companion server, joined: made anew when another server is chosen. */
import { isLoopback } from '@pollz/shared/links'
import type { ToBackground } from '@pollz/widget/messages'
import { Accounts, type OpenSignIn } from './accounts.ts'
import { Acts } from './acts.ts'
import { Api } from './api.ts'
import { Authored } from './authored.ts'
import { Live } from './live.ts'
import type { Pages, Port } from './pages.ts'
import { Repos } from './repos.ts'
import { openServerDb } from './storage.ts'
import { showVoters } from './voters.ts'
import { Votes } from './votes.ts'

export type Parts = {
  accounts: Accounts
  acts: Acts
  live: Live
  authored: Authored
  receive: (port: Port, message: ToBackground) => void
}

/**
 * @param network base URLs of what resolves DIDs and handles
 * @param openSignIn brings somebody to the authorize page of their PDS
 * @param voted called after each vote that was cast
 */
export function createParts(
  server: string,
  network: { plc: string; handleResolver: string },
  pages: Pages,
  openSignIn: OpenSignIn,
  voted: () => void,
  signal: AbortSignal,
): Parts {
  const db = openServerDb(server)
  signal.addEventListener('abort', () => void db.then((it) => it.close()))
  const repos = new Repos({ ...network, allowHttp: isLoopback(new URL(server).hostname) })
  const accounts = new Accounts(server, repos, db, openSignIn)
  const live = new Live(server, pages, signal, { db, readPoll: (uri) => repos.readPoll(uri) })
  const api = new Api(server)
  const votes = new Votes({ api, accounts, live, repos, pages, voted })
  const authored = new Authored({ api, accounts, live, repos, pages })
  const acts = new Acts(accounts, pages, {
    vote: (did, act) => votes.cast(did, act),
    publish: (did, act) => authored.publish(did, act),
    delete: (did, act) => authored.delete(did, act),
  })

  const handleOf = (did: string) => repos.handleOf(did)

  const receive = (port: Port, message: ToBackground) => {
    switch (message.type) {
      case 'watch':
        live.watch(port, message.uri)
        void votes.showOwn(message.uri, message.account)
        return
      case 'unwatch':
        live.unwatch(port, message.uri)
        return
      case 'act':
        void acts.act(port, message)
        return
      case 'voters':
        void showVoters({ api, live, pages, handleOf }, port, message.uri, message.cursor)
        return
      case 'keepalive':
        return
      default:
        message satisfies never
    }
  }
  return { accounts, acts, live, authored, receive }
}
