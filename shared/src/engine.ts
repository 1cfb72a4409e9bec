/**
 * What pages and the engine say to each other: one schema, that both sides check. In the extension the engine is in the
 * background, and these go over ports; on the server's own pages it is in the page itself. A content script loads this
 * in every tab, so it is checked with valibot, a tenth of the lexicons' validator.
 */
import * as v from 'valibot'
import { MAX_AT_URI, parseAtUri } from './at-uri.ts'
import { DOUBTS, FAULTS, VERDICTS } from './checks.ts'
import type { PollView, VoteView } from './wire.ts'

const did = v.pipe(v.string(), v.startsWith('did:'))
const atUri = v.pipe(
  v.string(),
  v.maxLength(MAX_AT_URI),
  v.check((it) => parseAtUri(it) !== undefined, "expected a record's at-uri"),
)
/** ms since 1970 */
const time = v.number()

/** The account that a page is using. */
const pageAccount = v.object({ did, handle: v.exactOptional(v.string()) })
export type PageAccount = v.InferOutput<typeof pageAccount>

/**
 * What a poll says: as much of its record as its author writes, but for its date, which is that of the click. Of a poll
 * that is changed, an end or a `multiple` that is not there stays as it is.
 */
const pollDraft = v.object({
  text: v.string(),
  options: v.array(v.string()),
  /** RFC 3339, of a poll that is changed */
  createdAt: v.exactOptional(v.string()),
  /** RFC 3339, by the server's clock, to come when it was clicked; null: a poll that is changed has no end any more */
  endsAt: v.exactOptional(v.nullable(v.string())),
  /** C11; false: a poll that is changed allows one choice again */
  multiple: v.exactOptional(v.boolean()),
})
export type PollDraft = v.InferOutput<typeof pollDraft>

const option = v.pipe(v.number(), v.integer())
/** `Choice` (choices.ts) */
const choice = { option: v.nullable(option), options: v.exactOptional(v.array(option)) }

/** What somebody does with an account of theirs, for which they have to be signed in. */
const act = v.variant('type', [
  /** `uri`: at-uri as the link says it. No choice takes the vote back. */
  v.object({ type: v.literal('vote'), uri: atUri, ...choice }),
  /** Writes a poll of one's own under a record key: a new one, or another version. */
  v.object({ type: v.literal('publish'), rkey: v.string(), draft: pollDraft }),
  /** Deletes a poll of one's own. */
  v.object({ type: v.literal('delete'), uri: atUri }),
  v.object({ type: v.literal('signIn') }),
])
export type Act = v.InferOutput<typeof act>

/** Why something was not done. */
const reason = v.variant('name', [
  /** The tab to sign in was closed. */
  v.object({ name: v.literal('notFinished') }),
  v.object({ name: v.literal('signInFailed'), detail: v.string() }),
  /** The account's server does not know scopes for single collections. */
  v.object({ name: v.literal('noScope') }),
  /** The sign-in came back with another account than the page's. `as`: its handle or DID. */
  v.object({ name: v.literal('otherAccount'), as: v.string() }),
  /** This device has no network. */
  v.object({ name: v.literal('offline') }),
  /** The account's own server (PDS) does not answer. */
  v.object({ name: v.literal('unreachable') }),
  /** There is no such poll any more, or its author's account is not there. */
  v.object({ name: v.literal('noPoll') }),
  /** A vote has to name the poll's version, and the server of the poll's author does not answer. */
  v.object({ name: v.literal('authorUnreachable') }),
  /** The companion server, which a sign-in needs, does not answer. */
  v.object({ name: v.literal('serverAway') }),
  /** Something came between, and by the time it could go on it was no longer expected. */
  v.object({ name: v.literal('tooLate') }),
  /** What the PDS says. */
  v.object({ name: v.literal('refused'), detail: v.string() }),
  /** A fault of ours. */
  v.object({ name: v.literal('fault'), detail: v.string() }),
])
export type Reason = v.InferOutput<typeof reason>

/** `live`: as the server says; `at`: as it was at that time; `unknown`: only the poll itself is known. */
const tally = v.union([v.literal('live'), v.object({ at: time }), v.literal('unknown')])
export type Tally = v.InferOutput<typeof tally>

/**
 * `id`: by which the page knows an act; it is the same however often it is sent. `at`: when it was clicked. `again`: sent
 * after a connection broke, so `at` tells whether it is newer than another act, and not when it arrives.
 */
const actMessage = v.object({
  type: v.literal('act'),
  id: v.string(),
  at: time,
  again: v.exactOptional(v.literal(true)),
  act,
  account: v.optional(pageAccount),
  /** a handle that somebody typed in, where neither the page nor the engine knows an account */
  identifier: v.exactOptional(v.string()),
})

/** A poll that somebody is told the end of: its at-uri by DID, its question, and its end in RFC 3339. */
const endingPoll = { uri: atUri, text: v.string(), endsAt: v.string() }
export type EndingPoll = v.InferOutput<v.ObjectSchema<typeof endingPoll, undefined>>

export const toEngine = v.variant('type', [
  /** `uri`: at-uri as the link says it. */
  v.object({ type: v.literal('watch'), uri: atUri, account: v.optional(pageAccount) }),
  v.object({ type: v.literal('unwatch'), uri: atUri }),
  /** Asks again for a poll that could not be had. */
  v.object({ type: v.literal('retry'), uri: atUri }),
  actMessage,
  /** How an act is that the engine has accepted: what was said of it went to a page that did not listen. */
  v.object({ type: v.literal('ask'), id: v.string(), act }),
  /** Somebody wants it no more: unless it is being done by now, it is superseded. */
  v.object({ type: v.literal('withdraw'), id: v.string() }),
  /** Somebody wants to be told when a poll ends; no longer. */
  v.object({ type: v.literal('remind'), ...endingPoll }),
  v.object({ type: v.literal('unremind'), uri: atUri }),
  /** Who voted for what, from `cursor` on. */
  v.object({ type: v.literal('voters'), uri: atUri, cursor: v.optional(v.string()) }),
  /** Checks a poll's result. `second`: base URL of whoever else is asked for votes. `here`: no server is, it is counted here */
  v.object({
    type: v.literal('check'),
    uri: atUri,
    second: v.exactOptional(v.string()),
    here: v.exactOptional(v.literal(true)),
  }),
  v.object({ type: v.literal('stopCheck'), uri: atUri }),
  /** How those whom an account follows have voted. `on`: asks for it, for all polls; false: no longer; absent: as it is */
  v.object({
    type: v.literal('following'),
    uri: atUri,
    account: pageAccount,
    on: v.exactOptional(v.boolean()),
  }),
  /** How the last check of a poll was. */
  v.object({ type: v.literal('lastCheck'), uri: atUri }),
  /** The page came back into view: what its accounts did elsewhere may have changed. */
  v.object({ type: v.literal('shown'), account: v.optional(pageAccount) }),
  v.object({ type: v.literal('keepalive') }),
])
export type ToEngine = v.InferOutput<typeof toEngine>

/** `voter`: DID of whose act it is, as far as that is known */
const ofAct = { id: v.string(), act, voter: v.exactOptional(did) }
const actStates = [
  /**
   * The engine has it, and keeps it until it is done: it must not be sent again. `signedIn`: absent where somebody has
   * perhaps to sign in first.
   */
  v.object({ type: v.literal('accepted'), ...ofAct, signedIn: v.exactOptional(v.literal(true)) }),
  /** It is not known whose it is: ask. `last`: who used this browser last. */
  v.object({ type: v.literal('whoAreYou'), ...ofAct, last: v.optional(pageAccount) }),
  /** A page to sign in was opened. */
  v.object({ type: v.literal('signingIn'), ...ofAct, as: v.string() }),
  v.object({ type: v.literal('refused'), ...ofAct, reason }),
  /** A newer act for the same poll takes its place, or it was withdrawn; or the engine has forgotten it. */
  v.object({ type: v.literal('superseded'), ...ofAct }),
  /** It is committed on the PDS. `uri`: of the poll that was voted on, written or deleted. */
  v.object({ type: v.literal('done'), ...ofAct, uri: v.string() }),
] as const
/** What the one who did something is told of how it goes. */
export type ActMessage = v.InferOutput<(typeof actStates)[number]>

/** How a check goes, or went. */
const check = v.variant('name', [
  /** `of`: records that are to be proved, so far */
  v.object({ name: v.literal('running'), done: v.number(), of: v.number() }),
  v.object({ name: v.literal('stopped') }),
  v.object({ name: v.literal('failed'), detail: v.string() }),
  v.object({
    name: v.literal('done'),
    at: time,
    verdict: v.picklist(VERDICTS),
    /** No server was asked: this is the count of the votes that others know of. */
    here: v.boolean(),
    listed: v.number(),
    proved: v.number(),
    counts: v.array(v.number()),
    voters: v.number(),
    /** The first of them, each with the at-uri of its record, and how many there are. */
    findings: v.array(v.object({ fault: v.picklist(FAULTS), uri: v.string() })),
    doubts: v.array(v.object({ why: v.picklist(DOUBTS), uri: v.string() })),
    found: v.number(),
    doubted: v.number(),
    /** why the second source could not be asked */
    secondFailed: v.exactOptional(v.string()),
  }),
])
export type Check = v.InferOutput<typeof check>

/** Checked on its way from the server (wire.ts), by the engine. */
const pollView = v.custom<PollView>((it) => typeof it === 'object' && it !== null)
const voteViews = v.custom<VoteView[]>((it) => Array.isArray(it))

const pollMessages = [
  v.object({ type: v.literal('poll'), uri: atUri, poll: pollView, tally }),
  /** There is no such poll (any more), or nobody can say. */
  v.object({ type: v.literal('missing'), uri: atUri, error: v.string() }),
  /** The vote that counts for a voter; null: none. */
  v.object({
    type: v.literal('own'),
    uri: atUri,
    voter: pageAccount,
    ...choice,
  }),
  /** The server has heard of this voter's newest vote: tallies from `version` on have it. 0: it does not count. */
  v.object({
    type: v.literal('counted'),
    uri: atUri,
    voter: did,
    ...choice,
    version: v.number(),
  }),
  /** `votes`: undefined where they can't be had. `cursor`: there are more from here. `author`: handle of the poll's. */
  v.object({
    type: v.literal('voters'),
    uri: atUri,
    votes: v.optional(voteViews),
    cursor: v.optional(v.string()),
    author: v.optional(v.string()),
  }),
  v.object({ type: v.literal('check'), uri: atUri, check }),
  /** `voter`: DID of who follows them. `on`: whether that was ever asked for */
  v.object({
    type: v.literal('following'),
    uri: atUri,
    voter: did,
    on: v.boolean(),
    people: v.array(
      v.object({
        did,
        handle: v.exactOptional(v.string()),
        options: v.array(v.number()),
        /** a small picture, as a data URL */
        face: v.exactOptional(v.pipe(v.string(), v.startsWith('data:image/'))),
      }),
    ),
    failed: v.exactOptional(v.literal(true)),
  }),
] as const
/** What is said about one poll to every page that shows it. */
export type PollMessage = v.InferOutput<(typeof pollMessages)[number]>

export const toPage = v.variant('type', [
  /** First on every connection, and whenever something of it changes. */
  v.object({
    type: v.literal('settings'),
    /** Which links are polls: host to collection. */
    hosts: v.record(v.string(), v.string()),
    /** Base URL of the server. */
    server: v.string(),
    /** Off: this page, or all, show no polls. */
    on: v.boolean(),
    /** Results are shown before one has voted. */
    resultsFirst: v.boolean(),
    /** Somebody has voted with this extension before. */
    hasVoted: v.boolean(),
    /** Somebody has signed in with this extension before, and needs not be told what that is for. */
    knowsSignIn: v.boolean(),
    /** at-uris by DID of polls that somebody will be told the end of; absent: nobody can be told here. */
    reminders: v.exactOptional(v.array(atUri)),
    /** Base URL of whoever else is asked for votes; absent: nobody. */
    second: v.exactOptional(v.string()),
  }),
  /**
   * Whether tallies are live, and since when it is so. `ahead`: by how many ms the server's clock, by which polls end, is
   * ahead of this one, as far as it has said.
   */
  v.object({
    type: v.literal('connection'),
    online: v.boolean(),
    since: time,
    ahead: v.exactOptional(v.number()),
  }),
  ...pollMessages,
  ...actStates,
])
export type ToPage = v.InferOutput<typeof toPage>

/** @returns the message; undefined, with a word to the console, where it is none */
export function read<T extends v.GenericSchema>(schema: T, message: unknown): v.InferOutput<T> | undefined {
  const parsed = v.safeParse(schema, message)
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  console.warn(`pollz: ${v.getDotPath(issue) ?? 'message'}: ${issue.message}`)
  return undefined
}
