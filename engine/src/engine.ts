/** The engine: all that works for a person with one companion server. It is made anew when another server is chosen. */
import { toEngine, read, type EndingPoll, type ToEngine } from '@pollz/shared/engine'
import { isLoopback } from '@pollz/shared/links'
import type { PollView } from '@pollz/shared/wire'
import { Accounts, type OpenSignIn } from './accounts.ts'
import { Acts } from './acts.ts'
import { Api } from './api.ts'
import { Authored } from './authored.ts'
import { Checks, type RunCheck } from './checks.ts'
import { endedLately } from './ended.ts'
import { Following } from './following.ts'
import { Live } from './live.ts'
import { look, type Look } from './look.ts'
import { Outbox } from './outbox.ts'
import type { Pages, Port } from './pages.ts'
import { Repos } from './repos.ts'
import { databaseOf, keepServerDb } from './storage.ts'
import { VoteIndex } from './vote-index.ts'
import { showVoters } from './voters.ts'
import { Votes } from './votes.ts'

export type Engine = {
  accounts: Accounts
  acts: Acts
  live: Live
  authored: Authored
  index: VoteIndex
  /** Asks the server for a poll. @param uri at-uri by DID */
  look: (uri: string) => Promise<Look>
  /** Polls that have ended in the last week: an account's, and others (at-uris by DID). */
  endedLately: (did: string | undefined, asked: readonly string[]) => Promise<PollView[]>
  /** @param message as it came from the page: it is checked here */
  receive: (port: Port, message: unknown) => void
}

export type EngineOptions = {
  /** base URL of the companion server */
  server: string
  /** base URLs of what resolves DIDs and handles */
  network: { plc: string; handleResolver: string }
  pages: Pages
  /** brings somebody to the authorize page of their PDS */
  openSignIn: OpenSignIn
  /** whether the page of a sign-in is still open; undefined: that can't be known here */
  signInOpen?: (key: number) => Promise<boolean>
  /** closes the page of a sign-in that is not wanted any more, where it is a page of its own */
  closeSignIn?: (key: number) => Promise<void>
  /** called after each vote that was cast */
  voted: () => void
  /** tells somebody when polls end; undefined: that can't be done here */
  reminding?: Reminding
  /** checks a poll's result; undefined: that can't be asked for here */
  runCheck?: RunCheck
  signal: AbortSignal
  /** instead of those who signed in by OAuth: for tests */
  accounts?: Accounts
}

export type Reminding = {
  /** @param page that it was asked in @param ahead by how many ms the server's clock is ahead of this one */
  remind: (poll: EndingPoll, page: number | undefined, ahead: number) => Promise<void>
  /** @param uri at-uri by DID */
  unremind: (uri: string) => Promise<void>
  /** Told of each poll as the server has it. @param now its clock, in ms since 1970 */
  saw: (poll: PollView, now: number) => Promise<void>
}

export function createEngine(options: EngineOptions): Engine {
  const { server, network, pages, openSignIn, signInOpen, closeSignIn, voted, reminding, runCheck, signal } =
    options
  const db = keepServerDb(server, signal)
  pages.share(databaseOf(server), signal)
  /** What nobody waits for. Its database closes with the engine. */
  const start = (task: Promise<unknown>) => {
    task.catch((error: unknown) => {
      if (!signal.aborted) console.error('pollz:', error)
    })
  }
  const repos = new Repos({ ...network, allowHttp: isLoopback(new URL(server).hostname) })
  const accounts = options.accounts ?? new Accounts(server, repos, db, openSignIn)
  const api = new Api(server)
  const live: Live = new Live(server, pages, signal, { db, readPoll: (uri) => repos.readPoll(uri) })
  const outbox = new Outbox({ api, live, pages, db }, signal)
  live.onOnline = () => start(outbox.retry())
  if (reminding) live.onSnapshot = (poll, now) => start(reminding.saw(poll, now))
  const index = new VoteIndex(db, repos)
  const votes = new Votes({ accounts, live, repos, pages, index, outbox, voted })
  const authored = new Authored({
    accounts,
    repos,
    pages,
    index,
    outbox,
    ahead: () => live.connection?.ahead ?? 0,
  })
  const acts = new Acts({
    db,
    accounts,
    pages,
    doers: {
      vote: (act, doing) => votes.cast(act, doing),
      publish: (act, doing) => authored.publish(act, doing),
      delete: (act, doing) => authored.delete(act, doing),
    },
    canonical: (uri) => repos.canonicalIfKnown(uri),
    votedSince: (uri, did, at) => votedSince({ repos, index }, uri, did, at),
    ...(signInOpen ? { signInOpen } : {}),
    ...(closeSignIn ? { closeSignIn } : {}),
    signal,
  })
  const canonical = (uri: string) => repos.canonical(uri)
  const following = new Following({ repos, pages, server, canonical, signal })
  const checks =
    runCheck &&
    new Checks({
      run: runCheck,
      server,
      plc: network.plc,
      pages,
      canonical,
      signal,
    })
  start(acts.resume())
  start(outbox.flush())

  const handleOf = (did: string) => repos.handleOf(did)

  const handle = (port: Port, message: ToEngine) => {
    switch (message.type) {
      case 'watch':
        live.watch(port, message.uri)
        start(votes.showOwn(message.uri, message.account))
        if (message.account) start(following.watched(port, message.uri, message.account))
        return
      case 'unwatch':
        live.unwatch(port, message.uri)
        return
      case 'retry':
        live.retry(message.uri)
        return
      case 'act':
        start(acts.accept(pages.pageOf(port), message))
        return
      case 'ask':
        start(acts.tell(pages.pageOf(port), message))
        return
      case 'withdraw':
        start(acts.withdraw(message.id))
        return
      case 'remind': {
        const { type: _, ...poll } = message
        if (reminding) start(reminding.remind(poll, pages.pageOf(port), live.connection?.ahead ?? 0))
        return
      }
      case 'unremind':
        if (reminding) start(reminding.unremind(message.uri))
        return
      case 'voters':
        start(showVoters({ api, live, pages, handleOf }, port, message.uri, message.cursor))
        return
      case 'check':
        if (checks) start(checks.begin(message.uri, message.second, message.here ?? false))
        return
      case 'stopCheck':
        checks?.stop(message.uri)
        return
      case 'following':
        start(following.show(port, message.uri, message.account, message.on))
        return
      case 'lastCheck':
        if (checks) start(checks.tellLast(port, message.uri))
        return
      case 'shown':
        live.wake()
        start(votes.refresh(port, message.account))
        return
      case 'keepalive':
        return
      default:
        message satisfies never
    }
  }
  const receive = (port: Port, message: unknown) => {
    const checked = read(toEngine, message)
    if (checked) handle(port, checked)
  }
  const lookAt = (uri: string) => look({ live, pages }, uri)
  return {
    accounts,
    acts,
    live,
    authored,
    index,
    look: lookAt,
    endedLately: (did, asked) => endedLately({ index, repos, look: lookAt }, did, asked),
    receive,
  }
}

type Known = { repos: Repos; index: VoteIndex }

async function votedSince({ repos, index }: Known, uri: string, did: string, at: number) {
  const poll = await repos.canonical(uri)
  // Where the PDS can't be asked, what is known has to do.
  await index.look(did, poll, 0).catch(() => {})
  const [own] = await index.votesFor(did, poll)
  return own !== undefined && Date.parse(own.createdAt) > at
}
