import { TextsContext } from '@pollz/widget/texts'
import { render } from 'preact'
import { browser } from 'wxt/browser'
import { ask } from '../../connect.ts'
import { Popup } from '../../own/Popup.tsx'
import { prepare } from '../../own/prepare.ts'

const texts = prepare('extensionName')
const [tab] = await browser.tabs.query({ active: true, lastFocusedWindow: true })
const state = await ask('state', { tab: tab?.id })
render(
  <TextsContext.Provider value={texts}>
    <Popup state={state} tab={tab?.id} />
  </TextsContext.Provider>,
  document.body,
)
