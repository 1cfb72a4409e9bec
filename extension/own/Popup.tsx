/** Who is signed in, what they voted on and made lately, a way to a new poll, and a switch for the page below. */
import { composeUrl, SITE } from '@pollz/shared/network'
import { HandleInput, typedHandle } from '@pollz/widget/HandleInput.tsx'
import { nameOf, reasonText } from '@pollz/widget/Notice.tsx'
import type { PageAccount, Reason } from '@pollz/shared/engine'
import { connectPolls, type Polls } from '@pollz/widget/polls'
import { useTexts } from '@pollz/widget/texts'
import { signal as createSignal, useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { browser } from 'wxt/browser'
import { ask, connectBackground } from '../connect.ts'
import type { Requests, State } from '../requests.ts'
import { openTab } from './open.ts'
import { Switch } from './Switch.tsx'
import { Widget } from './Widget.tsx'

/** @param tab the page that the popup was opened on */
export function Popup({ state, tab }: { state: State; tab: number | undefined }) {
  const { t } = useTexts()
  const accounts = useSignal(state.accounts)
  const on = useSignal(state.pageOn)
  const chosen = accounts.value[0]

  const signOut = async (did: string) => {
    await ask('signOut', { did })
    accounts.value = accounts.value.filter((it) => it.did !== did)
  }
  const newPoll = () => {
    const query = chosen ? `?${new URLSearchParams({ did: chosen.did })}` : ''
    void openTab(browser.runtime.getURL(`/new.html${query}` as '/new.html'))
  }

  return (
    <main>
      <h1>pollz</h1>
      {tab !== undefined && state.settings.on && (
        <Switch on={on} label={t('onThisPage')} onChange={() => void ask('page', { tab, on: on.value })} />
      )}
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
      {chosen && <Mine key={chosen.did} account={chosen} />}
      <p class="row">
        <button type="button" class="plain" onClick={() => void browser.runtime.openOptionsPage()}>
          {t('settings')}
        </button>
      </p>
    </main>
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
function Mine({ account }: { account: PageAccount }) {
  const { t } = useTexts()
  const mine = useSignal<Requests['mine']['answer'] | undefined>(undefined)
  const stop = useMemo(() => new AbortController(), [])
  const polls = useMemo(
    () =>
      connectPolls(
        (connection) => connectBackground(connection, () => {}, stop.signal),
        createSignal<PageAccount | undefined>(account),
        SITE,
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
            <NotPosted model={polls.model(uri)} posted={posted} link={() => polls.linkTo(uri, options)} />
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
  link: () => string
}

/** Below a poll that was made but never posted. */
function NotPosted({ model, posted, link }: NotPostedProps) {
  const { t } = useTexts()
  if (posted !== false || model.missing.value !== undefined) return null
  return (
    <p class="row unposted">
      <span>{t('notPosted')}</span>
      <button type="button" class="plain" onClick={() => void openTab(composeUrl(link()))}>
        {t('post')}
      </button>
      <button type="button" class="plain bad" onClick={() => (model.managing.value = 'deleting')}>
        {t('delete')}
      </button>
    </p>
  )
}
