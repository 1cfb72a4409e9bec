/** Whose page it is: signing in, and out. */
import type { Click } from '@pollz/widget/click'
import type { PageAccount } from '@pollz/shared/engine'
import { nameOf, Notice } from '@pollz/widget/Notice.tsx'
import { useTexts } from '@pollz/widget/texts'
import type { ReadonlySignal } from '@preact/signals'

type AccountProps = {
  account: ReadonlySignal<PageAccount | undefined>
  click: Click
  signOut: (did: string) => void
}

export function Account(props: AccountProps) {
  return (
    <div class="account">
      <Content {...props} />
    </div>
  )
}

function Content({ account, click, signOut }: AccountProps) {
  const { t } = useTexts()
  const person = account.value
  const { name } = click.phase.value
  if (person)
    return (
      <div class="notice">
        <span>{t('signedInAs', nameOf(person.handle ?? person.did))}</span>
        <button type="button" class="link" onClick={() => signOut(person.did)}>
          {t('signOut')}
        </button>
      </div>
    )
  if (name !== 'idle' && name !== 'busy') return <Notice click={click} />
  return (
    <div class="notice">
      <button
        type="button"
        class="link"
        onClick={() => (click.phase.value = { name: 'whoAreYou', id: '', act: { type: 'signIn' } })}
      >
        {t('signIn')}
      </button>
    </div>
  )
}
