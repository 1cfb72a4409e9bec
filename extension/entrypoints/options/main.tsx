import { TextsContext } from '@pollz/widget/texts'
import { render } from 'preact'
import { ask } from '../../connect.ts'
import { Options } from '../../ui/Options.tsx'
import { prepare } from '../../ui/prepare.ts'

const texts = prepare('settings')
const { settings } = await ask('state', { tab: undefined })
render(
  <TextsContext.Provider value={texts}>
    <Options settings={settings} />
  </TextsContext.Provider>,
  document.body,
)
