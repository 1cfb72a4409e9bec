/** What was taken away, and a button that asks for it again. */
import { useTexts } from '@pollz/widget/texts'
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { browser } from 'wxt/browser'
import type { Settings } from '../requests.ts'
import { followAccess, missingAccess } from './access.ts'

type AccessProps = {
  settings: Settings
  /** match patterns of what the extension needs and may not use, as of now */
  missing: string[]
}

export function Access({ settings, missing }: AccessProps) {
  const { t } = useTexts()
  const origins = useSignal(missing)
  useEffect(() => {
    const look = () => void missingAccess(settings).then((now) => (origins.value = now))
    look()
    return followAccess(look)
  }, [settings])
  if (origins.value.length === 0) return null
  const hosts = origins.value.map((it) => new URL(it).hostname)
  return (
    <p class="row" role="alert">
      <span class="bad">{t('noAccess', hosts.join(', '))}</span>
      <button type="button" onClick={() => void browser.permissions.request({ origins: origins.value })}>
        {t('allow')}
      </button>
    </p>
  )
}
