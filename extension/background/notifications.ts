/** The browser's notifications of polls that have ended, which it shows only where somebody has allowed it. */
import { resultText } from '@pollz/widget/results'
import { browser } from 'wxt/browser'
import { browserTexts } from '../connect.ts'
import type { Teller } from './reminders.ts'

/** Name of the one alarm. */
export const ALARM = 'ends'

/** The API is there only while the permission is. */
const api = (): typeof browser.notifications | undefined => browser.notifications

export const notifications: Pick<Teller, 'alarm' | 'show' | 'isShown' | 'hide'> = {
  alarm: async (at) => {
    if (at === undefined) await browser.alarms.clear(ALARM)
    else await browser.alarms.create(ALARM, { when: at })
  },
  show: async ({ uri, text }, poll) => {
    const texts = browserTexts()
    const notification = {
      type: 'basic',
      iconUrl: browser.runtime.getURL('/icon/128.png'),
      title: text || texts.t('pollEnded'),
      message: poll ? resultText(poll, texts) : texts.t('resultUnknown'),
    } as const
    const notify = api()
    if (!notify) throw new Error('the permission was taken away')
    await notify.create(uri, notification)
  },
  isShown: async (uri) => uri in ((await api()?.getAll()) ?? {}),
  hide: async (uri) => api()?.clear(uri),
}

/**
 * Has notifications open their polls. To be called while the background starts, which one of them may have woken, and when
 * the permission was given.
 *
 * @param seen called with a poll's at-uri when its notification was closed or clicked
 */
export function followNotifications(seen: (uri: string, clicked: boolean) => void): void {
  const notify = api()
  if (!notify || following.has(notify)) return
  following.add(notify)
  notify.onClicked.addListener((uri) => {
    void notify.clear(uri)
    seen(uri, true)
  })
  notify.onClosed.addListener((uri) => seen(uri, false))
}

/** The API is another one when the permission was taken away and given back. */
const following = new WeakSet<object>()
