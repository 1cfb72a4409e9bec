/** Polls that have ended lately, of those that somebody has to do with. */
import { parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll, home } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'
import type { Look } from './look.ts'
import type { Repos } from './repos.ts'
import type { VoteIndex } from './vote-index.ts'

/** For so long, in ms, an end is news. */
export const LATELY = 7 * 86_400_000
/** So many are looked at: of each kind the newest. */
const LOOKED = 30
const LISTED = 10
/** Two clocks differ by less, in ms: what a record says of its end is looked at all the same. */
const CLOCKS = 86_400_000

export type EndedOptions = {
  index: Pick<VoteIndex, 'refresh' | 'all'>
  repos: Pick<Repos, 'list'>
  look: (uri: string) => Promise<Look>
}

/**
 * Nothing of it is kept: the votes and polls are those of the account's PDS, and the server says when each has ended.
 *
 * @param did of the account whose polls and votes they are; undefined: nobody's
 * @param asked at-uris by DID of more polls, the newest first
 * @returns what has ended in the last week by the server's clock, the latest first
 */
export async function endedLately(
  { index, repos, look }: EndedOptions,
  did: string | undefined,
  asked: readonly string[],
): Promise<PollView[]> {
  const [made, voted] =
    did === undefined
      ? [[], []]
      : await Promise.all([
          // Where the PDS can't be asked, the rest has to do.
          madeBy(repos, did).catch(() => []),
          index
            .refresh(did)
            .catch(() => {})
            .then(() => index.all(did)),
        ])
  // A vote may name whatever its client wrote.
  const votedOn = [...new Set(voted.map(({ poll }) => poll))].filter(isPoll).slice(0, LOOKED)
  const looks = await Promise.all([...new Set([...asked.slice(0, LOOKED), ...made, ...votedOn])].map(look))
  return looks
    .flatMap((it) => (typeof it === 'object' && isLate(endOf(it.poll), it.now) ? it.poll : []))
    .toSorted((a, b) => endOf(b) - endOf(a))
    .slice(0, LISTED)
}

const isPoll = (uri: string) => familyOfPoll.has(parseAtUri(uri)?.collection ?? '')

const endOf = ({ endsAt = '' }: { endsAt?: string }) => Date.parse(endsAt)
const isLate = (end: number, now: number) => end <= now && end > now - LATELY

async function madeBy(repos: EndedOptions['repos'], did: string): Promise<string[]> {
  const { records } = await repos.list(did, home.poll, { limit: LOOKED })
  const now = Date.now()
  return records.flatMap(({ uri, value }) => {
    const read = home.readPoll(value, { did, collection: home.poll, rkey: parseAtUri(uri)!.rkey })
    const mayBeLate = read.ok && Math.abs(endOf(read.value) - now) < LATELY + CLOCKS
    return mayBeLate ? [uri] : []
  })
}
