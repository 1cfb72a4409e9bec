/** What the content script and the background say to each other, over one port per tab. */
import type { PollView } from '@pollz/shared/wire'
import type { PollHosts } from '@pollz/shared/links'

export const PORT = 'polls'

/** The content script says something at least this often, in ms: Firefox ends a silent background after 30 s. */
export const KEEPALIVE = 20_000

export type ToBackground =
  /** `uri`: at-uri as the link says it. `voter`: DID of the page's account. */
  | { type: 'watch'; uri: string; voter: string | undefined }
  | { type: 'unwatch'; uri: string }
  /**
   * `option`: null takes the vote back. `identifier`: a handle that somebody typed in, where neither the page nor
   * the extension knows an account.
   */
  | {
      type: 'vote'
      uri: string
      option: number | null
      voter: string | undefined
      identifier?: string
    }
  | { type: 'keepalive' }

export type ToContent =
  /** First on every connection: which links are polls. */
  | { type: 'hosts'; hosts: PollHosts }
  | { type: 'poll'; uri: string; poll: PollView }
  /** There is no such poll (any more), or the server can't find out. */
  | { type: 'missing'; uri: string; error: string; message: string }
  /** The vote that counts for this voter; null: none. */
  | { type: 'own'; uri: string; option: number | null }
  /** The page's account is not signed in here and nobody knows a handle: ask for one. */
  | { type: 'whoAreYou'; uri: string; option: number | null }
  /** A tab to sign in was opened. */
  | { type: 'signingIn'; uri: string }
  | { type: 'refused'; uri: string; reason: string }
  /** Whether tallies are live. */
  | { type: 'connection'; online: boolean }
