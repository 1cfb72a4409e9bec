/** Who made the poll and when, who voted for what, and the poll's own page. */
import type { PollView } from '@pollz/shared/wire'
import type { PollModel } from './model.ts'
import { nameOf } from './Notice.tsx'
import { useTexts } from './texts.ts'

export function Details({ model, poll }: { model: PollModel; poll: PollView }) {
  const { t, date } = useTexts()
  const voters = model.voters.value
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
        {votes.map(({ voter, handle, option, uri }) => (
          <li key={uri} class={voter === own ? 'own' : undefined}>
            <span>
              <Person model={model} did={voter} handle={handle} />
              {voter === own && ` (${t('you')})`}
            </span>
            <span class="choice" dir="auto">
              {poll.options[option]?.text}
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
    </div>
  )
}

type PersonProps = { model: PollModel; did: string; handle: string | undefined }

function Person({ model, did, handle }: PersonProps) {
  return (
    <a class="link" dir="auto" href={model.around.profileOf(handle ?? did)} target="_blank" rel="noopener">
      {nameOf(handle ?? did)}
    </a>
  )
}
