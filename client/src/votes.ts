/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
import type { Agent } from '@atproto/api'
import { familyOfPoll } from '@pollz/shared/families'
import { voteRkey } from '@pollz/shared/votes'
import { voteView, type VoteView } from '@pollz/shared/wire'
import type { Act, PageAccount } from '@pollz/widget/messages'
import type { Accounts } from './accounts.ts'
import { pollPath, type Api } from './api.ts'
import type { Live } from './live.ts'
import type { Pages } from './pages.ts'
import type { Repos } from './repos.ts'

type Parts = { api: Api; accounts: Accounts; live: Live; repos: Repos; pages: Pages; voted: () => void }

/** A voter may have votes from several clients for one poll; nobody has more than a few. */
const MAX_TAKEN_BACK = 10

export class Votes {
  #parts: Parts
  /** `createdAt` of votes that were tried but not confirmed: a retry writes the same bytes. */
  #tried = new Map<string, string>()

  /** @param parts `voted` is called after each vote that was cast */
  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Tells the pages which option a voter has chosen. */
  async showOwn(uri: string, account: PageAccount | undefined): Promise<void> {
    const { accounts, pages } = this.#parts
    const voter = account ?? (await accounts.lastUsed())
    if (voter === undefined) return
    const option = await this.#ownOption(uri, voter.did).catch(() => undefined)
    if (option !== undefined) pages.send({ type: 'own', uri, voter, option })
  }

  /** @returns at-uri of the poll @throws with the PDS's reason */
  async cast(did: string, { uri, option }: Act & { type: 'vote' }): Promise<string> {
    const { accounts, live, repos, pages, voted } = this.#parts
    const poll = live.known(uri)?.uri ?? (await repos.canonical(uri))
    const agent = await accounts.agent(did)
    if (option === null) await this.#takeBack(agent, did, poll)
    else await this.#put(agent, did, poll, option)
    pages.send({ type: 'own', uri, voter: { did }, option })
    voted()
    return poll
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

  /** The option that counts; without a server, that of the record which this client would write. */
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
    const { body } = await this.#parts.api.ask(`${pollPath(poll)}/votes?${query}`)
    if (!Array.isArray(body)) throw new Error('votes: expected a list')
    return body.length === 0 ? null : voteView.parse(body[0])
  }

  async #announce(vote: string): Promise<void> {
    const poll = await this.#parts.api.announce('votes', vote)
    if (poll) this.#parts.live.update(poll)
  }
}

function familyOf(poll: string) {
  const family = familyOfPoll.get(poll.split('/')[3]!)
  if (!family) throw new Error(`no family has the poll ${poll}`)
  return family
}
