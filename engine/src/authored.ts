/** Polls of one's own: written to the author's PDS, changed, deleted, and found again. */
import { XRPCError } from '@atproto/api'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll, home } from '@pollz/shared/families'
import { parsePollLink, type PollHosts } from '@pollz/shared/links'
import type { Act } from '@pollz/shared/engine'
import { isValidDid } from '@atproto/syntax'
import type { Accounts } from './accounts.ts'
import type { Doing } from './acts.ts'
import type { Outbox } from './outbox.ts'
import type { Pages } from './pages.ts'
import { TooLate } from './reasons.ts'
import type { Repos } from './repos.ts'
import { swapping } from './swap.ts'
import type { VoteIndex } from './vote-index.ts'

export type AuthoredOptions = {
  accounts: Accounts
  repos: Repos
  pages: Pages
  index: VoteIndex
  outbox: Outbox
  /** by how many ms the server's clock, by which polls end, is ahead of this one */
  ahead: () => number
}

/** Votes, and polls, that are listed. */
const LISTED = 10
/** Records of one request, and requests, that are searched for a poll's post. */
const POSTS = 100
const MAX_REQUESTS = 3

/** `posted`: whether a post of its author's links to it; undefined: they have written too much since then to say. */
export type Made = { uri: string; options: number; posted: boolean | undefined }

/** `votedOn`: at-uris of polls. Both: the newest first. */
export type Mine = { votedOn: string[]; made: Made[] }

export class Authored {
  #options: AuthoredOptions

  constructor(options: AuthoredOptions) {
    this.#options = options
  }

  /**
   * A new poll is dated by the click; under the same key and with the same date a second try writes the same bytes. Of one
   * that is changed everything stays that the draft does not say: the end to the digit, what only other clients know.
   *
   * @returns at-uri of the poll
   * @throws with the PDS's reason; TooLate
   */
  async publish({ rkey, draft }: Act & { type: 'publish' }, { did, at, signal }: Doing): Promise<string> {
    const { accounts, ahead, outbox } = this.#options
    // An end counts from the click, as `createdAt` does, so it may pass while somebody signs in. Moved to a later time it
    // would be another one with each try; a poll that nobody can vote on is not what its author wanted. Whoever tries again
    // clicks again, and an end in an hour is in an hour from then.
    if (draft.endsAt && Date.parse(draft.endsAt) <= Date.now() + ahead())
      throw new TooLate(`the poll would have ended at ${draft.endsAt}`)
    const agent = await accounts.agent(did)
    const place = { repo: did, collection: home.poll, rkey }
    const uri = formatAtUri(place)
    await swapping(async () => {
      const { there, swap } = await this.#there(uri, signal, draft.createdAt === undefined)
      const before = draft.createdAt === undefined ? undefined : (there as Partial<typeof draft>)
      const { endsAt, multiple, ...said } = { ...before, ...draft }
      const record = {
        createdAt: new Date(at).toISOString(),
        ...said,
        $type: home.poll,
        ...(endsAt ? { endsAt } : {}),
        ...(multiple ? { multiple } : {}),
      }
      await agent.com.atproto.repo.putRecord({ ...place, record, ...swap }, { signal })
    })
    await outbox.add('polls', uri)
    return uri
  }

  /** @returns at-uri of what was a poll @throws with the PDS's reason */
  async delete({ uri }: Act & { type: 'delete' }, { did, signal }: Doing): Promise<string> {
    const { accounts, outbox, pages, repos } = this.#options
    const poll = await repos.canonical(uri)
    const place = parseAtUri(poll)!
    if (place.repo !== did) throw new Error(`${poll} is not a poll of ${did}`)
    // Other families' polls go with the post or the document that they are part of.
    if (place.collection !== home.poll) throw new Error(`${poll} is another client's to delete`)
    const agent = await accounts.agent(did)
    await swapping(async () => {
      const { swap } = await this.#there(poll, signal, true)
      const named = typeof swap.swapRecord === 'string' ? { swapRecord: swap.swapRecord } : {}
      await agent.com.atproto.repo.deleteRecord({ ...place, ...named }, { signal })
    })
    await outbox.add('polls', poll)
    // Where the server is away, nobody else says so.
    pages.send({ type: 'missing', uri, error: 'PollNotFound' })
    return poll
  }

  /**
   * What a write is to replace. `swap`: names its version; null: there is nothing; none: the PDS does not say.
   *
   * @param unseen it may be written without having been read
   * @throws if the PDS is away
   */
  async #there(
    uri: string,
    signal: AbortSignal,
    unseen: boolean,
  ): Promise<{ there?: unknown; swap: { swapRecord?: string | null } }> {
    try {
      const there = await this.#options.repos.read(uri, signal)
      if (!there) return { swap: { swapRecord: null } }
      return { there: there.value, swap: there.cid === undefined ? {} : { swapRecord: there.cid } }
    } catch (error) {
      // Of an account that is not active a PDS reads nothing, or asks elsewhere: why, it says of the write.
      if (unseen && error instanceof XRPCError && error.status >= 400) return { swap: {} }
      throw error
    }
  }

  /**
   * What an account voted on and made lately, as its PDS has it.
   *
   * @param hosts whose links are polls
   * @throws where the PDS can't be asked
   */
  async mine(did: string, hosts: PollHosts): Promise<Mine> {
    const { index, repos } = this.#options
    await index.refresh(did)
    const votes = await index.all(did)
    const { records } = await repos.list(did, home.poll, { limit: LISTED })
    const polls = records.flatMap(({ uri, value }) => {
      const read = home.readPoll(value, { did, collection: home.poll, rkey: parseAtUri(uri)!.rkey })
      return read.ok ? [{ uri, options: read.value.options.length }] : []
    })
    const posted = await this.#posted(
      did,
      polls.map(({ uri }) => uri),
      hosts,
    ).catch(() => new Map<string, boolean>())
    return {
      // A vote may name whatever its client wrote.
      votedOn: [...new Set(votes.map(({ poll }) => poll))].filter(isPoll).slice(0, LISTED),
      made: polls.map((poll) => ({ ...poll, posted: posted.get(poll.uri) })),
    }
  }

  /** Which of these polls are linked to by a post of their author: no list of ours can know what was really sent. */
  async #posted(did: string, polls: string[], hosts: PollHosts): Promise<Map<string, boolean>> {
    const posted = new Map<string, boolean>()
    const missing = new Set(polls)
    let cursor: string | undefined
    for (let i = 0; i < MAX_REQUESTS && missing.size > 0; i++) {
      const page = await this.#options.repos.list(did, 'app.bsky.feed.post', {
        limit: POSTS,
        ...(cursor === undefined ? {} : { cursor }),
      })
      for (const uri of page.records.flatMap(({ value }) => linksIn(value, hosts))) {
        const named = parseAtUri(uri)!
        // A handle in it is theirs: nobody else's poll has this key.
        const poll = isValidDid(named.repo) ? uri : formatAtUri({ ...named, repo: did })
        if (missing.delete(poll)) posted.set(poll, true)
      }
      // Keys of posts and of polls tell the time: a post is not older than the poll that it links to.
      const last = page.records.at(-1)
      const oldest = last ? parseAtUri(last.uri)!.rkey : ''
      cursor = page.cursor
      for (const poll of missing) {
        if (cursor !== undefined && parseAtUri(poll)!.rkey < oldest) continue
        missing.delete(poll)
        posted.set(poll, false)
      }
    }
    return posted
  }
}

const isPoll = (uri: string) => familyOfPoll.has(parseAtUri(uri)?.collection ?? '')

/** A post's author may have written anything: what is a list is one of whatever. */
const list = (value: unknown): ({ features?: unknown; uri?: unknown } | null | undefined)[] =>
  Array.isArray(value) ? value : []

/** at-uris of polls that a post links to, in its text or by its card. */
function linksIn(post: unknown, hosts: PollHosts): string[] {
  const { facets, embed } = post as {
    facets?: unknown
    embed?: { external?: { uri?: unknown }; media?: { external?: { uri?: unknown } } }
  }
  const uris = [
    embed?.external?.uri,
    embed?.media?.external?.uri,
    ...list(facets).flatMap((facet) => list(facet?.features).map((feature) => feature?.uri)),
  ]
  return uris.flatMap((uri) => (typeof uri === 'string' ? (parsePollLink(uri, hosts) ?? []) : []))
}
