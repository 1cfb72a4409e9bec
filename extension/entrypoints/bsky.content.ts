import { defineContentScript } from 'wxt/utils/define-content-script'
import { effect } from '@preact/signals'
import { account, followAccount, lookAtAccount } from '../page/account.ts'
import { findPollLinks } from '../page/finder.ts'
import { followTheme, theme } from '../page/theme.ts'
import { Mounts } from '../page/mount.ts'
import { browserTexts, connectPolls, type PageSettings } from '../polls.ts'
import { drawPoll } from '../widget/draw.tsx'

export default defineContentScript({
  matches: ['https://bsky.app/*'],
  runAt: 'document_start',
  main(ctx) {
    const texts = browserTexts()
    /** What is shown depends on these; the rest is the widgets' own business. */
    const linksOf = ({ hosts, server, on }: PageSettings) => JSON.stringify([hosts, server, on])
    let links: string | undefined
    let stop = new AbortController()

    const polls = connectPolls(
      account,
      location.origin,
      (settings) => {
        if (linksOf(settings) === links) return
        links = linksOf(settings)
        stop.abort()
        stop = new AbortController()
        polls.clear()
        if (settings.on) show(settings, AbortSignal.any([ctx.signal, stop.signal]))
      },
      () => ctx.notifyInvalidated(),
      ctx.signal,
    )

    function show({ hosts }: PageSettings, signal: AbortSignal): void {
      followTheme(signal)
      followAccount(signal)
      const mounts = new Mounts(
        {
          draw: (root, uri, options) => {
            const end = drawPoll(root, polls.model(uri, options), texts)
            const endTheme = effect(() => root.host.setAttribute('data-theme', theme.value))
            // A vote is cast with the account that the page has now.
            for (const type of ['pointerdown', 'keydown'])
              root.addEventListener(type, lookAtAccount, { capture: true, signal })
            return () => {
              endTheme()
              end()
            }
          },
          visible: (uri, host, visible) => {
            // A switch of accounts draws everything anew.
            lookAtAccount()
            polls.known(uri)?.visible(host, visible)
          },
        },
        signal,
      )
      findPollLinks(hosts, (anchor, uri) => mounts.link(anchor, uri), signal)
    }
  },
})
