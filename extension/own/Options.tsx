/** What somebody can set; checked when it is saved. */
import { useSignal } from '@preact/signals'
import { useTexts } from '@pollz/widget/texts'
import { browser } from 'wxt/browser'
import { ask } from '../connect.ts'
import type { Settings } from '../requests.ts'
import { checkServer, originPattern, readHosts, readServer, type Wrong } from './check.ts'
import { Switch } from './Switch.tsx'

export function Options({ settings }: { settings: Settings }) {
  const { t } = useTexts()
  const server = useSignal(settings.server)
  const hosts = useSignal(settings.hosts.join('\n'))
  const resultsFirst = useSignal(settings.resultsFirst)
  const on = useSignal(settings.on)
  const outcome = useSignal<'saved' | Wrong | undefined>(undefined)

  const save = async (): Promise<'saved' | Wrong> => {
    const origin = readServer(server.value)
    if (origin === undefined) return ['serverInvalid']
    const read = readHosts(hosts.value)
    if ('wrong' in read) return ['hostInvalid', read.wrong]
    // First of all that takes time: the browser asks only in answer to a click.
    const granted = await browser.permissions.request({ origins: [originPattern(origin)] }).catch(() => false)
    if (!granted) return ['serverRefused', origin]
    const wrong = await checkServer(origin)
    if (wrong) return wrong
    await ask('save', {
      settings: { server: origin, hosts: read.hosts, resultsFirst: resultsFirst.value, on: on.value },
    })
    server.value = origin
    hosts.value = read.hosts.join('\n')
    return 'saved'
  }

  return (
    <main>
      <h1>{t('settings')}</h1>
      <form
        onSubmit={async (event) => {
          event.preventDefault()
          outcome.value = undefined
          outcome.value = await save()
        }}
      >
        <Switch on={on} label={t('onEverywhere')} />
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
        <p class="row">
          <button type="submit">{t('save')}</button>
          <span role="status" class={outcome.value === 'saved' ? undefined : 'bad'}>
            {outcome.value === 'saved' ? t('saved') : outcome.value && t(...outcome.value)}
          </span>
        </p>
      </form>
    </main>
  )
}
