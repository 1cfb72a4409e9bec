import { TextsContext } from '@pollz/widget/texts'
import { render } from 'preact'
import { browser } from 'wxt/browser'
import { ask, askPage } from '../../connect.ts'
import { sitesOf } from '../../sites.ts'
import { missingAccess } from '../../ui/access.ts'
import { Popup, type Below } from '../../ui/Popup.tsx'
import { prepare } from '../../ui/prepare.ts'

const texts = prepare('extensionName')
const [tab] = await browser.tabs.query({ active: true, lastFocusedWindow: true })
const state = await ask('state', { tab: tab?.id })
// The browser says the address only of tabs that the extension may use.
const site = sitesOf(state.settings).find((it) => tab?.url?.startsWith(`${it}/`))
const below: Below | undefined =
  tab?.id === undefined || site === undefined ? undefined : { tab: tab.id, site, ...(await askPage(tab.id)) }
const missing = await missingAccess(state.settings)
render(
  <TextsContext.Provider value={texts}>
    <Popup state={state} below={below} missing={missing} />
  </TextsContext.Provider>,
  document.body,
)
