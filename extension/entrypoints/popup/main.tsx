import { SITE } from '@pollz/shared/network'
import { TextsContext } from '@pollz/widget/texts'
import { render } from 'preact'
import { browser } from 'wxt/browser'
import { ask, askPage } from '../../connect.ts'
import { missingAccess } from '../../ui/access.ts'
import { Popup, type Below } from '../../ui/Popup.tsx'
import { prepare } from '../../ui/prepare.ts'

/** The tab below the popup; the browser says the address only of those that the extension may use. */
async function findBelow(): Promise<Below | undefined> {
  const [tab] = await browser.tabs.query({ active: true, lastFocusedWindow: true })
  if (tab?.id === undefined || !tab.url?.startsWith(`${SITE}/`)) return undefined
  return { tab: tab.id, ...(await askPage(tab.id)) }
}

const texts = prepare('extensionName')
const below = await findBelow()
const state = await ask('state', { tab: below?.tab })
const missing = await missingAccess(state.settings.server)
render(
  <TextsContext.Provider value={texts}>
    <Popup state={state} below={below} missing={missing} />
  </TextsContext.Provider>,
  document.body,
)
