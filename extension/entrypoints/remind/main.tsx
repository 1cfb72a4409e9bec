import type { EndingPoll } from '@pollz/shared/engine'
import { TextsContext } from '@pollz/widget/texts'
import { render } from 'preact'
import { browser } from 'wxt/browser'
import { ask } from '../../connect.ts'
import { prepare } from '../../ui/prepare.ts'
import { Remind } from '../../ui/Remind.tsx'

const texts = prepare('remind')
const { tab, ...poll } = Object.fromEntries(new URLSearchParams(location.search))
/** Goes back to where the poll is. */
const close = async () => {
  if (tab !== undefined) await browser.tabs.update(Number(tab), { active: true }).catch(() => {})
  const own = await browser.tabs.getCurrent()
  if (own?.id !== undefined) await browser.tabs.remove(own.id)
}
render(
  <TextsContext.Provider value={texts}>
    <Remind
      poll={poll as EndingPoll}
      remind={(it) => ask('remind', { poll: it })}
      close={() => void close()}
    />
  </TextsContext.Provider>,
  document.body,
)
