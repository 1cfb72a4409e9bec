/** What the extension's own pages ask its background for, and what somebody can set there. */
import type { Mine } from '@pollz/engine/authored'
import type { EndingPoll, PageAccount, Reason } from '@pollz/shared/engine'
import type { PollView } from '@pollz/shared/wire'

/** Name of the ports between pages and the background. */
export const PORT = 'polls'

/** The content script says something at least this often, in ms: Firefox ends a silent background after 30 s. */
export const KEEPALIVE = 20_000

/** What somebody can set. */
export type Settings = {
  /** Base URL of the companion server. */
  server: string
  resultsFirst: boolean
  /** More hosts (with their ports, if any) whose links are polls. */
  hosts: string[]
  /** Origins of sites like bsky.app that polls are shown on too. */
  sites: string[]
  /** Base URL of whoever else is asked who has voted, when a result is checked; '': nobody. */
  second: string
  /** False: no polls on any page. */
  on: boolean
}

/** From the popup and the options page, each with its answer. */
export interface Requests {
  state: { ask: { tab: number | undefined }; answer: State }
  signIn: { ask: { identifier: string }; answer: { failed?: Reason } }
  /** Revokes the session at the account's PDS and forgets it. */
  signOut: { ask: { did: string }; answer: object }
  mine: { ask: { did: string }; answer: Mine | { failed: Reason } }
  /** What has ended in the last week of what an account voted on or made, and of what somebody asked to be told of. */
  ended: { ask: { did: string | undefined }; answer: Ended[] }
  /** Tells somebody when a poll ends; no longer. */
  remind: { ask: { poll: EndingPoll }; answer: object }
  unremind: { ask: { uri: string }; answer: object }
  /** All but the sites. */
  save: { ask: { settings: Settings }; answer: object }
  /** Shows polls on a site that the extension has access to, or no more. Answers with all that are on then. */
  site: { ask: { site: string; on: boolean }; answer: { sites: string[] } }
  page: { ask: { tab: number; on: boolean }; answer: object }
}
export type Ask = { [T in keyof Requests]: { type: T } & Requests[T]['ask'] }[keyof Requests]

/** `page`: its address on the server */
export type Ended = { poll: PollView; page: string }

/** What the popup asks the content script of the tab below it. */
export type PageAsk = { type: 'unplaced' }
/** `unplaced`: polls that could not be shown there, because the site has changed */
export type PageAnswer = { unplaced: number }

export type State = {
  settings: Settings
  accounts: PageAccount[]
  pageOn: boolean
  /** Polls that somebody will be told the end of, the next one first. */
  reminders: EndingPoll[]
  /** Origin of the site that was used last. */
  site: string
}
