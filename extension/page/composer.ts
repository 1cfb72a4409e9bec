/** The composer's poll button, and the editor that it opens. */
import type { EditorModel } from '@pollz/widget/editor'
import { BUTTON, createHost, EDITOR } from './host.ts'
import { DIALOG, WRITING } from './selectors.ts'

/** Draws into a shadow root. Returns what ends it. */
type Draw<T extends unknown[]> = (root: ShadowRoot, ...what: T) => () => void

export type ComposerParts = {
  /** @param done called with the link of what was published */
  write: (done: (link: string) => void) => EditorModel
  drawButton: Draw<[onClick: () => void]>
  drawEditor: Draw<[model: EditorModel, onCancel: () => void]>
  /** For somebody to put it in themselves. */
  drawLink: Draw<[link: string, onClose: () => void]>
}

/** What is over a composer. */
let close: (() => void) | undefined

/**
 * Keeps an Escape that is meant for the editor from bsky.app, which closes its composer wherever it was pressed. It has
 * to come before the page's own listener, so before the page's scripts.
 */
export function holdEscape(signal: AbortSignal): void {
  addEventListener(
    'keydown',
    (event) => {
      if (event.key !== 'Escape' || event.isComposing || !close) return
      // The composer is gone, and what was over it with it.
      if (!document.querySelector(`[${EDITOR}]`)) return close()
      event.stopImmediatePropagation()
      event.preventDefault()
      close()
    },
    { capture: true, signal },
  )
}

/** @returns what is called with a media button of each composer that is found */
export function followComposers(
  parts: ComposerParts,
  signal: AbortSignal,
): (mediaButton: HTMLElement) => void {
  /** Kept when its editor is closed, and even its composer: nothing that was written is lost before it is published. */
  let model: EditorModel | undefined
  /** The composer that the editor was opened in last. */
  let dialog: Element | undefined
  let writing: HTMLElement | undefined
  const buttons = new Map<HTMLElement, () => void>()

  document.addEventListener(
    'focusin',
    ({ target }) => {
      const editor = target instanceof Element ? target.closest<HTMLElement>(WRITING) : null
      if (editor) writing = editor
    },
    { signal },
  )
  signal.addEventListener('abort', () => {
    close?.()
    for (const host of buttons.keys()) host.remove()
    forgetButtons()
  })

  /** A toolbar that is drawn anew leaves its button behind. */
  function forgetButtons(): void {
    for (const [host, end] of buttons) {
      if (host.isConnected) continue
      end()
      buttons.delete(host)
    }
  }

  /** Over the composer, and inside its dialog. */
  function open(dialog: Element, draw: (root: ShadowRoot, onClose: () => void) => () => void): void {
    close?.()
    const host = createHost(EDITOR)
    dialog.append(host)
    const end = draw(host.attachShadow({ mode: 'open' }), () => close?.())
    close = () => {
      close = undefined
      end()
      host.remove()
      textOf(dialog)?.focus()
    }
  }

  const textOf = (dialog: Element) =>
    writing && dialog.contains(writing) ? writing : dialog.querySelector<HTMLElement>(WRITING)

  function edit(composer: Element): void {
    dialog = composer
    const current = model ?? parts.write(put)
    model = current
    open(composer, (root, onClose) => parts.drawEditor(root, current, onClose))
  }

  function put(link: string): void {
    model = undefined
    close?.()
    // Where it was closed meanwhile, the popup has the poll.
    if (!dialog?.isConnected) return
    const text = textOf(dialog)
    if (text) paste(text, link)
    if (!text?.textContent?.includes(link))
      open(dialog, (root, onClose) => parts.drawLink(root, link, onClose))
  }

  return (mediaButton) => {
    const dialog = mediaButton.closest(DIALOG)
    const toolbar = mediaButton.parentElement
    if (!dialog || !toolbar || toolbar.querySelector(`:scope > [${BUTTON}]`)) return
    const host = createHost(BUTTON)
    mediaButton.after(host)
    forgetButtons()
    buttons.set(
      host,
      parts.drawButton(host.attachShadow({ mode: 'open' }), () => edit(dialog)),
    )
  }
}

/** In Firefox, the page's own globals: what a content script makes with its own, the page may not read. */
type PageGlobals = Pick<typeof globalThis, 'ClipboardEvent' | 'DataTransfer' | 'Object'>
const page = (globalThis as { wrappedJSObject?: PageGlobals }).wrappedJSObject ?? globalThis

/** As somebody does it: bsky.app makes a link of it, and its card. */
function paste(editor: HTMLElement, link: string): void {
  editor.focus()
  const data = /\S$/.test(editor.textContent ?? '') ? ` ${link}` : link
  const clipboardData = new page.DataTransfer()
  clipboardData.setData('text/plain', data)
  const init = new page.Object() as ClipboardEventInit
  // Chromium takes the one, Firefox the other.
  Object.assign(init, { bubbles: true, cancelable: true, clipboardData, data, dataType: 'text/plain' })
  editor.dispatchEvent(new page.ClipboardEvent('paste', init))
}
