/** Who is signed in, what they voted on and made lately, and a switch for the page below. */
import { signal as createSignal, useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { browser } from 'wxt/browser'
import { ask } from '../connect.ts'
import type { PageAccount, Reason, Requests, State } from '../messages.ts'
import { connectPolls, type Polls } from '../polls.ts'
import { HandleInput, typedHandle } from '../widget/HandleInput.tsx'
import { nameOf, reasonText } from '../widget/Notice.tsx'
import { useTexts } from '../widget/texts.ts'
import { Switch } from './Switch.tsx'
import { Widget } from './Widget.tsx'

const SITE = 'https://bsky.app'

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

  return (
    <main>
      <h1>pollz</h1>
      {tab !== undefined && state.settings.on && (
        <Switch on={on} label={t('onThisPage')} onChange={() => void ask('page', { tab, on: on.value })} />
      )}
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
        createSignal<PageAccount | undefined>(account),
        SITE,
        () => {},
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
  return (
    <>
      <List title={t('votedOn')} uris={mine.value.votedOn} polls={polls} />
      <List title={t('made')} uris={mine.value.made} polls={polls} />
    </>
  )
}

function List({ title, uris, polls }: { title: string; uris: string[]; polls: Polls }) {
  const { t } = useTexts()
  return (
    <section>
      <h2>{title}</h2>
      {uris.length === 0 && <p>{t('none')}</p>}
      {uris.map((uri) => (
        <Widget key={uri} model={polls.model(uri)} />
      ))}
    </section>
  )
}
