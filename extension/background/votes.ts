/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
import { families, familyOfPoll, home } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { apiError, pollView, voteView, type VoteView } from '@pollz/shared/wire'
import { XRPCError, type Agent } from '@atproto/api'
import type { PageAccount, Reason, Requests, ToBackground } from '../messages.ts'
import type { Accounts, Intent } from './accounts.ts'
import type { Live } from './live.ts'
import type { Repos } from './repos.ts'
import type { Port, Tabs } from './tabs.ts'

type Parts = {
  server: string
  accounts: Accounts
  live: Live
  repos: Repos
  tabs: Tabs
  /** A vote was cast. */
  voted: () => void
}

/** A voter may have votes from several clients for one poll; nobody has more than a few. */
const MAX_TAKEN_BACK = 10
/** Voters on one page of a poll's details. */
const VOTERS = 20
/** Votes, and polls, that the popup lists. */
const MINE = 10

export class Votes {
  #parts: Parts
  /** `createdAt` of votes that were tried but not confirmed: a retry writes the same bytes. */
  #tried = new Map<string, string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Tells the tabs which option a voter has chosen. */
  async showOwn(uri: string, account: PageAccount | undefined): Promise<void> {
    const { accounts, tabs } = this.#parts
    const voter = account ?? (await accounts.lastUsed())
    if (voter === undefined) return
    const option = await this.#ownOption(uri, voter.did).catch(() => undefined)
    if (option !== undefined) tabs.send({ type: 'own', uri, voter, option })
  }

  async vote(port: Port, message: ToBackground & { type: 'vote' }): Promise<void> {
    const { accounts, tabs } = this.#parts
    const { uri, option, account, identifier } = message
    const tab = tabs.tabOf(port)
    const intent: Intent = { uri, option, voter: account?.did, tab }
    try {
      const voter = identifier === undefined ? (account ?? (await accounts.lastUsed())) : undefined
      if (
        voter !== undefined &&
        (await accounts.isSignedIn(voter.did)) &&
        (await this.#cast(voter.did, intent))
      )
        return
      const as = voter?.did ?? identifier
      if (as === undefined) {
        tabs.sendTab(tab, { type: 'whoAreYou', uri, option })
        return
      }
      tabs.sendTab(tab, { type: 'signingIn', uri, option, as: voter?.handle ?? as })
      await accounts.signIn(as, intent)
    } catch (error) {
      this.refuse(intent, reasonOf(error))
    }
  }

  /** Goes on with what the sign-in was for. */
  async signedIn(did: string, intent: Intent): Promise<void> {
    if (intent.uri === undefined) return
    try {
      if (await this.#cast(did, intent)) return
      this.refuse(intent, { name: 'signInFailed', detail: 'the session ended at once' })
    } catch (error) {
      this.refuse(intent, reasonOf(error))
    }
  }

  refuse({ uri, option, tab }: Intent, reason: Reason): void {
    if (uri !== undefined) this.#parts.tabs.sendTab(tab, { type: 'refused', uri, option, reason })
  }

  /** A page of a poll's voters. */
  async showVoters(port: Port, uri: string, cursor: string | undefined): Promise<void> {
    const { live, repos, tabs } = this.#parts
    const query = new URLSearchParams({ limit: String(VOTERS), ...(cursor === undefined ? {} : { cursor }) })
    const answer = await this.#ask(`${pollPath(uri)}/votes?${query}`).catch(() => undefined)
    const votes = Array.isArray(answer?.body)
      ? await Promise.all(
          answer.body.flatMap((it: unknown) => {
            const vote = voteView.safeParse(it)
            return vote.success ? [this.#named(vote.value)] : []
          }),
        )
      : undefined
    const poll = live.known(uri)
    const author = poll && (poll.handle ?? (await repos.handleOf(poll.repo)))
    tabs.post(port, { type: 'voters', uri, votes, cursor: answer?.next, author })
  }

  /** The server knows handles as far as tap has told it. */
  async #named(vote: VoteView): Promise<VoteView> {
    if (vote.handle !== undefined) return vote
    const handle = await this.#parts.repos.handleOf(vote.voter)
    return { ...vote, ...(handle === undefined ? {} : { handle }) }
  }

  /** What an account voted on and made lately, as its PDS has it. */
  async mine(did: string): Promise<Requests['mine']['answer']> {
    const { repos } = this.#parts
    try {
      const votes = await Promise.all(
        families.map(async ({ vote, readVote }) =>
          (await repos.list(did, vote, MINE)).flatMap(({ value }) => {
            const read = readVote(value)
            return read.ok ? [read.value] : []
          }),
        ),
      )
      const newest = votes.flat().toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))
      const polls = await repos.list(did, home.poll, MINE)
      return {
        votedOn: [...new Set(newest.map(({ subject }) => subject))].slice(0, MINE),
        made: polls.map(({ uri }) => uri),
      }
    } catch (error) {
      return { failed: reasonOf(error) }
    }
  }

  /**
   * @returns false where the session turned out to be over
   * @throws with the PDS's reason
   */
  async #cast(did: string, { uri, option }: Intent): Promise<boolean> {
    if (uri === undefined) return true
    const { accounts, repos, tabs, voted } = this.#parts
    try {
      const poll = this.#parts.live.known(uri)?.uri ?? (await repos.canonical(uri))
      const agent = await accounts.agent(did)
      if (option === null) await this.#takeBack(agent, did, poll)
      else await this.#put(agent, did, poll, option)
    } catch (error) {
      // The client forgets a session that is revoked or expired.
      if (!(await accounts.isSignedIn(did))) return false
      throw error
    }
    tabs.send({ type: 'own', uri, voter: { did }, option })
    voted()
    await accounts.used(did)
    return true
  }

  async #put(agent: Agent, did: string, poll: string, option: number): Promise<void> {
    const family = familyOf(poll)
    // A vote that another client made is changed, not doubled. Without the server's word, C2 sorts it out.
    const own = await this.#ownVote(poll, did).catch(() => null)
    const rkey = own?.uri.split('/')[4] ?? voteRkey(poll)
    const attempt = `${did} ${poll} ${option}`
    const createdAt = this.#tried.get(attempt) ?? new Date().toISOString()
    this.#tried.set(attempt, createdAt)
    const { data } = await agent.com.atproto.repo.putRecord({
      repo: did,
      collection: family.vote,
      rkey,
      record: family.writeVote({ subject: poll, option, createdAt }),
    })
    this.#tried.delete(attempt)
    await this.#announce(data.uri)
  }

  /** Deletes the vote that counts until none does: there may be others, of other clients. */
  async #takeBack(agent: Agent, did: string, poll: string): Promise<void> {
    const { vote } = familyOf(poll)
    const remove = async (rkey: string) => {
      await agent.com.atproto.repo.deleteRecord({ repo: did, collection: vote, rkey })
      await this.#announce(`at://${did}/${vote}/${rkey}`)
    }
    await remove(voteRkey(poll))
    for (let i = 0; i < MAX_TAKEN_BACK; i++) {
      const own = await this.#ownVote(poll, did).catch(() => null)
      if (!own) return
      await remove(own.uri.split('/')[4]!)
    }
  }

  /** The option that counts; without a server, that of the record which this extension would write. */
  async #ownOption(uri: string, did: string): Promise<number | null> {
    const { live, repos } = this.#parts
    const known = await live.poll(uri)
    if (known && live.online !== false) return (await this.#ownVote(known.uri, did))?.option ?? null
    const poll = known?.uri ?? (await repos.canonical(uri))
    const family = familyOf(poll)
    const read = family.readVote(await repos.read(did, family.vote, voteRkey(poll)))
    return read.ok ? read.value.option : null
  }

  /** The vote that counts now, as the server knows it; null: none. @throws where the server can't be asked */
  async #ownVote(poll: string, did: string): Promise<VoteView | null> {
    const query = new URLSearchParams({ voter: did })
    const { body } = await this.#ask(`${pollPath(poll)}/votes?${query}`)
    if (!Array.isArray(body)) throw new Error('votes: expected a list')
    return body.length === 0 ? null : voteView.parse(body[0])
  }

  /** The tally that includes this vote; where the server can't be reached, it learns of it through tap. */
  async #announce(vote: string): Promise<void> {
    const answer = await this.#ask('/api/votes', { uri: vote }).catch(() => undefined)
    const poll = pollView.safeParse(answer?.body)
    if (poll.success) this.#parts.live.update(poll.value)
  }

  /** @returns the answer, and the cursor of the page after it */
  async #ask(path: string, body?: unknown): Promise<{ body: unknown; next: string | undefined }> {
    const response = await fetch(new URL(path, this.#parts.server), {
      signal: AbortSignal.timeout(15_000),
      ...(body === undefined
        ? {}
        : {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(body),
          }),
    })
    const answer: unknown = await response.json()
    if (response.ok) {
      const next = /[?&]cursor=([^&>]+)/.exec(response.headers.get('link') ?? '')?.[1]
      return { body: answer, next: next && decodeURIComponent(next) }
    }
    const error = apiError.safeParse(answer)
    throw new Error(error.success ? error.value.message : `the server answered ${response.status}`)
  }
}

const pollPath = (uri: string) => `/api/polls/${encodeURIComponent(uri)}`

function familyOf(poll: string) {
  const family = familyOfPoll.get(poll.split('/')[3]!)
  if (!family) throw new Error(`no family has the poll ${poll}`)
  return family
}

export function reasonOf(error: unknown): Reason {
  // What fetch throws where there is no answer says nothing of use to a person; the clients wrap it.
  for (let it: unknown = error; it instanceof Error; it = it.cause)
    if (it instanceof TypeError || it.name === 'TimeoutError') return { name: 'unreachable' }
  if (error instanceof XRPCError) return { name: 'refused', detail: error.message || error.error }
  return { name: 'refused', detail: error instanceof Error ? error.message : String(error) }
}
