/** What the parts of the extension say to each other: pages and background over ports, the extension's own pages by requests. */
import type { PollView, VoteView } from '@pollz/shared/wire'
import type { PollHosts } from '@pollz/shared/links'

export const PORT = 'polls'

/** The content script says something at least this often, in ms: Firefox ends a silent background after 30 s. */
export const KEEPALIVE = 20_000

/** The account that a page is using. */
export type PageAccount = { did: string; handle?: string }

/** Why a vote was not cast. */
export type Reason =
  /** The tab to sign in was closed. */
  | { name: 'notFinished' }
  | { name: 'signInFailed'; detail: string }
  /** The account's server does not know scopes for single collections. */
  | { name: 'noScope' }
  /** The sign-in came back with another account than the page's. `as`: its handle or DID. */
  | { name: 'otherAccount'; as: string }
  /** No answer. */
  | { name: 'unreachable' }
  /** What the PDS says. */
  | { name: 'refused'; detail: string }

/** `live`: as the server says; `at`: as it was at that time, in ms since 1970; `unknown`: only the poll itself is known. */
export type Tally = 'live' | { at: number } | 'unknown'

export type ToBackground =
  /** `uri`: at-uri as the link says it. */
  | { type: 'watch'; uri: string; account: PageAccount | undefined }
  | { type: 'unwatch'; uri: string }
  /**
   * `option`: null takes the vote back. `identifier`: a handle that somebody typed in, where neither the page nor
   * the extension knows an account.
   */
  | {
      type: 'vote'
      uri: string
      option: number | null
      account: PageAccount | undefined
      identifier?: string
    }
  /** Who voted for what, from `cursor` on. */
  | { type: 'voters'; uri: string; cursor: string | undefined }
  | { type: 'keepalive' }

export type ToContent =
  /** First on every connection, and whenever something of it changes. */
  | {
      type: 'settings'
      /** Which links are polls. */
      hosts: PollHosts
      /** Base URL of the server. */
      server: string
      /** Off: this page, or all, show no polls. */
      on: boolean
      /** Results are shown before one has voted. */
      resultsFirst: boolean
      /** Somebody has voted with this extension before. */
      hasVoted: boolean
    }
  | { type: 'poll'; uri: string; poll: PollView; tally: Tally }
  /** There is no such poll (any more), or nobody can say. */
  | { type: 'missing'; uri: string; error: string }
  /** The vote that counts for a voter; null: none. */
  | { type: 'own'; uri: string; voter: PageAccount; option: number | null }
  /** The page uses no account and the extension knows none: ask for a handle. */
  | { type: 'whoAreYou'; uri: string; option: number | null }
  /** A tab to sign in was opened. */
  | { type: 'signingIn'; uri: string; option: number | null; as: string }
  | { type: 'refused'; uri: string; option: number | null; reason: Reason }
  /** `votes`: undefined where they can't be had. `cursor`: there are more from here. `author`: handle of the poll's. */
  | {
      type: 'voters'
      uri: string
      votes: VoteView[] | undefined
      cursor: string | undefined
      author: string | undefined
    }
  /** Whether tallies are live; if not, since when (ms since 1970). */
  | { type: 'connection'; online: boolean; since: number }

/** What somebody can set. */
export type Settings = {
  /** Base URL of the companion server. */
  server: string
  resultsFirst: boolean
  /** More hosts (with their ports, if any) whose links are polls. */
  hosts: string[]
  /** False: no polls on any page. */
  on: boolean
}

/** From the popup and the options page, each with its answer. */
export interface Requests {
  state: { ask: { tab: number | undefined }; answer: State }
  signIn: { ask: { identifier: string }; answer: { failed?: Reason } }
  /** Revokes the session at the account's PDS and forgets it. */
  signOut: { ask: { did: string }; answer: object }
  /** at-uris of the polls that an account voted on and made lately, the newest first. */
  mine: { ask: { did: string }; answer: { votedOn: string[]; made: string[] } | { failed: Reason } }
  save: { ask: { settings: Settings }; answer: object }
  page: { ask: { tab: number; on: boolean }; answer: object }
}
export type Ask = { [T in keyof Requests]: { type: T } & Requests[T]['ask'] }[keyof Requests]
export type State = { settings: Settings; accounts: PageAccount[]; pageOn: boolean }
