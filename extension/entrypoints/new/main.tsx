import { composeUrl } from '@pollz/shared/network'
import type { PageAccount } from '@pollz/shared/engine'
import { connectPolls } from '@pollz/widget/polls'
import { TextsContext } from '@pollz/widget/texts'
import { signal as createSignal } from '@preact/signals'
import { render } from 'preact'
import { ask, connectBackground } from '../../connect.ts'
import { siteOr } from '../../sites.ts'
import { NewPoll } from '../../ui/NewPoll.tsx'
import { prepare } from '../../ui/prepare.ts'

const texts = prepare('newPoll')
const { signal } = new AbortController()
const { accounts, settings, site: last } = await ask('state', { tab: undefined })
const asked = new URLSearchParams(location.search)
const did = asked.get('did')
const site = siteOr(asked.get('site') ?? last, settings)
const account = createSignal<PageAccount | undefined>(accounts.find((it) => it.did === did) ?? accounts[0])
const polls = connectPolls(
  (connection) => connectBackground(connection, () => {}, signal),
  account,
  site,
  () => {},
  signal,
)
const model = polls.write((_, link) => location.assign(composeUrl(link, site)))
render(
  <TextsContext.Provider value={texts}>
    <NewPoll model={model} account={account.value} site={site} />
  </TextsContext.Provider>,
  document.body,
)
