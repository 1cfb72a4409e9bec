/** What stands between a click and a vote: that votes are public, signing in, or a refusal. */
import { useSignal } from '@preact/signals'
import type { Reason } from '../messages.ts'
import { HandleInput, typedHandle } from './HandleInput.tsx'
import type { PollModel } from './model.ts'
import { useTexts, type Texts } from './texts.ts'

export function Notice({ model }: { model: PollModel }) {
  const { t } = useTexts()
  const phase = model.phase.value
  switch (phase.name) {
    case 'idle':
    case 'voting':
      return model.around.hasVoted.value || model.ended.value ? null : <p class="hint">{t('publicVotes')}</p>
    case 'signingIn':
      return (
        <div class="notice" role="status">
          <span>{t('signingIn', nameOf(phase.as))}</span>
          <button type="button" class="link" onClick={() => model.dismiss()}>
            {t('cancel')}
          </button>
        </div>
      )
    case 'whoAreYou':
      return <WhoAreYou model={model} option={phase.option} />
    case 'refused':
      return (
        <div class="notice" role="alert">
          <span class="bad">{t('notVoted', reasonText(t, phase.reason))}</span>
          <button type="button" class="link" onClick={() => model.vote(phase.option)}>
            {t('tryAgain')}
          </button>
          <button type="button" class="link" onClick={() => model.dismiss()}>
            {t('dismiss')}
          </button>
        </div>
      )
    default:
      return phase satisfies never
  }
}

function WhoAreYou({ model, option }: { model: PollModel; option: number | null }) {
  const { t } = useTexts()
  const handle = useSignal('')
  return (
    <form
      class="notice"
      onSubmit={(event) => {
        event.preventDefault()
        const typed = typedHandle(handle)
        if (typed !== '') model.vote(option, typed)
      }}
    >
      <label>
        {t('voteAs')}
        <HandleInput handle={handle} />
      </label>
      <button type="submit" class="primary">
        {t('signIn')}
      </button>
      <button type="button" class="link" onClick={() => model.dismiss()}>
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
