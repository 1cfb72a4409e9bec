/** In the popup: polls that have ended lately, and those whose end somebody will be told. */
import { composeUrl } from '@pollz/shared/network'
import type { EndingPoll } from '@pollz/shared/engine'
import { leadText, resultLink, resultPost } from '@pollz/widget/results'
import { useTexts } from '@pollz/widget/texts'
import { useSignal, type Signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ask } from '../connect.ts'
import type { Ended as EndedPoll } from '../requests.ts'
import { openTab } from './open.ts'

type EndedProps = {
  /** of the account whose polls and votes they are; undefined: nobody is signed in */
  did: string | undefined
  /** whose composer a result is posted with, as its origin */
  site: string
}

export function Ended({ did, site }: EndedProps) {
  const texts = useTexts()
  const { t } = texts
  const ended = useSignal<EndedPoll[]>([])
  useEffect(() => {
    void ask('ended', { did }).then((answer) => (ended.value = answer))
  }, [])
  if (ended.value.length === 0) return null
  return (
    <section>
      <h2>{t('endedLately')}</h2>
      <ul>
        {ended.value.map(({ poll, page }) => (
          <li key={poll.uri} class="ended">
            <a href={page} dir="auto" onClick={openingTab(page)}>
              {poll.text || page}
            </a>
            <span class="help" dir="auto">
              {leadText(poll, texts)}
            </span>
            {poll.repo === did && (
              <button
                type="button"
                class="plain"
                onClick={() =>
                  void openTab(composeUrl(resultPost(poll, resultLink(page, poll), texts), site))
                }
              >
                {t('postResult')}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}

/** @param reminders as of when the popup was opened */
export function Reminders({ reminders }: { reminders: Signal<EndingPoll[]> }) {
  const { t, date } = useTexts()
  if (reminders.value.length === 0) return null
  return (
    <section>
      <h2>{t('reminders')}</h2>
      <ul>
        {reminders.value.map(({ uri, text, endsAt }) => (
          <li key={uri} class="row">
            <span class="ended" dir="auto">
              {text || uri}
              <span class="help">{t('ends', date(endsAt))}</span>
            </span>
            <button
              type="button"
              class="plain"
              aria-label={`${t('unremind')}: ${text}`}
              onClick={async () => {
                await ask('unremind', { uri })
                reminders.value = reminders.value.filter((it) => it.uri !== uri)
              }}
            >
              {t('unremind')}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** In a popup a link leads nowhere that somebody sees. */
const openingTab = (url: string) => (event: Event) => {
  event.preventDefault()
  void openTab(url)
}
