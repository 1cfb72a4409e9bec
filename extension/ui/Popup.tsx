/** Who is signed in, what has ended lately, what they voted on and made, a way to a new poll, and a switch for the page below. */
import { composeUrl } from '@pollz/shared/network'
import { HandleInput, typedHandle } from '@pollz/widget/HandleInput.tsx'
import { nameOf, reasonText } from '@pollz/widget/Notice.tsx'
import type { PageAccount, Reason } from '@pollz/shared/engine'
import { connectPolls, type Polls } from '@pollz/widget/polls'
import { useTexts } from '@pollz/widget/texts'
import { signal as createSignal, useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { browser } from 'wxt/browser'
import { ISSUES_URL } from '../settings.ts'
import { ask, connectBackground } from '../connect.ts'
import type { Requests, State } from '../requests.ts'
import { nameOfSite } from '../sites.ts'
import { Access } from './Access.tsx'
import { Ended, Reminders } from './Ended.tsx'
import { openTab } from './open.ts'
import { Switch } from './Switch.tsx'
import { Widget } from './Widget.tsx'

/** A tab of a site (its origin). `unplaced`: polls that could not be shown in it, because the site has changed */
export type Below = { tab: number; site: string; unplaced: number }

type PopupProps = {
  state: State
  /** the page that the popup was opened on, if it can have polls */
  below: Below | undefined
  /** match patterns of what the extension needs and may not use */
  missing: string[]
}

export function Popup({ state, below, missing }: PopupProps) {
  const { t } = useTexts()
  const accounts = useSignal(state.accounts)
  const reminders = useSignal(state.reminders)
  const on = useSignal(state.pageOn)
  const chosen = accounts.value[0]
  const site = below?.site ?? state.site

  const signOut = async (did: string) => {
    await ask('signOut', { did })
    accounts.value = accounts.value.filter((it) => it.did !== did)
  }
  const newPoll = () => {
    const query = new URLSearchParams({ site, ...(chosen ? { did: chosen.did } : {}) })
    void openTab(browser.runtime.getURL(`/new.html?${query}` as '/new.html'))
  }

  return (
    <main>
      <h1>pollz</h1>
      <Access settings={state.settings} missing={missing} />
      {below && state.settings.on && (
        <Switch
          on={on}
          label={t('onThisPage')}
          onChange={() => void ask('page', { tab: below.tab, on: on.value })}
        />
      )}
      {below && below.unplaced > 0 && <Unplaced count={below.unplaced} site={below.site} />}
      <p class="row">
        <button type="button" onClick={newPoll}>
          {t('newPoll')}
        </button>
      </p>
      <section>
        <h2>{t('accounts')}</h2>
        {accounts.value.length === 0 && <p>{t('noAccounts')}</p>}
        <ul>
          {accounts.value.map((account) => (
            <li key={account.did} class="row">
              <button
                type="button"
                class="account"
                aria-pressed={account === chosen}
                onClick={() => {
                  accounts.value = [account, ...accounts.value.filter((it) => it !== account)]
                }}
              >
                {nameOf(account.handle ?? account.did)}
              </button>
              <button
                type="button"
                class="plain"
                aria-label={`${t('signOut')}: ${nameOf(account.handle ?? account.did)}`}
                onClick={() => void signOut(account.did)}
              >
                {t('signOut')}
              </button>
            </li>
          ))}
        </ul>
        <SignIn />
      </section>
      <Reminders reminders={reminders} />
      <Ended key={`ended ${chosen?.did}`} did={chosen?.did} site={site} />
      {chosen && <Mine key={chosen.did} account={chosen} site={site} />}
      <p class="row">
        <button type="button" class="plain" onClick={() => void browser.runtime.openOptionsPage()}>
          {t('settings')}
        </button>
      </p>
    </main>
  )
}

function Unplaced({ count, site }: { count: number; site: string }) {
  const { t, unplaced } = useTexts()
  return (
    <p class="row" role="alert">
      <span class="bad">{unplaced(count, nameOfSite(site))}</span>
      {ISSUES_URL !== undefined && (
        <button type="button" class="plain" onClick={() => void openTab(ISSUES_URL!)}>
          {t('report')}
        </button>
      )}
    </p>
  )
}

function SignIn() {
  const { t } = useTexts()
  const handle = useSignal('')
  const failed = useSignal<Reason | undefined>(undefined)
  return (
    <form
      class="row"
      onSubmit={async (event) => {
        event.preventDefault()
        const identifier = typedHandle(handle)
        if (identifier === '') return
        failed.value = (await ask('signIn', { identifier })).failed
      }}
    >
      <HandleInput handle={handle} label={t('handle')} />
      <button type="submit">{t('signIn')}</button>
      {failed.value && (
        <p role="alert" class="bad">
          {reasonText(t, failed.value)}
        </p>
      )}
    </form>
  )
}

/** What an account voted on and made lately: the widget itself, live. */
function Mine({ account, site }: { account: PageAccount; site: string }) {
  const { t } = useTexts()
  const mine = useSignal<Requests['mine']['answer'] | undefined>(undefined)
  const stop = useMemo(() => new AbortController(), [])
  const polls = useMemo(
    () =>
      connectPolls(
        (connection) => connectBackground(connection, () => {}, stop.signal),
        createSignal<PageAccount | undefined>(account),
        site,
        () => {},
        stop.signal,
      ),
    [],
  )
  useEffect(() => {
    void ask('mine', { did: account.did }).then((answer) => (mine.value = answer))
    return () => stop.abort()
  }, [])

  if (!mine.value) return <p role="status">{t('loadingVoters')}</p>
  if ('failed' in mine.value)
    return (
      <p role="alert" class="bad">
        {t('listFailed', reasonText(t, mine.value.failed))}
      </p>
    )
  const { made, votedOn } = mine.value
  return (
    <>
      <section>
        <h2>{t('made')}</h2>
        {made.length === 0 && <p>{t('none')}</p>}
        {made.map(({ uri, options, posted }) => (
          <div key={uri}>
            <Widget model={polls.model(uri, options)} />
            <NotPosted
              model={polls.model(uri)}
              posted={posted}
              compose={() => composeUrl(polls.linkTo(uri, options), site)}
            />
          </div>
        ))}
      </section>
      <section>
        <h2>{t('votedOn')}</h2>
        {votedOn.length === 0 && <p>{t('none')}</p>}
        {votedOn.map((uri) => (
          <Widget key={uri} model={polls.model(uri)} />
        ))}
      </section>
    </>
  )
}

type NotPostedProps = {
  model: ReturnType<Polls['model']>
  posted: boolean | undefined
  /** @returns the address of a composer with its link */
  compose: () => string
}

/** Below a poll that was made but never posted. */
function NotPosted({ model, posted, compose }: NotPostedProps) {
  const { t } = useTexts()
  if (posted !== false || model.missing.value !== undefined) return null
  return (
    <p class="row unposted">
      <span>{t('notPosted')}</span>
      <button type="button" class="plain" onClick={() => void openTab(compose())}>
        {t('post')}
      </button>
      <button type="button" class="plain bad" onClick={() => (model.managing.value = 'deleting')}>
        {t('delete')}
      </button>
    </p>
  )
}
