/** Other sites that polls can be shown on. Each switch acts at once. */
import { SITE } from '@pollz/shared/network'
import { useTexts } from '@pollz/widget/texts'
import { useSignal, type Signal } from '@preact/signals'
import { browser } from 'wxt/browser'
import { ask } from '../connect.ts'
import type { Settings } from '../requests.ts'
import { nameOfSite, SISTER_SITES } from '../sites.ts'
import type { Wrong } from './check.ts'
import { addSite, switchSite, type Switched, type Switching } from './switch-site.ts'

const switching: Switching = {
  permissions: browser.permissions,
  set: async (site, on) => (await ask('site', { site, on })).sites,
}

export function Sites({ saved }: { saved: Signal<Settings> }) {
  const { t } = useTexts()
  /** One that is switched off stays in the list until the page is left. */
  const listed = useSignal([...new Set([...SISTER_SITES, ...saved.value.sites])])
  const address = useSignal('')
  const wrong = useSignal<Wrong | undefined>(undefined)
  const invalid = wrong.value?.[0] === 'siteInvalid'

  /** @returns whether it was done */
  const after = async (switched: Promise<Switched>): Promise<boolean> => {
    wrong.value = undefined
    const outcome = await switched
    if ('wrong' in outcome) {
      wrong.value = outcome.wrong
      return false
    }
    saved.value = { ...saved.value, sites: outcome.settings.sites }
    listed.value = [...new Set([...listed.value, ...saved.value.sites])]
    return true
  }

  return (
    <section aria-labelledby="sites">
      <h2 id="sites">{t('sites', nameOfSite(SITE))}</h2>
      <p class="help">{t('sitesHelp')}</p>
      {listed.value.map((site) => (
        <label key={site} class="switch">
          <input
            type="checkbox"
            role="switch"
            checked={saved.value.sites.includes(site)}
            onChange={async ({ currentTarget }) => {
              const { checked } = currentTarget
              if (!(await after(switchSite(saved.value, site, checked, switching))))
                currentTarget.checked = !checked
            }}
          />
          {nameOfSite(site)}
        </label>
      ))}
      <form
        onSubmit={async (event) => {
          event.preventDefault()
          if (await after(addSite(saved.value, address.value, switching))) address.value = ''
        }}
      >
        <label for="site">{t('siteAdd')}</label>
        <p class="row">
          <input
            id="site"
            type="text"
            inputMode="url"
            spellcheck={false}
            aria-invalid={invalid}
            aria-describedby={invalid ? 'sites-wrong' : undefined}
            value={address.value}
            onInput={(event) => (address.value = event.currentTarget.value)}
          />
          <button type="submit">{t('add')}</button>
        </p>
      </form>
      <p id="sites-wrong" role="alert" class="bad">
        {wrong.value && t(...wrong.value)}
      </p>
    </section>
  )
}
