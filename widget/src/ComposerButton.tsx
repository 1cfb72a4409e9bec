/** What stands in a composer: the way to a poll, and a poll's link where it could not be put in. */
import { useSignal } from '@preact/signals'
import { useTexts } from './texts.ts'

export function ComposerButton({ onClick }: { onClick: () => void }) {
  const { t } = useTexts()
  return (
    <button type="button" class="tool" aria-label={t('addPoll')} title={t('addPoll')} onClick={onClick}>
      <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
        <path
          d="M4 5h11M4 12h16M4 19h7"
          fill="none"
          stroke="currentColor"
          stroke-width="2.4"
          stroke-linecap="round"
        />
      </svg>
    </button>
  )
}

export function PublishedLink({ link, onClose }: { link: string; onClose: () => void }) {
  const { t } = useTexts()
  const copied = useSignal(false)
  return (
    <section class="poll editor">
      <p role="alert">{t('putLink')}</p>
      <p class="notice">
        <input type="text" readOnly aria-label={t('link')} value={link} />
        <button
          type="button"
          class="primary"
          onClick={async () => {
            await navigator.clipboard.writeText(link)
            copied.value = true
          }}
        >
          {t(copied.value ? 'copied' : 'copyLink')}
        </button>
        <button type="button" class="link" onClick={onClose}>
          {t('dismiss')}
        </button>
      </p>
    </section>
  )
}
