/** How the people whom the reader follows have voted, once they have asked for it. */
import type { PollView } from '@pollz/shared/wire'
import type { PollModel } from './model.ts'
import { byPerson, nameOf } from './Notice.tsx'
import { useTexts } from './texts.ts'

type FollowedProps = { model: PollModel; poll: PollView }

/** "7 people you follow: 5 Tea, 2 Coffee", beside the total. */
export function FollowedLine({ model, poll }: FollowedProps) {
  const { t, number, list } = useTexts()
  const following = model.following.value
  if (!following?.on || following.people.length === 0 || !model.showsResults.value) return null
  const parts = poll.options.flatMap(({ text }, i) => {
    const n = following.people.filter(({ options }) => options.includes(i)).length
    return n === 0 ? [] : [`${number(n)} ${text}`]
  })
  const { length } = following.people
  return (
    <span class="followed" dir="auto">
      {following.people.map(
        ({ did, face }) => face !== undefined && <img key={did} src={face} alt="" width="16" height="16" />,
      )}
      {t(length === 1 ? 'followed_one' : 'followed_other', number(length), list(parts))}
    </span>
  )
}

/** Who of them, in the details. */
export function FollowedList({ model, poll }: FollowedProps) {
  const { t, list } = useTexts()
  const following = model.following.value
  if (!following) return null
  if (!following.on)
    return (
      <p class="actions">
        <button type="button" class="link" onClick={byPerson(() => model.follow(true))}>
          {t('showFollowed')}
        </button>
        <span class="hint">{t('showFollowedHelp')}</span>
      </p>
    )
  return (
    <div class="check">
      <p role="status" class="hint">
        {following.failed ? t('followedFailed') : following.people.length === 0 && t('followedNobody')}
      </p>
      {following.people.length > 0 && <p>{t('followedWho')}</p>}
      {following.people.length > 0 && (
        <ul class="voters" aria-label={t('followedWho')}>
          {following.people.map(({ did, handle, options }) => (
            <li key={did}>
              <a
                class="link"
                dir="auto"
                href={model.around.profileOf(handle ?? did)}
                target="_blank"
                rel="noopener"
              >
                {nameOf(handle ?? did)}
              </a>
              <span class="choice" dir="auto">
                {list(options.flatMap((i) => poll.options[i]?.text ?? []))}
              </span>
            </li>
          ))}
        </ul>
      )}
      <button type="button" class="link" onClick={byPerson(() => model.follow(false))}>
        {t('hideFollowed')}
      </button>
    </div>
  )
}
