import { composeUrl, SITE } from '@pollz/shared/network'
import type { PageAccount } from '@pollz/shared/engine'
import { connectPolls } from '@pollz/widget/polls'
import { TextsContext } from '@pollz/widget/texts'
import { signal as createSignal } from '@preact/signals'
import { render } from 'preact'
import { ask, connectBackground } from '../../connect.ts'
import { NewPoll } from '../../ui/NewPoll.tsx'
import { prepare } from '../../ui/prepare.ts'

const texts = prepare('newPoll')
const { signal } = new AbortController()
const { accounts } = await ask('state', { tab: undefined })
const did = new URLSearchParams(location.search).get('did')
const account = createSignal<PageAccount | undefined>(accounts.find((it) => it.did === did) ?? accounts[0])
const polls = connectPolls(
  (connection) => connectBackground(connection, () => {}, signal),
  account,
  SITE,
  () => {},
  signal,
)
const model = polls.write((_, link) => location.assign(composeUrl(link)))
render(
  <TextsContext.Provider value={texts}>
    <NewPoll model={model} account={account.value} />
  </TextsContext.Provider>,
  document.body,
)
