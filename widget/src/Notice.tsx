/** What stands between a click and what it does: signing in, or a refusal. */
import { useSignal } from '@preact/signals'
import type { Acting } from './acting.ts'
import { HandleInput, typedHandle } from './HandleInput.tsx'
import type { Act, Reason } from './messages.ts'
import { useTexts, type Key, type Texts } from './texts.ts'

const NOT_DONE = {
  vote: 'notVoted',
  publish: 'notPublished',
  delete: 'notDeleted',
  signIn: 'notSignedIn',
} as const satisfies Record<Act['type'], Key>

type NoticeProps = {
  acting: Acting
  /** What would be done now, where that can have changed meanwhile; undefined: nothing, for something is wrong. */
  current?: () => Act | undefined
}

export function Notice({ acting, current }: NoticeProps) {
  const { t } = useTexts()
  const phase = acting.phase.value
  const start = (act: Act, identifier?: string) => {
    const now = current ? current() : act
    if (now) acting.start(now, identifier)
  }
  switch (phase.name) {
    case 'idle':
    case 'acting':
      return null
    case 'signingIn':
      return (
        <div class="notice" role="status">
          <span>{t(phase.act.type === 'vote' ? 'signingIn' : 'signingInFirst', nameOf(phase.as))}</span>
          <button type="button" class="link" onClick={() => acting.dismiss()}>
            {t('cancel')}
          </button>
        </div>
      )
    case 'whoAreYou':
      return <WhoAreYou acting={acting} act={phase.act} start={start} />
    case 'refused':
      return (
        <div class="notice" role="alert">
          <span class="bad">{t(NOT_DONE[phase.act.type], reasonText(t, phase.reason))}</span>
          <button type="button" class="link" onClick={() => start(phase.act)}>
            {t('tryAgain')}
          </button>
          <button type="button" class="link" onClick={() => acting.dismiss()}>
            {t('dismiss')}
          </button>
        </div>
      )
    default:
      return phase satisfies never
  }
}

type WhoAreYouProps = { acting: Acting; act: Act; start: (act: Act, identifier: string) => void }

function WhoAreYou({ acting, act, start }: WhoAreYouProps) {
  const { t } = useTexts()
  const handle = useSignal('')
  return (
    <form
      class="notice"
      onSubmit={(event) => {
        event.preventDefault()
        const typed = typedHandle(handle)
        if (typed !== '') start(act, typed)
      }}
    >
      <label>
        {t(act.type === 'vote' ? 'voteAs' : 'handle')}
        <HandleInput handle={handle} />
      </label>
      <button type="submit" class="primary">
        {t('signIn')}
      </button>
      <button type="button" class="link" onClick={() => acting.dismiss()}>
        {t('cancel')}
      </button>
    </form>
  )
}

/** @param person handle or DID */
export const nameOf = (person: string) => (person.startsWith('did:') ? person : `@${person}`)

export function reasonText(t: Texts['t'], reason: Reason): string {
  switch (reason.name) {
    case 'notFinished':
      return t('reasonNotFinished')
    case 'signInFailed':
      return t('reasonSignInFailed', reason.detail)
    case 'noScope':
      return t('reasonNoScope')
    case 'otherAccount':
      return t('reasonOtherAccount', nameOf(reason.as))
    case 'unreachable':
      return t('reasonUnreachable')
    case 'refused':
      return reason.detail
    default:
      return reason satisfies never
  }
}
