/** What somebody can set. */
import { useSignal } from '@preact/signals'
import { useTexts } from '@pollz/widget/texts'
import { browser } from 'wxt/browser'
import { ask } from '../connect.ts'
import type { Settings } from '../requests.ts'
import { nameOfSite, sitesOf } from '../sites.ts'
import { Access } from './Access.tsx'
import { checkServer, type Wrong } from './check.ts'
import { saveSettings } from './save.ts'
import { Sites } from './Sites.tsx'
import { Switch } from './Switch.tsx'

type OptionsProps = {
  settings: Settings
  /** match patterns of what the extension needs and may not use */
  missing: string[]
}

export function Options({ settings, missing }: OptionsProps) {
  const { t, list } = useTexts()
  const saved = useSignal(settings)
  const server = useSignal(settings.server)
  const hosts = useSignal(settings.hosts.join('\n'))
  const second = useSignal(settings.second)
  const resultsFirst = useSignal(settings.resultsFirst)
  const on = useSignal(settings.on)
  /** What was not saved; undefined: nobody has tried. */
  const wrong = useSignal<Wrong[] | undefined>(undefined)

  const save = async () => {
    const outcome = await saveSettings(
      saved.value,
      {
        server: server.value,
        hosts: hosts.value,
        second: second.value,
        resultsFirst: resultsFirst.value,
        on: on.value,
      },
      {
        permissions: browser.permissions,
        check: checkServer,
        save: (settings) => ask('save', { settings }),
      },
    )
    // Sites may have been switched meanwhile.
    saved.value = { ...outcome.settings, sites: saved.value.sites }
    wrong.value = outcome.wrong
    if (outcome.wrong.length > 0) return
    server.value = outcome.settings.server
    hosts.value = outcome.settings.hosts.join('\n')
    second.value = outcome.settings.second
  }

  return (
    <main>
      <h1>{t('settings')}</h1>
      <Access settings={saved.value} missing={missing} />
      <form
        onSubmit={(event) => {
          event.preventDefault()
          wrong.value = undefined
          void save()
        }}
      >
        <Switch on={on} label={t('onEverywhere', list(sitesOf(saved.value).map(nameOfSite)))} />
        <Switch on={resultsFirst} label={t('resultsFirst')} />
        <label>
          {t('server')}
          <input
            type="text"
            inputMode="url"
            spellcheck={false}
            aria-describedby="server-help"
            value={server.value}
            onInput={(event) => (server.value = event.currentTarget.value)}
          />
        </label>
        <p id="server-help" class="help">
          {t('serverHelp')}
        </p>
        <label>
          {t('hosts')}
          <textarea
            rows={3}
            spellcheck={false}
            aria-describedby="hosts-help"
            value={hosts.value}
            onInput={(event) => (hosts.value = event.currentTarget.value)}
          />
        </label>
        <p id="hosts-help" class="help">
          {t('hostsHelp')}
        </p>
        <label>
          {t('second')}
          <input
            type="text"
            inputMode="url"
            spellcheck={false}
            aria-describedby="second-help"
            value={second.value}
            onInput={(event) => (second.value = event.currentTarget.value)}
          />
        </label>
        <p id="second-help" class="help">
          {t('secondHelp')}
        </p>
        <p class="row">
          <button type="submit">{t('save')}</button>
          <span role="status">
            {wrong.value?.map((it) => (
              <span key={it[0]} class="wrong">
                {t(...it)}
              </span>
            ))}
            {wrong.value && t(wrong.value.length === 0 ? 'saved' : 'restSaved')}
          </span>
        </p>
      </form>
      <Sites saved={saved} />
    </main>
  )
}
