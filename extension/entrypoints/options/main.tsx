import { TextsContext } from '@pollz/widget/texts'
import { render } from 'preact'
import { ask } from '../../connect.ts'
import { Options } from '../../ui/Options.tsx'
import { missingAccess } from '../../ui/access.ts'
import { prepare } from '../../ui/prepare.ts'

const texts = prepare('settings')
const { settings } = await ask('state', { tab: undefined })
const missing = await missingAccess(settings)
render(
  <TextsContext.Provider value={texts}>
    <Options settings={settings} missing={missing} />
  </TextsContext.Provider>,
  document.body,
)
