/** Who made the poll and when, who voted for what, and the poll's own page. */
import type { PollView } from '@pollz/shared/wire'
import { useEffect, useRef } from 'preact/hooks'
import { Check } from './Check.tsx'
import { FollowedList } from './Followed.tsx'
import type { PollModel } from './model.ts'
import { nameOf } from './Notice.tsx'
import { useTexts } from './texts.ts'

/** While the tally moves the voters are asked for anew at most this often, in ms. */
const EVERY = 3_000

export function Details({ model, poll }: { model: PollModel; poll: PollView }) {
  const { t, date, list } = useTexts()
  const voters = model.voters.value
  useVotersOfTally(model, poll)
  if (!voters) return null
  const { votes, cursor, author, state } = voters
  const own = model.own.value?.voter.did
  return (
    <div class="details">
      <p class="facts">
        <Person model={model} did={poll.repo} handle={poll.handle ?? author} />
        <time dateTime={poll.createdAt}>{date(poll.createdAt)}</time>
        <a class="link" href={model.around.linkTo(poll.uri)} target="_blank" rel="noopener">
          {t('pollPage')}
        </a>
      </p>
      <ul class="voters" aria-label={t('voters')}>
        {votes.map(({ voter, handle, option, options = [option], uri }) => (
          <li key={uri} class={voter === own ? 'own' : undefined}>
            <span>
              <Person model={model} did={voter} handle={handle} />
              {voter === own && ` (${t('you')})`}
            </span>
            <span class="choice" dir="auto">
              {list(options.flatMap((i) => poll.options[i]?.text ?? []))}
            </span>
          </li>
        ))}
      </ul>
      <p role="status" class="hint">
        {state === 'loading' && t('loadingVoters')}
        {state === 'failed' && t('votersUnavailable')}
        {state === 'there' && votes.length === 0 && t('noVoters')}
      </p>
      {(state === 'failed' || (state === 'there' && cursor !== undefined)) && (
        <button type="button" class="link" onClick={() => model.moreVoters()}>
          {t(state === 'failed' ? 'tryAgain' : 'showMore')}
        </button>
      )}
      <FollowedList model={model} poll={poll} />
      <Check model={model} poll={poll} />
    </div>
  )
}

/** The list has those whom the tally counts: it moves with it while it is open. */
function useVotersOfTally(model: PollModel, { version }: PollView): void {
  const state = model.voters.value?.state
  const last = useRef({ version, at: 0 })
  useEffect(() => {
    if (state === undefined) last.current = { version, at: 0 }
    if (state !== 'there' || last.current.version === version) return undefined
    const renew = () => {
      last.current = { version, at: Date.now() }
      model.renewVoters()
    }
    const timer = setTimeout(renew, Math.max(0, last.current.at + EVERY - Date.now()))
    return () => clearTimeout(timer)
  }, [state, version])
}

type PersonProps = { model: PollModel; did: string; handle: string | undefined }

function Person({ model, did, handle }: PersonProps) {
  return (
    <a class="link" dir="auto" href={model.around.profileOf(handle ?? did)} target="_blank" rel="noopener">
      {nameOf(handle ?? did)}
    </a>
  )
}
