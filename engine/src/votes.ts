/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
import { XRPCError } from '@atproto/api'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll } from '@pollz/shared/families'
import type { Act, PageAccount } from '@pollz/shared/engine'
import { voteRkey } from '@pollz/shared/votes'
import type { Accounts } from './accounts.ts'
import type { Doing } from './acts.ts'
import type { Live } from './live.ts'
import type { Outbox } from './outbox.ts'
import type { Pages, Port } from './pages.ts'
import type { Repos } from './repos.ts'
import type { CastVote } from './storage.ts'
import type { OwnVote, VoteIndex } from './vote-index.ts'

/** When a repo is listed again after a write of which nobody knows how it went, in ms after each other. */
const LOOK_AGAIN = [0, 1_000, 5_000, 30_000]
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

  constructor(options: VotesOptions) {
    this.#options = options
  }

  /** Tells the pages which option a voter has chosen, as far as that is known, and then as their repo says it. */
  async showOwn(uri: string, account: PageAccount | undefined): Promise<void> {
    if (!account) return
    const { index } = this.#options
    if (await index.isListed(account.did)) await this.#tell(uri, account)
    // Where the PDS can't be asked, what was known stands.
    const changed = await index.refresh(account.did).then(
      () => true,
      () => false,
    )
    if (changed) await this.#tell(uri, account)
  }

  /** A page came back into view: its account may have voted elsewhere. */
  async refresh(port: Port, account: PageAccount | undefined): Promise<void> {
    if (!account) return
    const { index, pages } = this.#options
    await index.refresh(account.did, 1_000).catch(() => {})
    for (const uri of pages.shown(port)) await this.#tell(uri, account)
  }

  /** @returns at-uri of the poll @throws with the PDS's reason */
  async cast({ uri, option }: Act & { type: 'vote' }, doing: Doing): Promise<string> {
    const { index, repos, voted } = this.#options
    const { did } = doing
    // The server has no say in what is voted on.
    const poll = await repos.canonical(uri)
    const before = await index.votesFor(did, poll)
    try {
      await this.#write({ poll, option }, doing)
    } catch (error) {
      const failed = Date.now()
      await index.expire(did)
      // An answer that was lost says nothing of what was written.
      const isCast = mayBeWritten(error) && (await this.#isCast({ poll, option }, doing))
      if (!isCast) {
        const waits = mayBeWritten(error) ? LOOK_AGAIN : LOOK_AGAIN.slice(0, 1)
        this.#lookAgain({ poll, uri, did, failed, waits }).catch(() => {})
        throw error
      }
      const after = await index.votesFor(did, poll)
      for (const it of new Set([...before, ...after].map((vote) => vote.uri)))
        await this.#options.outbox.add('votes', it, { poll, option })
    }
    this.#show({ poll, uri, did, option })
    voted()
    return poll
  }

  async #write(vote: CastVote, doing: Doing): Promise<void> {
    const { index } = this.#options
    const { did, signal } = doing
    // Where the repo can't be listed, C2 sorts it out.
    let isListed = await index.refresh(did).then(
      () => true,
      () => false,
    )
    for (let tries = 1; ; tries++) {
      const known = await index.votesFor(did, vote.poll)
      signal.throwIfAborted()
      try {
        return await (vote.option === null
          ? this.#takeBack(vote.poll, isListed, known, doing)
          : this.#put(vote.poll, vote.option, isListed ? (known[0] ?? null) : known[0], doing))
      } catch (error) {
        // Another client has written it since it was listed, or an older act whose request was late.
        if (!isSwapped(error) || tries === MAX_TRIES) throw error
        await index.refresh(did, 0)
        isListed = true
      }
    }
  }

  /**
   * A vote that another client made is changed, not doubled. It names the version that it changes: what comes late does
   * not undo what was done since.
   *
   * @param own that is changed; null: there is none; undefined: nobody knows
   */
  async #put(poll: string, option: number, own: OwnVote | null | undefined, doing: Doing): Promise<void> {
    const { accounts, index, outbox } = this.#options
    const { did, at, signal } = doing
    const family = familyOf(poll)
    const agent = await accounts.agent(did)
    const createdAt = new Date(at).toISOString()
    const { data } = await agent.com.atproto.repo.putRecord(
      {
        repo: did,
        collection: family.vote,
        rkey: own ? parseAtUri(own.uri)!.rkey : voteRkey(poll),
        record: family.writeVote({ subject: poll, option, createdAt }),
        ...(own === undefined ? {} : { swapRecord: own?.cid ?? null }),
      },
      { signal },
    )
    signal.throwIfAborted()
    await index.put(data.uri, { did, poll, option, createdAt, cid: data.cid })
    await outbox.add('votes', data.uri, { poll, option })
  }

  /** Deletes all votes for the poll: there may be others, of other clients. */
  async #takeBack(poll: string, isListed: boolean, known: OwnVote[], { did, signal }: Doing): Promise<void> {
    const { accounts, index, outbox } = this.#options
    const { vote: collection } = familyOf(poll)
    const agent = await accounts.agent(did)
    const usual = formatAtUri({ repo: did, collection, rkey: voteRkey(poll) })
    const isKnown = isListed || known.some(({ uri }) => uri === usual)
    for (const { uri, cid } of isKnown ? known : [...known, { uri: usual, cid: undefined }]) {
      const { rkey } = parseAtUri(uri)!
      await agent.com.atproto.repo.deleteRecord(
        { repo: did, collection, rkey, ...(cid === undefined ? {} : { swapRecord: cid }) },
        { signal },
      )
      signal.throwIfAborted()
      await index.delete(uri)
      await outbox.add('votes', uri, { poll, option: null })
    }
  }

  /** Whether the repo has a vote as it was to be written. */
  async #isCast({ poll, option }: CastVote, { did, at, signal }: Doing): Promise<boolean> {
    const { index } = this.#options
    try {
      signal.throwIfAborted()
      await index.refresh(did, 0)
      signal.throwIfAborted()
    } catch {
      return false
    }
    const [own] = await index.votesFor(did, poll)
    if (option === null) return own === undefined
    return own?.option === option && Date.parse(own.createdAt) === at
  }

  /** Shows what is in the repo, as soon as that can be asked, and what comes late. */
  async #lookAgain(look: { poll: string; uri: string; did: string; failed: number; waits: number[] }) {
    const { index } = this.#options
    const { poll, did, failed, waits } = look
    for (const wait of waits) {
      await new Promise((resolve) => setTimeout(resolve, wait))
      const listed = await index.refresh(did, Math.min(SHARED, Date.now() - failed)).then(
        () => true,
        () => false,
      )
      if (!listed) continue
      const [own] = await index.votesFor(did, poll)
      this.#show({ ...look, option: own?.option ?? null })
    }
  }

  async #tell(uri: string, voter: PageAccount): Promise<void> {
    const { index, live, pages, repos } = this.#options
    const poll = live.known(uri)?.uri ?? (await repos.canonical(uri).catch(() => undefined))
    if (poll === undefined) return
    const [own] = await index.votesFor(voter.did, poll)
    pages.send({ type: 'own', uri, voter, option: own?.option ?? null })
  }

  /** To every page that shows a poll. @param vote `uri`: as the page calls it that voted */
  #show({ poll, uri, did, option }: CastVote & { uri: string; did: string }): void {
    const { pages } = this.#options
    const { rkey } = parseAtUri(poll)!
    for (const it of pages.all())
      if (it === uri || it === poll) pages.send({ type: 'own', uri: it, voter: { did }, option })
      // Perhaps the same poll by another name.
      else if (parseAtUri(it)!.rkey === rkey) this.#tell(it, { did }).catch(() => {})
  }
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
