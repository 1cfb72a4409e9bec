/**
 * What pages and the one who works for them say to each other. In the extension that is the background, over ports; on
 * the server's own pages it is the same code in the page itself.
 */
import type { PollView, VoteView } from '@pollz/shared/wire'
import type { PollHosts } from '@pollz/shared/links'

/** The account that a page is using. */
export type PageAccount = { did: string; handle?: string }

/** What a poll says: as much of its record as its author writes. */
export type PollDraft = { text: string; options: string[]; /** RFC 3339 */ createdAt: string }

/** What somebody does with an account of theirs, for which they have to be signed in. */
export type Act =
  /** `uri`: at-uri as the link says it. `option`: null takes the vote back. */
  | { type: 'vote'; uri: string; option: number | null }
  /** Writes a poll of one's own under a record key: a new one, or another version. */
  | { type: 'publish'; rkey: string; draft: PollDraft }
  /** Deletes a poll of one's own. */
  | { type: 'delete'; uri: string }
  | { type: 'signIn' }

/** Why something was not done. */
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
  /** `identifier`: a handle that somebody typed in, where neither the page nor the background knows an account. */
  | { type: 'act'; act: Act; account: PageAccount | undefined; identifier?: string }
  /** Who voted for what, from `cursor` on. */
  | { type: 'voters'; uri: string; cursor: string | undefined }
  | { type: 'keepalive' }

/** What the one who did something is told of how it goes. */
export type ActMessage =
  /** The page uses no account and the background knows none: ask for a handle. */
  | { type: 'whoAreYou'; act: Act }
  /** A page to sign in was opened. */
  | { type: 'signingIn'; act: Act; as: string }
  | { type: 'refused'; act: Act; reason: Reason }
  /** `uri`: of the poll that was written or deleted. */
  | { type: 'done'; act: Act; uri: string }

/** What is said about one poll to every page that shows it. */
export type PollMessage =
  | { type: 'poll'; uri: string; poll: PollView; tally: Tally }
  /** There is no such poll (any more), or nobody can say. */
  | { type: 'missing'; uri: string; error: string }
  /** The vote that counts for a voter; null: none. */
  | { type: 'own'; uri: string; voter: PageAccount; option: number | null }
  /** `votes`: undefined where they can't be had. `cursor`: there are more from here. `author`: handle of the poll's. */
  | {
      type: 'voters'
      uri: string
      votes: VoteView[] | undefined
      cursor: string | undefined
      author: string | undefined
    }

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
  /** Whether tallies are live; if not, since when (ms since 1970). */
  | { type: 'connection'; online: boolean; since: number }
  | PollMessage
  | ActMessage
