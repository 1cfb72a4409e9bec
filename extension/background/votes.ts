/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
import { familyOfPoll } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { apiError, pollView, voteView, type VoteView } from '@pollz/shared/wire'
import { XRPCError, type Agent } from '@atproto/api'
import type { ToBackground } from '../messages.ts'
import type { Accounts, Intent } from './accounts.ts'
import type { Live } from './live.ts'
import type { Tabs } from './tabs.ts'

type Parts = { server: string; accounts: Accounts; live: Live; tabs: Tabs }

/** A voter may have votes from several clients for one poll; nobody has more than a few. */
const MAX_TAKEN_BACK = 10

export class Votes {
  #parts: Parts
  /** `createdAt` of votes that were tried but not confirmed: a retry writes the same bytes. */
  #tried = new Map<string, string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Tells the tabs which option a voter has chosen. */
  async showOwn(uri: string, pageAccount: string | undefined): Promise<void> {
    const { accounts, live, tabs } = this.#parts
    const voter = pageAccount ?? (await accounts.any())
    if (voter === undefined) return
    const poll = await live.poll(uri)
    const own = await this.#ownVote(poll.uri, voter).catch(() => undefined)
    if (own !== undefined) tabs.send(uri, { type: 'own', uri, option: own?.option ?? null })
  }

  async vote({ uri, option, voter, identifier }: ToBackground & { type: 'vote' }): Promise<void> {
    const { accounts, tabs } = this.#parts
    try {
      const did = identifier === undefined ? (voter ?? (await accounts.any())) : undefined
      if (did !== undefined && (await accounts.isSignedIn(did))) {
        if (await this.#cast(did, { uri, option })) return
      }
      const who = did ?? identifier
      if (who === undefined) {
        tabs.send(uri, { type: 'whoAreYou', uri, option })
        return
      }
      tabs.send(uri, { type: 'signingIn', uri })
      await accounts.signIn(who, { uri, option })
    } catch (error) {
      tabs.send(uri, { type: 'refused', uri, reason: reasonOf(error) })
    }
  }

  /** What the sign-in was for. */
  async signedIn(did: string, intent: Intent): Promise<void> {
    const { tabs } = this.#parts
    try {
      if (await this.#cast(did, intent)) return
      throw new Error('the session ended at once')
    } catch (error) {
      tabs.send(intent.uri, { type: 'refused', uri: intent.uri, reason: reasonOf(error) })
    }
  }

  /**
   * @returns false where the session turned out to be over
   * @throws with the PDS's reason
   */
  async #cast(did: string, { uri, option }: Intent): Promise<boolean> {
    const { accounts, live, tabs } = this.#parts
    try {
      // The tab that it was cast in may be gone by now.
      const { uri: poll } = live.known(uri) ?? pollView.parse(await this.#ask(pollPath(uri)))
      const agent = await accounts.agent(did)
      if (option === null) await this.#takeBack(agent, did, poll)
      else await this.#put(agent, did, poll, option)
    } catch (error) {
      // The client forgets a session that is revoked or expired.
      if (!(await accounts.isSignedIn(did))) return false
      throw error
    }
    tabs.send(uri, { type: 'own', uri, option })
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

  /** The vote that counts now, as the server knows it; null: none. @throws where the server can't be asked */
  async #ownVote(poll: string, did: string): Promise<VoteView | null> {
    const query = new URLSearchParams({ voter: did })
    const body = await this.#ask(`${pollPath(poll)}/votes?${query}`)
    if (!Array.isArray(body)) throw new Error('votes: expected a list')
    return body.length === 0 ? null : voteView.parse(body[0])
  }

  /** The tally that includes this vote; where the server can't be reached, it learns of it through tap. */
  async #announce(vote: string): Promise<void> {
    const body = await this.#ask('/api/votes', { uri: vote }).catch(() => undefined)
    const poll = pollView.safeParse(body)
    if (poll.success) this.#parts.live.update(poll.value)
  }

  async #ask(path: string, body?: unknown): Promise<unknown> {
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
    if (response.ok) return answer
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

function reasonOf(error: unknown): string {
  if (error instanceof XRPCError) return error.message || error.error
  return error instanceof Error ? error.message : String(error)
}
