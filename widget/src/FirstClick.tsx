/** Said in place before a tab to sign in opens for the first time. */
import type { Signal } from '@preact/signals'
import { byPerson } from './Notice.tsx'
import { useTexts } from './texts.ts'

type FirstClickProps = {
  /** the option that was clicked; undefined: none, or it is settled */
  first: Signal<number | undefined>
  onContinue: (option: number) => void
}

export function FirstClick({ first, onContinue }: FirstClickProps) {
  const { t } = useTexts()
  const option = first.value
  if (option === undefined) return null
  const settle = () => (first.value = undefined)
  return (
    <div class="notice" role="alert">
      <span>{t('allowFirst')}</span>
      <button
        type="button"
        class="primary"
        onClick={byPerson(() => {
          settle()
          onContinue(option)
        })}
      >
        {t('continue')}
      </button>
      <button type="button" class="link" onClick={settle}>
        {t('cancel')}
      </button>
    </div>
  )
}
