/** Said in place before a tab to sign in opens for the first time. */
import type { Signal } from '@preact/signals'
import type { Choices } from './model.ts'
import { byPerson } from './Notice.tsx'
import { useTexts } from './texts.ts'

type FirstClickProps = {
  /** what was clicked; undefined: nothing, or it is settled */
  first: Signal<Choices | undefined>
  onContinue: (choices: Choices) => void
}

export function FirstClick({ first, onContinue }: FirstClickProps) {
  const { t } = useTexts()
  const choices = first.value
  if (choices === undefined) return null
  const settle = () => (first.value = undefined)
  return (
    <div class="notice" role="alert">
      <span>{t('allowFirst')}</span>
      <button
        type="button"
        class="primary"
        onClick={byPerson(() => {
          settle()
          onContinue(choices)
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
