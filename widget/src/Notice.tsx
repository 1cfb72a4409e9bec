/** What stands between a click and what it does: signing in, or a refusal. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { Click, As } from './click.ts'
import { HandleInput, typedHandle } from './HandleInput.tsx'
import type { Act, PageAccount, Reason } from '@pollz/shared/engine'
import { useTexts, type Key, type Texts } from './texts.ts'

const NOT_DONE = {
  vote: 'notVoted',
  publish: 'notPublished',
  delete: 'notDeleted',
  signIn: 'notSignedIn',
} as const satisfies Record<Act['type'], Key>

type NoticeProps = {
  click: Click
  /** What would be done now, where that can have changed meanwhile; undefined: nothing, for something is wrong. */
  current?: () => Act | undefined
  /** of the widget, where several show the same poll: only the one that was clicked asks */
  place?: object
  /** Nobody has signed in here before: say what that is for. */
  first?: boolean
}

export function Notice({ click, current, place, first = false }: NoticeProps) {
  const { t } = useTexts()
  const phase = click.phase.value
  const start = (act: Act, as?: As) => {
    const now = current ? current() : act
    if (now) click.start(now, as)
  }
  const begunElsewhere = click.place.value !== undefined && click.place.value !== place
  switch (phase.name) {
    case 'idle':
    case 'busy':
      return null
    case 'signingIn':
      return (
        <div class="notice" role="status">
          <span>{t(phase.act.type === 'vote' ? 'signingIn' : 'signingInFirst', nameOf(phase.as))}</span>
          <button type="button" class="link" onClick={() => click.dismiss()}>
            {t('cancel')}
          </button>
        </div>
      )
    case 'whoAreYou':
      if (begunElsewhere) return null
      return <WhoAreYou click={click} act={phase.act} last={phase.last} first={first} start={start} />
    case 'refused':
      return (
        <div class="notice" role="alert">
          <span class="bad">{t(NOT_DONE[phase.act.type], reasonText(t, phase.reason))}</span>
          {/* It would end the same way. */}
          {!['noScope', 'noPoll'].includes(phase.reason.name) && (
            <button type="button" class="link" onClick={byPerson(() => start(phase.act))}>
              {t('tryAgain')}
            </button>
          )}
          <button type="button" class="link" onClick={() => click.dismiss()}>
            {t('dismiss')}
          </button>
        </div>
      )
    default:
      return phase satisfies never
  }
}

type WhoAreYouProps = {
  click: Click
  act: Act
  last: PageAccount | undefined
  first: boolean
  start: (act: Act, as: As) => void
}

function WhoAreYou({ click, act, last, first, start }: WhoAreYouProps) {
  const { t } = useTexts()
  const handle = useSignal('')
  const another = useSignal(false)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => input.current?.focus(), [another.value])
  if (last && act.type === 'vote' && !another.value)
    return (
      <div class="notice" role="alert">
        <span>{t('voteAsLast', nameOf(last.handle ?? last.did))}</span>
        <button type="button" class="primary" onClick={byPerson(() => start(act, { account: last }))}>
          {t('vote')}
        </button>
        <button type="button" class="link" onClick={() => (another.value = true)}>
          {t('anotherAccount')}
        </button>
        <button type="button" class="link" onClick={() => click.dismiss()}>
          {t('cancel')}
        </button>
      </div>
    )
  const signIn = () => {
    const typed = typedHandle(handle)
    if (typed !== '') start(act, { identifier: typed })
  }
  return (
    <form class="notice" {...formByPerson(signIn)}>
      {first && act.type === 'vote' && <span class="line">{t('allowFirst')}</span>}
      <label>
        {t(act.type === 'vote' ? 'voteAs' : 'handle')}
        <HandleInput handle={handle} inputRef={input} />
      </label>
      <button type="submit" class="primary" onClick={byPerson(signIn)}>
        {t('signIn')}
      </button>
      <button type="button" class="link" onClick={() => click.dismiss()}>
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
    case 'offline':
      return t('reasonOffline')
    case 'noPoll':
      return t('reasonNoPoll')
    case 'authorUnreachable':
      return t('reasonAuthorUnreachable')
    case 'serverAway':
      return t('reasonServerAway')
    case 'tooLate':
      return t('reasonTooLate')
    case 'fault':
      return t('reasonFault', reason.detail)
    case 'refused':
      return reason.detail
    default:
      return reason satisfies never
  }
}

/** Of clicks that a script makes nothing comes: only a person casts votes. */
export const byPerson = (act: () => unknown) => (event: Event) => {
  if (event.isTrusted) act()
}

/**
 * A form whose button is clicked `byPerson`, or Enter pressed in one of its inputs. What is submitted says nothing of who
 * did it: that event is trusted also where a script has asked for it.
 */
export const formByPerson = (act: () => unknown) => ({
  onSubmit: (event: Event) => event.preventDefault(),
  // An Enter that ends the composition of a word presses no key.
  onKeyPress: (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || !(event.target instanceof HTMLInputElement)) return
    // The browser would click the button, and a form around this one has one too.
    event.preventDefault()
    event.stopPropagation()
    if (event.isTrusted) act()
  },
})
