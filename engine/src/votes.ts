/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
import { XRPCError } from '@atproto/api'
import { isValidDid } from '@atproto/syntax'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { choiceOf, choicesIn, isSameChoice, type Choice } from '@pollz/shared/choices'
import type { Act, PageAccount } from '@pollz/shared/engine'
import { voteWrites, type VoteWrites } from '@pollz/shared/votes'
import type { Accounts } from './accounts.ts'
import type { Doing } from './acts.ts'
import type { Live } from './live.ts'
import type { Outbox } from './outbox.ts'
import type { Pages, Port } from './pages.ts'
import { PollNotRead } from './reasons.ts'
import type { Repos } from './repos.ts'
import type { CastVote } from './storage.ts'
import { isSwapped } from './swap.ts'
import { chosenIn, familyOf, readVote, type OwnVote, type VoteIndex } from './vote-index.ts'

/** When a repo is listed again after a write of which nobody knows how it went, in ms after each other. */
const LOOK_AGAIN = [0, 1_000, 5_000, 30_000]
/** What is as new as this, in ms, serves a page that comes back into view. */
const COME_BACK = 1_000
/** Looks that are as close as this, in ms, share a list. */
const SHARED = 500
/** How often a vote is tried whose record changes all the time. */
const MAX_TRIES = 3

/** What is to be written. `cid`: of the poll, where a vote names it */
type Vote = CastVote & { cid: string | undefined }

/** `uri`: its at-uri */
type Located = VoteWrites['delete'][number] & { uri: string }
type Put = VoteWrites['put'][number] & Located

type Step = {
  /** cid of what stands in its place; null: nothing does; undefined: nobody knows */
  swapRecord: string | null | undefined
  /** cid of the repo's last commit; undefined: it may be any */
  swapCommit?: string | undefined
  /** what is cast with it, if nothing is left to do */
  vote: Vote | undefined
}

type LookAgain = {
  /** at-uri by DID, and as the page calls it */
  poll: string
  uri: string
  did: string
  /** when nobody knew how it went, in ms since 1970 */
  failed: number
  /** in ms after each other */
  waits: number[]
  /** at-uris of the records that the server is told of */
  told: Set<string>
}

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
  async cast({ uri, ...act }: Act & { type: 'vote' }, doing: Doing): Promise<string> {
    const { index, repos, voted } = this.#options
    const { did } = doing
    // The server has no say in what is voted on.
    const poll = await repos.canonical(uri)
    this.#learn(uri, poll)
    const choice = choiceOf(choicesIn(act))
    const before = await index.votesFor(did, poll)
    const vote = { poll, ...choice, cid: await this.#versionOf(poll, uri, choice) }
    const held = new Set(before.map(({ uri: record }) => record))
    try {
      await this.#write(vote, doing, held)
    } catch (error) {
      const failed = Date.now()
      await index.expire(did).catch((failure: unknown) => console.error('pollz:', failure))
      // An answer that was lost says nothing of what was written.
      const isCast = mayBeWritten(error) && (await this.#isCast(vote, doing))
      if (!isCast) {
        const waits = mayBeWritten(error) ? LOOK_AGAIN : LOOK_AGAIN.slice(0, 1)
        this.#lookAgain({ poll, uri, did, failed, waits, told: new Set(held) }).catch(() => {})
        throw error
      }
      const after = await index.votesFor(did, poll)
      for (const it of new Set([...before, ...after].map(({ uri: record }) => record)))
        await this.#written(it, vote, async () => {})
    } finally {
      this.#options.outbox.release(held)
    }
    this.#show({ poll, uri, did, choice })
    voted()
    return poll
  }

  /** @returns cid of the poll where a vote has to name it; undefined where it does not @throws PollNotRead */
  async #versionOf(poll: string, asked: string, choice: Choice): Promise<string | undefined> {
    if (!familyOf(poll).namesVersion || choice.option === null) return undefined
    const { live, repos } = this.#options
    const known = live.known(asked)
    if (known?.uri === poll && known.cid !== undefined) return known.cid
    const read = await repos.read(poll).catch((cause: unknown) => {
      throw new PollNotRead(poll, cause)
    })
    if (read?.cid === undefined) throw new PollNotRead(poll)
    return read.cid
  }

  /** @param held at-uris of the records of which the server is told, whatever happens: it becomes all that there may be */
  async #write(vote: Vote, doing: Doing, held: Set<string>): Promise<void> {
    const { index, outbox, repos } = this.#options
    const { did, signal } = doing
    const { poll } = vote
    const look = (maxAge?: number) =>
      index.look(did, poll, maxAge).then(
        () => true,
        () => false,
      )
    // Where the repo can't be asked, C2 sorts it out.
    let isAsked = await look()
    /** cid of what stands under the key of a new record though it can't be read as a vote for this poll. */
    const unread = new Map<string, string | undefined>()
    for (let tries = 1; ; tries++) {
      let known = await index.votesFor(did, poll)
      /** cid of the commit up to which all votes are known. */
      let head: string | undefined
      // Each click has a new key of its own: what is on its way under another must not come beside it.
      if (tries < MAX_TRIES && takesNewKey({ vote, known, isAsked, doing })) {
        head = await repos.head(did, signal).catch(() => undefined)
        if (head !== undefined) isAsked = await look(0)
        known = await index.votesFor(did, poll)
      }
      signal.throwIfAborted()
      const writes = writesFor({ vote, known, isAsked, doing })
      const all = [...writes.put, ...writes.delete]
      for (const { uri } of [...known, ...all]) held.add(uri)
      await outbox.hold('votes', held).catch(notNoted)
      try {
        // Nothing but all of them together is what was clicked.
        const last = all.at(-1)
        for (const put of writes.put) {
          const swapped = isAsked ? (unread.get(put.uri) ?? null) : undefined
          const swapRecord = cidIn(known, put.uri) ?? swapped
          const step = { swapRecord, swapCommit: head, vote: put === last ? vote : undefined }
          const commit = await this.#put(put, step, doing)
          if (head !== undefined) head = commit ?? head
        }
        for (const it of writes.delete) {
          const swapRecord = cidIn(known, it.uri)
          await this.#delete(it, { swapRecord, vote: it === last ? vote : undefined }, doing)
        }
        // It was done before, by a worker that did not say so any more.
        if (!last) for (const uri of held) await this.#written(uri, vote, async () => {})
        return
      } catch (error) {
        // Another client has written it since it was read, or an older act whose request was late.
        if (!isSwapped(error) || tries === MAX_TRIES) throw error
        await index.look(did, poll, 0)
        isAsked = true
        const found = await index.votesFor(did, poll)
        if (found.length === 0)
          for (const { uri } of writes.put) unread.set(uri, await index.read(uri, signal))
      }
    }
  }

  /**
   * A vote that another client made is changed, not doubled. It names the version that it changes: what comes late does
   * not undo what was done since.
   *
   * @returns cid of the commit; undefined: there is none, for nothing has changed
   */
  async #put(
    { uri, collection, rkey, record }: Put,
    { swapRecord, swapCommit, vote }: Step,
    { did, signal }: Doing,
  ): Promise<string | undefined> {
    const { accounts, index } = this.#options
    const written = readVote({ uri, cid: '', value: record })
    if (!written) throw new Error(`what would be written is no vote: ${uri}`)
    const agent = await accounts.agent(did)
    const { data } = await agent.com.atproto.repo.putRecord(
      {
        repo: did,
        collection,
        rkey,
        record,
        ...(swapRecord === undefined ? {} : { swapRecord }),
        ...(swapCommit === undefined ? {} : { swapCommit }),
      },
      { signal },
    )
    signal.throwIfAborted()
    await this.#written(uri, vote, () => index.put(uri, { ...written, cid: data.cid }))
    return data.commit?.cid
  }

  async #delete(
    { uri, collection, rkey }: Located,
    { swapRecord, vote }: Step,
    { did, signal }: Doing,
  ): Promise<void> {
    const { accounts, index } = this.#options
    const agent = await accounts.agent(did)
    await agent.com.atproto.repo.deleteRecord(
      { repo: did, collection, rkey, ...(typeof swapRecord === 'string' ? { swapRecord } : {}) },
      { signal },
    )
    signal.throwIfAborted()
    await this.#written(uri, vote, () => index.delete(uri))
  }

  /** What the PDS has done is done, though nothing could be noted here: the disk may be full. */
  async #written(uri: string, vote: Vote | undefined, note: () => Promise<void>): Promise<void> {
    await note().catch(notNoted)
    const cast = vote && { poll: vote.poll, ...choiceOf(choicesIn(vote)) }
    await this.#options.outbox.add('votes', uri, cast).catch(notNoted)
  }

  /** Whether the repo has a vote as it was to be written. */
  async #isCast(vote: Vote, doing: Doing): Promise<boolean> {
    const { index } = this.#options
    const { did, signal } = doing
    const { poll } = vote
    try {
      signal.throwIfAborted()
      await index.look(did, poll, 0)
      signal.throwIfAborted()
    } catch {
      return false
    }
    const known = await index.votesFor(did, poll)
    const writes = writesFor({ vote, known, isAsked: true, doing })
    const isThere = ({ uri, record }: Put) => {
      const [there, wanted] = [known.find((it) => it.uri === uri), readVote({ uri, cid: '', value: record })]
      return there && wanted && isSameChoice(there, wanted) && there.createdAt === wanted.createdAt
    }
    return writes.delete.length === 0 && writes.put.every(isThere)
  }

  /** Shows what is in the repo, as soon as that can be asked, and what comes late, and tells the server of it. */
  async #lookAgain(look: LookAgain) {
    const { index, outbox } = this.#options
    const { poll, did, failed, waits, told } = look
    for (const wait of waits) {
      await new Promise((resolve) => setTimeout(resolve, wait))
      const asked = await index.look(did, poll, Math.min(SHARED, Date.now() - failed)).then(
        () => true,
        () => false,
      )
      if (!asked) continue
      const found = await index.votesFor(did, poll)
      this.#show({ ...look, choice: chosenIn(poll, found) })
      for (const { uri } of found) if (!told.has(uri)) await outbox.add('votes', uri)
      for (const { uri } of found) told.add(uri)
    }
  }

  async #tell(uri: string, voter: PageAccount): Promise<void> {
    const { index, pages } = this.#options
    const poll = this.#pollOf(uri)
    const own = poll === undefined ? undefined : await index.own(voter.did, poll)
    if (own) pages.send({ type: 'own', uri, voter, ...own })
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
  #show({ poll, uri, did, choice }: { poll: string; uri: string; did: string; choice: Choice }): void {
    const { pages } = this.#options
    const { rkey } = parseAtUri(poll)!
    for (const it of new Set([uri, poll, ...pages.all()]))
      if (it === uri || it === poll) pages.send({ type: 'own', uri: it, voter: { did }, ...choice })
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

const notNoted = (error: unknown) => console.error('pollz: a vote is not noted', error)

const cidIn = (known: readonly OwnVote[], uri: string) => known.find((it) => it.uri === uri)?.cid

type Plan = {
  vote: Vote
  /** the voter's records for the poll, as far as they are known, the one that counts first */
  known: OwnVote[]
  /** whether that is all that there are */
  isAsked: boolean
  doing: Doing
}

/** Whether a record is to be written under a key that nobody else would take. */
const takesNewKey = (plan: Plan) =>
  familyOf(plan.vote.poll).key === 'tid' &&
  writesFor(plan).put.some(({ uri }) => cidIn(plan.known, uri) === undefined)

/** What has to be written, by at-uri: the same however often it is worked out from the same records. */
function writesFor({ vote, known, isAsked, doing: { did, at } }: Plan) {
  const family = familyOf(vote.poll)
  const [, ...others] = known
  const createdAt = dated(at, family.together ? [] : others)
  const writes = voteWrites({
    family,
    vote: { poll: { uri: vote.poll, cid: vote.cid }, choices: choicesIn(vote), createdAt },
    at,
    own: known.map(({ uri }) => uri),
  })
  const located = <T extends { collection: string; rkey: string }>(it: T) => ({
    ...it,
    uri: formatAtUri({ repo: did, collection: it.collection, rkey: it.rkey }),
  })
  const isThere = ({ uri }: { uri: string }) => !isAsked || known.some((it) => it.uri === uri)
  return { put: writes.put.map(located), delete: writes.delete.map(located).filter(isThere) }
}
