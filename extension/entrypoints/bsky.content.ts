import { browser } from 'wxt/browser'
import { defineContentScript } from 'wxt/utils/define-content-script'
import { effect, untracked } from '@preact/signals'
import { SITE } from '@pollz/shared/network'
import {
  drawComposerButton,
  drawEditorDialog,
  drawLink,
  drawPoll,
  drawUncounted,
} from '@pollz/widget/draw.tsx'
import { connectPolls, type PageSettings } from '@pollz/widget/polls'
import { browserTexts, connectBackground } from '../connect.ts'
import { account, followAccount, lookAtAccount } from '../page/account.ts'
import { followComposers, holdEscape } from '../page/composer.ts'
import { findInPage } from '../page/finder.ts'
import { removeRemains } from '../page/host.ts'
import { followTheme, theme } from '../page/theme.ts'
import { Mounts } from '../page/mount.ts'
import { Notes } from '../page/notes.ts'
import type { PageAsk, PageAnswer } from '../requests.ts'

export default defineContentScript({
  matches: [`${SITE}/*`],
  runAt: 'document_start',
  main(ctx) {
    removeRemains()
    holdEscape(ctx.signal)
    const texts = browserTexts()
    /** What is shown depends on these; the rest is the widgets' own business. */
    const linksOf = ({ hosts, server, on }: PageSettings) => JSON.stringify([hosts, server, on])
    let links: string | undefined
    let stop = new AbortController()
    let mounts: Mounts | undefined

    const answer = (_: PageAsk, __: unknown, respond: (answer: PageAnswer) => void) =>
      respond({ unplaced: mounts?.unplaced ?? 0 })
    browser.runtime.onMessage.addListener(answer)
    // An extension that is gone has no more messages to listen to.
    ctx.onInvalidated(() => browser.runtime?.onMessage?.removeListener(answer))

    const polls = connectPolls(
      (connection) => connectBackground(connection, () => ctx.notifyInvalidated(), ctx.signal),
      account,
      location.origin,
      (settings) => {
        if (linksOf(settings) === links) return
        links = linksOf(settings)
        stop.abort()
        stop = new AbortController()
        polls.clear()
        mounts = undefined
        if (settings.on) show(settings, AbortSignal.any([ctx.signal, stop.signal]))
      },
      ctx.signal,
    )

    function show({ hosts }: PageSettings, signal: AbortSignal): void {
      followTheme(signal)
      followAccount(signal)
      /** In the page's theme, for the account that the page has when something is done. */
      const draw = (root: ShadowRoot, end: () => void) => {
        const endTheme = effect(() => root.host.setAttribute('data-theme', theme.value))
        for (const type of ['pointerdown', 'keydown'])
          root.addEventListener(type, lookAtAccount, { capture: true })
        return () => {
          endTheme()
          end()
        }
      }
      const shown = new Mounts(
        {
          draw: (root, uri, { options, post }) =>
            draw(root, drawPoll(root, polls.model(uri, options), texts, post)),
          follow: (uri, told) => {
            const { found } = polls.model(uri)
            return effect(() => {
              const isFound = found.value
              untracked(() => told(isFound))
            })
          },
          visible: (uri, host, visible) => {
            // A switch of accounts draws everything anew.
            lookAtAccount()
            polls.known(uri)?.visible(host, visible)
          },
          left: (uri) => polls.forget(uri),
        },
        signal,
      )
      mounts = shown
      const notes = new Notes((root, link) => draw(root, drawUncounted(root, link, texts)), signal)
      const composer = followComposers(
        {
          write: (done) => polls.write((_, link) => done(link)),
          drawButton: (root, onClick) => draw(root, drawComposerButton(root, texts, onClick)),
          drawEditor: (root, model, onCancel) => draw(root, drawEditorDialog(root, model, texts, onCancel)),
          drawLink: (root, link, onClose) => draw(root, drawLink(root, link, texts, onClose)),
        },
        signal,
      )
      findInPage(
        hosts,
        {
          link: (anchor, link) => shown.link(anchor, link),
          uncounted: (anchor, link) => notes.link(anchor, link),
          composer,
          removed: () => {
            shown.sweep()
            notes.sweep()
          },
        },
        signal,
      )
    }
  },
})
