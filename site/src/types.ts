/** What the server asks of the site: pages as text. And what those pages tell their own script. */
import type { PollHosts } from '@pollz/shared/links'
import type { PollHistory, PollView } from '@pollz/shared/wire'

/** What all pages of one server have in common. */
export type Frame = {
  /** Origin of the server. */
  publicUrl: string
  /** BCP 47, one of `languages`. */
  language: string
  network: { plc: string; handleResolver: string }
  hosts: PollHosts
}

/** Why there is no poll on a page. */
export type ProblemName =
  | 'poll'
  | 'deleted'
  | 'repo'
  | 'handle'
  | 'inactive'
  | 'hidden'
  | 'limited'
  | 'upstream'
  | 'invalid'
  | 'nothing'
  | 'failed'

/** As much of an OpenAPI document as is shown. */
export type ApiDescription = {
  info: { version: string; description: string }
  paths: Record<string, Record<string, unknown>>
  components: { schemas: Record<string, unknown> }
}

export type Site = {
  languages: readonly string[]
  /** Sources for a Content-Security-Policy: of the inline style of polls. */
  styleSource: string
  /** @param history undefined: nothing counts */
  poll: (frame: Frame, poll: PollView, history?: PollHistory) => string
  /** What a poll's picture says below its options. @param language one of `languages` */
  facts: (language: string, poll: PollView) => string
  /** Nothing but the poll, for other sites to show in a frame. */
  embed: (frame: Frame, poll: PollView) => string
  home: (frame: Frame, lists: { newest: PollView[]; busiest: PollView[] }) => string
  /** An account's polls. `days`: votes by day (YYYY-MM-DD, UTC) */
  author: (frame: Frame, about: { did: string; polls: PollView[]; days: [string, number][] }) => string
  /** The API, as OpenAPI describes it. */
  api: (frame: Frame, described: ApiDescription) => string
  /** @param named the repo that the address names */
  problem: (frame: Frame, name: ProblemName, named: string) => string
  /** Where a PDS sends people back to. */
  callback: (frame: Frame) => string
  /** The frame's code for other sites, as oEmbed gives it too. In px. */
  embedCode: (
    frame: Frame,
    poll: PollView,
    maxWidth?: number,
    maxHeight?: number,
  ) => { html: string; width: number; height: number }
}

/** In the page, as JSON. `polls`: by at-uri. */
export type PageState = Frame & {
  messages: Record<string, { message: string }>
  polls: Record<string, PollView>
  /** of the one poll of the page */
  history?: PollHistory
}
