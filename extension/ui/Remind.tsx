/** Asks for the permission to show notifications, for the first poll whose end somebody wants to be told. */
import type { EndingPoll } from '@pollz/shared/engine'
import { useTexts } from '@pollz/widget/texts'
import { useSignal } from '@preact/signals'
import { browser } from 'wxt/browser'
import { NOTIFICATIONS } from '../notify.ts'

type RemindProps = {
  poll: EndingPoll
  remind: (poll: EndingPoll) => Promise<unknown>
  close: () => void
}

export function Remind({ poll, remind, close }: RemindProps) {
  const { t } = useTexts()
  const refused = useSignal(false)
  const allow = async () => {
    // Before anything that takes time: browsers ask only in answer to a click.
    refused.value = !(await browser.permissions.request(NOTIFICATIONS).catch(() => false))
    if (refused.value) return
    await remind(poll)
    close()
  }
  return (
    <main>
      <h1>pollz</h1>
      <p dir="auto">
        <strong>{poll.text}</strong>
      </p>
      <p>{t('remindAsk')}</p>
      <p class="row">
        <button type="button" onClick={() => void allow()}>
          {t('allow')}
        </button>
        <button type="button" class="plain" onClick={close}>
          {t('cancel')}
        </button>
      </p>
      <p role="alert" class="bad">
        {refused.value && t('remindRefused')}
      </p>
    </main>
  )
}
