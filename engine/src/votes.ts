/** Votes: written to the voter's own PDS, then announced to the server (design section 4). */
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
import type { VoteIndex } from './vote-index.ts'

/** When a repo is listed again after a write of which nobody knows, in ms after each other. */
const LOOK_AGAIN = [0, 1_000, 5_000, 30_000]

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
    const { live, repos, pages, voted } = this.#options
    const poll = live.known(uri)?.uri ?? (await repos.canonical(uri))
    try {
      if (option === null) await this.#takeBack(poll, doing)
      else await this.#put(poll, option, doing)
    } catch (error) {
      // An answer that was lost says nothing of what was written.
      this.#lookAgain(uri, doing.did).catch(() => {})
      throw error
    }
    pages.send({ type: 'own', uri, voter: { did: doing.did }, option })
    voted()
    return poll
  }

  async #put(poll: string, option: number, { did, at, signal }: Doing): Promise<void> {
    const { accounts, index, outbox } = this.#options
    const family = familyOf(poll)
    const agent = await accounts.agent(did)
    // A vote that another client made is changed, not doubled. Where the repo can't be listed, C2 sorts it out.
    await index.refresh(did).catch(() => {})
    const [own] = await index.votesFor(did, poll)
    const rkey = own ? parseAtUri(own.uri)!.rkey : voteRkey(poll)
    const createdAt = new Date(at).toISOString()
    const { data } = await agent.com.atproto.repo.putRecord(
      {
        repo: did,
        collection: family.vote,
        rkey,
        record: family.writeVote({ subject: poll, option, createdAt }),
      },
      { signal },
    )
    await index.put(data.uri, { did, poll, option, createdAt })
    await outbox.add('votes', data.uri)
  }

  /** Deletes all votes for the poll: there may be others, of other clients. */
  async #takeBack(poll: string, { did, signal }: Doing): Promise<void> {
    const { accounts, index, outbox } = this.#options
    const { vote: collection } = familyOf(poll)
    const agent = await accounts.agent(did)
    await index.refresh(did).catch(() => {})
    const known = (await index.votesFor(did, poll)).map(({ uri }) => uri)
    const usual = formatAtUri({ repo: did, collection, rkey: voteRkey(poll) })
    for (const uri of new Set([...known, usual])) {
      const { rkey } = parseAtUri(uri)!
      await agent.com.atproto.repo.deleteRecord({ repo: did, collection, rkey }, { signal })
      await index.delete(uri)
      await outbox.add('votes', uri)
    }
  }

  /** Shows what is in the repo, as soon as that can be asked. */
  async #lookAgain(uri: string, did: string): Promise<void> {
    for (const wait of LOOK_AGAIN) {
      await new Promise((resolve) => setTimeout(resolve, wait))
      const listed = await this.#options.index.refresh(did, 0).then(
        () => true,
        () => false,
      )
      if (listed) return this.#tell(uri, { did })
    }
  }

  async #tell(uri: string, voter: PageAccount): Promise<void> {
    const { index, live, pages, repos } = this.#options
    const poll = live.known(uri)?.uri ?? (await repos.canonical(uri).catch(() => undefined))
    if (poll === undefined) return
    const [own] = await index.votesFor(voter.did, poll)
    pages.send({ type: 'own', uri, voter, option: own?.option ?? null })
  }
}

function familyOf(poll: string) {
  const { collection } = parseAtUri(poll)!
  const family = familyOfPoll.get(collection)
  if (!family) throw new Error(`no family has the poll ${poll}`)
  return family
}
