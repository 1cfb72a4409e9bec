/** Who voted for what, in pages. */
import { voteView, type VoteView } from '@pollz/shared/wire'
import { pollPath, type Api } from './api.ts'
import type { Live } from './live.ts'
import type { Pages, Port } from './pages.ts'

/** Voters on one page. */
const VOTERS = 20

/** `handleOf`: asks the network for handles that the server does not know; it knows them as far as tap has told it. */
type VotersOptions = {
  api: Api
  live: Live
  pages: Pages
  handleOf?: (did: string) => Promise<string | undefined>
}

/** Answers a page that asks for a poll's voters from `cursor` on. */
export async function showVoters(
  { api, live, pages, handleOf }: VotersOptions,
  port: Port,
  uri: string,
  cursor: string | undefined,
): Promise<void> {
  const named = async (vote: VoteView): Promise<VoteView> => {
    const handle = vote.handle ?? (await handleOf?.(vote.voter))
    return { ...vote, ...(handle === undefined ? {} : { handle }) }
  }
  const query = new URLSearchParams({ limit: String(VOTERS), ...(cursor === undefined ? {} : { cursor }) })
  const answer = await api.ask(`${pollPath(uri)}/votes?${query}`).catch(() => undefined)
  const votes = Array.isArray(answer?.body)
    ? await Promise.all(
        answer.body.flatMap((it: unknown) => {
          const vote = voteView.safeParse(it)
          return vote.success ? [named(vote.value)] : []
        }),
      )
    : undefined
  const poll = live.known(uri)
  const author = poll && (poll.handle ?? (await handleOf?.(poll.repo)))
  pages.post(port, { type: 'voters', uri, votes, cursor: answer?.next, author })
}
