import { defineContentScript } from 'wxt/utils/define-content-script'
import { effect } from '@preact/signals'
import { connectBackground } from '../page/background.ts'
import { currentAccount } from '../page/account.ts'
import { findPollLinks } from '../page/finder.ts'
import { followTheme, theme } from '../page/theme.ts'
import { Mounts } from '../page/mount.ts'
import { PollModel } from '../widget/model.ts'
import { drawPoll } from '../widget/draw.tsx'

export default defineContentScript({
  matches: ['https://bsky.app/*'],
  runAt: 'document_start',
  main(ctx) {
    const { signal } = ctx
    const models = new Map<string, PollModel>()
    const model = (uri: string) => {
      const known = models.get(uri)
      if (known) return known
      const created = new PollModel(uri, (message) => background.send(message), currentAccount)
      created.online.value = online
      models.set(uri, created)
      return created
    }
    let searching = false
    let online = true

    const mounts = new Mounts(
      (root, uri) => {
        const end = drawPoll(root, model(uri))
        const endTheme = effect(() => root.host.setAttribute('data-theme', theme.value))
        return () => {
          endTheme()
          end()
        }
      },
      (uri, host, visible) => model(uri).visible(host, visible),
      signal,
    )
    const background = connectBackground(
      (message) => {
        if (message.type === 'connection') {
          online = message.online
          for (const known of models.values()) known.online.value = online
        } else if (message.type !== 'hosts') {
          models.get(message.uri)?.receive(message)
        } else if (!searching) {
          searching = true
          followTheme(signal)
          findPollLinks(message.hosts, (anchor, uri) => mounts.add(anchor, uri), signal)
        }
      },
      () => {
        for (const known of models.values()) known.reconnected()
      },
      () => ctx.notifyInvalidated(),
      signal,
    )
  },
})
