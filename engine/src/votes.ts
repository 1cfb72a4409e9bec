/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
import { XRPCError } from '@atproto/api'
import { isValidDid } from '@atproto/syntax'
import { parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll } from '@pollz/shared/families'
import type { Act, PageAccount } from '@pollz/shared/engine'
import type { Accounts } from './accounts.ts'
import type { Doing } from './acts.ts'
import type { Live } from './live.ts'
import type { Outbox } from './outbox.ts'
import type { Pages, Port } from './pages.ts'
import type { Repos } from './repos.ts'
import type { CastVote } from './storage.ts'
import { usualVote, type OwnVote, type VoteIndex } from './vote-index.ts'

/** When a repo is listed again after a write of which nobody knows how it went, in ms after each other. */
const LOOK_AGAIN = [0, 1_000, 5_000, 30_000]
/** What is as new as this, in ms, serves a page that comes back into view. */
const COME_BACK = 1_000
/** Looks that are as close as this, in ms, share a list. */
const SHARED = 500
/** How often a vote is tried whose record changes all the time. */
const MAX_TRIES = 3

export type VotesOptions = {
  accounts: Accounts
  live: Live
  repos: Repos
  pages: Pages
  index: VoteIndex
  outbox: Outbox
  /** called after each vote that was cast */
  voted: () => void
}

export class Votes {
  #options: VotesOptions
  /** at-uris by DID of the polls that pages call by a handle. */
  #polls = new Map<string, string>()
  /** Who waits for one of those to be known, by DID. */
  #waiting = new Map<string, Map<string, PageAccount>>()

  constructor(options: VotesOptions) {
    this.#options = options
    options.pages.onSend = (message) => {
      if (message.type === 'poll') this.#learn(message.uri, message.poll.uri)
    }
  }

  /** Tells the pages which option a voter has chosen, as far as that is known, and then as their repo says it. */
  async showOwn(uri: string, account: PageAccount | undefined): Promise<void> {
    if (!account || this.#waits(uri, account)) return
    await this.#tell(uri, account)
    // Where the PDS can't be asked, what was known stands.
    if (await this.#look(uri, account)) await this.#tell(uri, account)
  }

  /** A page came back into view: its account may have voted elsewhere. */
  async refresh(port: Port, account: PageAccount | undefined): Promise<void> {
    if (!account) return
    const refresh = async (uri: string) => {
      if (this.#waits(uri, account)) return
      await this.#look(uri, account, COME_BACK)
      await this.#tell(uri, account)
    }
    await Promise.all([...this.#options.pages.shown(port)].map(refresh))
  }

  /** @returns whether the repo could be asked */
  async #look(uri: string, { did }: PageAccount, maxAge?: number): Promise<boolean> {
    const poll = this.#pollOf(uri)
    if (poll === undefined) return false
    return this.#options.index.look(did, poll, maxAge).then(
      () => true,
      () => false,
    )
  }

  /** @returns at-uri of the poll @throws with the PDS's reason */
  async cast({ uri, option }: Act & { type: 'vote' }, doing: Doing): Promise<string> {
    const { index, repos, voted } = this.#options
    const { did } = doing
    // The server has no say in what is voted on.
    const poll = await repos.canonical(uri)
    this.#learn(uri, poll)
    const before = await index.votesFor(did, poll)
    try {
      await this.#write({ poll, option }, doing)
    } catch (error) {
      const failed = Date.now()
      await index.expire(did).catch((failure: unknown) => console.error('pollz:', failure))
      // An answer that was lost says nothing of what was written.
      const isCast = mayBeWritten(error) && (await this.#isCast({ poll, option }, doing))
      if (!isCast) {
        const waits = mayBeWritten(error) ? LOOK_AGAIN : LOOK_AGAIN.slice(0, 1)
        this.#lookAgain({ poll, uri, did, failed, waits }).catch(() => {})
        throw error
      }
      const after = await index.votesFor(did, poll)
      for (const it of new Set([...before, ...after].map((vote) => vote.uri)))
        await this.#written(it, { poll, option }, async () => {})
    }
    this.#show({ poll, uri, did, option })
    voted()
    return poll
  }

  async #write(vote: CastVote, doing: Doing): Promise<void> {
    const { index } = this.#options
    const { did, signal } = doing
    const { poll } = vote
    // Where the repo can't be asked, C2 sorts it out.
    let isAsked = await index.look(did, poll).then(
      () => true,
      () => false,
    )
    /** What stands under the usual key though it can't be read as a vote for this poll. */
    let unread: string | undefined
    for (let tries = 1; ; tries++) {
      const known = await index.votesFor(did, poll)
      signal.throwIfAborted()
      try {
        return await (vote.option === null
          ? this.#takeBack(poll, isAsked, known, doing)
          : this.#put({ ...vote, option: vote.option }, known, isAsked ? (unread ?? null) : undefined, doing))
      } catch (error) {
        // Another client has written it since it was read, or an older act whose request was late.
        if (!isSwapped(error) || tries === MAX_TRIES) throw error
        await index.look(did, poll, 0)
        isAsked = true
        const isKnown = (await index.votesFor(did, poll)).length > 0
        unread = isKnown ? undefined : await index.read(usualVote(did, poll), signal)
      }
    }
  }

  /**
   * A vote that another client made is changed, not doubled. It names the version that it changes: what comes late does
   * not undo what was done since.
   *
   * @param swapped where no vote is known: cid that stands in its place; null: nothing does; undefined: nobody knows
   */
  async #put(
    { poll, option }: CastVote & { option: number },
    [own, ...others]: OwnVote[],
    swapped: string | null | undefined,
    doing: Doing,
  ): Promise<void> {
    const { accounts, index } = this.#options
    const { did, at, signal } = doing
    const family = familyOf(poll)
    const agent = await accounts.agent(did)
    const createdAt = dated(at, others)
    const swapRecord = own?.cid ?? swapped
    const [written] = family.writeVote({ poll: { uri: poll }, choices: [option], createdAt })
    const { data } = await agent.com.atproto.repo.putRecord(
      {
        repo: did,
        rkey: parseAtUri(own?.uri ?? usualVote(did, poll))!.rkey,
        ...written!,
        ...(swapRecord === undefined ? {} : { swapRecord }),
      },
      { signal },
    )
    signal.throwIfAborted()
    await this.#written(data.uri, { poll, option }, () =>
      index.put(data.uri, { did, poll, option, createdAt, cid: data.cid }),
    )
  }

  /** Deletes all votes for the poll: there may be others, of other clients. */
  async #takeBack(poll: string, isAsked: boolean, known: OwnVote[], { did, signal }: Doing): Promise<void> {
    const { accounts, index } = this.#options
    const collection = familyOf(poll).votes[0]!.nsid
    const agent = await accounts.agent(did)
    const usual = usualVote(did, poll)
    const isKnown = isAsked || known.some(({ uri }) => uri === usual)
    for (const { uri, cid } of isKnown ? known : [...known, { uri: usual, cid: undefined }]) {
      const { rkey } = parseAtUri(uri)!
      await agent.com.atproto.repo.deleteRecord(
        { repo: did, collection, rkey, ...(cid === undefined ? {} : { swapRecord: cid }) },
        { signal },
      )
      signal.throwIfAborted()
      await this.#written(uri, { poll, option: null }, () => index.delete(uri))
    }
  }

  /** What the PDS has done is done, though nothing could be noted here: the disk may be full. */
  async #written(uri: string, vote: CastVote, note: () => Promise<void>): Promise<void> {
    const fails = (error: unknown) => console.error('pollz: a vote was cast but not noted', error)
    await note().catch(fails)
    await this.#options.outbox.add('votes', uri, vote).catch(fails)
  }

  /** Whether the repo has a vote as it was to be written. */
  async #isCast({ poll, option }: CastVote, { did, at, signal }: Doing): Promise<boolean> {
    const { index } = this.#options
    try {
      signal.throwIfAborted()
      await index.look(did, poll, 0)
      signal.throwIfAborted()
    } catch {
      return false
    }
    const [own, ...others] = await index.votesFor(did, poll)
    if (option === null) return own === undefined
    return own?.option === option && own.createdAt === dated(at, others)
  }

  /** Shows what is in the repo, as soon as that can be asked, and what comes late. */
  async #lookAgain(look: { poll: string; uri: string; did: string; failed: number; waits: number[] }) {
    const { index } = this.#options
    const { poll, did, failed, waits } = look
    for (const wait of waits) {
      await new Promise((resolve) => setTimeout(resolve, wait))
      const asked = await index.look(did, poll, Math.min(SHARED, Date.now() - failed)).then(
        () => true,
        () => false,
      )
      if (!asked) continue
      const [own] = await index.votesFor(did, poll)
      this.#show({ ...look, option: own?.option ?? null })
    }
  }

  async #tell(uri: string, voter: PageAccount): Promise<void> {
    const { index, pages } = this.#options
    const poll = this.#pollOf(uri)
    const own = poll === undefined ? undefined : await index.own(voter.did, poll)
    if (own !== undefined) pages.send({ type: 'own', uri, voter, option: own?.option ?? null })
  }

  /**
   * Whoever looks at a poll asks nobody of its author's choice: what a handle means is asked for when something is
   * clicked, and else heard from the server.
   *
   * @returns its at-uri by DID, as far as it is known
   */
  #pollOf(uri: string): string | undefined {
    if (isValidDid(parseAtUri(uri)!.repo)) return uri
    return this.#options.live.known(uri)?.uri ?? this.#polls.get(uri)
  }

  #waits(uri: string, account: PageAccount): boolean {
    if (this.#pollOf(uri) !== undefined) return false
    const { pages } = this.#options
    for (const it of this.#waiting.keys()) if (!pages.shows(it)) this.#waiting.delete(it)
    this.#waiting.set(uri, (this.#waiting.get(uri) ?? new Map()).set(account.did, account))
    return true
  }

  #learn(uri: string, poll: string): void {
    if (isValidDid(parseAtUri(uri)!.repo)) return
    const { pages } = this.#options
    for (const it of this.#polls.keys()) if (!pages.shows(it)) this.#polls.delete(it)
    this.#polls.set(uri, poll)
    const waiting = this.#waiting.get(uri) ?? new Map<string, PageAccount>()
    this.#waiting.delete(uri)
    for (const account of waiting.values()) this.showOwn(uri, account).catch(() => {})
  }

  /** To every page that shows a poll. @param vote `uri`: as the page calls it that voted */
  #show({ poll, uri, did, option }: CastVote & { uri: string; did: string }): void {
    const { pages } = this.#options
    const { rkey } = parseAtUri(poll)!
    for (const it of new Set([uri, poll, ...pages.all()]))
      if (it === uri || it === poll) pages.send({ type: 'own', uri: it, voter: { did }, option })
      // Perhaps the same poll by another name.
      else if (parseAtUri(it)!.rkey === rkey) this.#tell(it, { did }).catch(() => {})
  }
}

/**
 * @param at when a vote was clicked, in ms since 1970
 * @param others of the same voter for the same poll, the newest first
 * @returns when it says that it was cast: it counts (C2), though the clock was set back since another one was
 */
function dated(at: number, [other]: OwnVote[]): string {
  const after = other ? Date.parse(other.createdAt) + 1 : at
  return new Date(Math.max(at, after)).toISOString()
}

/** A PDS that refuses has written nothing; of anything else nobody knows. */
const mayBeWritten = (error: unknown) =>
  !(error instanceof XRPCError && error.status >= 400 && error.status < 500)

const isSwapped = (error: unknown) => error instanceof XRPCError && error.error === 'InvalidSwap'

function familyOf(poll: string) {
  const { collection } = parseAtUri(poll)!
  const family = familyOfPoll.get(collection)
  if (!family) throw new Error(`no family has the poll ${poll}`)
  return family
}
