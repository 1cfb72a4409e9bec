/** What its author can do with a poll: a button in the footer, and what it opens below. */
import { useId } from 'preact/hooks'
import type { PollModel } from './model.ts'
import { byPerson } from './Notice.tsx'
import { useTexts } from './texts.ts'

export function ManageButton({ model }: { model: PollModel }) {
  const { t } = useTexts()
  const open = model.managing.value !== undefined
  if (!model.manageable.value) return null
  return (
    <button
      type="button"
      class="link more"
      aria-label={t('manage')}
      title={t('manage')}
      aria-expanded={open}
      onClick={() => (model.managing.value = open ? undefined : 'open')}
    >
      <svg viewBox="0 0 16 16" width="16" height="16" fill="currentColor" aria-hidden="true">
        <circle cx="3" cy="8" r="1.5" />
        <circle cx="8" cy="8" r="1.5" />
        <circle cx="13" cy="8" r="1.5" />
      </svg>
    </button>
  )
}

export function Manage({ model }: { model: PollModel }) {
  const { t } = useTexts()
  const question = useId()
  const managing = model.managing.value
  if (!model.manageable.value || managing === undefined) return null
  const cancel = (
    <button type="button" class="link" onClick={() => (model.managing.value = undefined)}>
      {t('cancel')}
    </button>
  )
  return managing === 'open' ? (
    <div class="notice" role="group" aria-label={t('manage')}>
      <button type="button" class="link" onClick={() => model.edit()}>
        {t('edit')}
      </button>
      <button type="button" class="link bad" onClick={() => (model.managing.value = 'deleting')}>
        {t('delete')}
      </button>
      {cancel}
    </div>
  ) : (
    <div class="notice" role="group" aria-labelledby={question}>
      <span id={question} role="alert">
        {t('deleteQuestion')}
      </span>
      <button type="button" class="link bad" onClick={byPerson(() => model.delete())}>
        {t('deletePoll')}
      </button>
      {cancel}
    </div>
  )
}
