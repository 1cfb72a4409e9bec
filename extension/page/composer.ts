/** The composer's poll button, and the editor that it opens. */
import type { EditorModel } from '@pollz/widget/editor'
import { BUTTON, createHost, EDITOR } from './host.ts'
import { DIALOG, WRITING, WRITTEN_POST } from './selectors.ts'
import { putLink, swapForCard, textOf, wordsOf } from './writing.ts'

/** Draws into a shadow root. Returns what ends it. */
type Draw<T extends unknown[]> = (root: ShadowRoot, ...what: T) => () => void

export type ComposerWidgets = {
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
 * Keeps an Escape that is meant for the editor from bsky.app, which closes its composer wherever it was pressed: its own
 * listener is the document's, which comes after the window's.
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
  widgets: ComposerWidgets,
  signal: AbortSignal,
): (mediaButton: HTMLElement) => void {
  /** Kept when its editor is closed, and even its composer: nothing that was written is lost before it is published. */
  let model: EditorModel | undefined
  /** The post that the editor was opened for last: a thread has several. */
  let post: Element | undefined
  /** Where somebody has written last. */
  let writing: HTMLElement | undefined
  const buttons = new Map<HTMLElement, () => void>()
  /** Posts whose link is to become a card. */
  const linked = new Map<Element, () => void>()

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
    for (const end of linked.values()) end()
    forget()
  })

  /** A toolbar that is drawn anew leaves its button behind, a composer that was closed its posts. */
  function forget(): void {
    for (const known of [buttons, linked])
      for (const [element, end] of known) {
        if (element.isConnected) continue
        end()
        known.delete(element)
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
      // A script that is replaced leaves to the next one what is under way.
      if (!signal.aborted) model?.leave()
      end()
      host.remove()
      editorOf(post)?.focus()
    }
  }

  const editorOf = (post: Element | undefined) => post?.querySelector<HTMLElement>(WRITING)

  function edit(dialog: Element): void {
    const editor = writing && dialog.contains(writing) ? writing : editorOf(dialog)
    post = editor?.closest(WRITTEN_POST) ?? dialog
    const current = model ?? widgets.write(put)
    model = current
    current.prefill(editor ? wordsOf(textOf(editor)) : '')
    open(dialog, (root, onClose) => widgets.drawEditor(root, current, onClose))
  }

  function put(link: string): void {
    const published = model
    model = undefined
    close?.()
    const dialog = post?.closest(DIALOG)
    // Where it was closed meanwhile, the popup has the poll.
    if (!post?.isConnected || !dialog) return
    const editor = editorOf(post)
    if (!editor || !putLink(editor, link, published !== undefined && takesText(published, editor)))
      return open(dialog, (root, onClose) => widgets.drawLink(root, link, onClose))
    linked.get(post)?.()
    linked.set(post, swapForCard(post, link))
  }

  return (mediaButton) => {
    const dialog = mediaButton.closest(DIALOG)
    const toolbar = mediaButton.parentElement
    if (!dialog || !toolbar || toolbar.querySelector(`:scope > [${BUTTON}]`)) return
    const host = createHost(BUTTON)
    mediaButton.after(host)
    forget()
    buttons.set(
      host,
      widgets.drawButton(host.attachShadow({ mode: 'open' }), () => edit(dialog)),
    )
  }
}

/** Whether the words of a post are to leave it: they are those of the poll that was published, still. */
const takesText = ({ isPostText, leavesPost, postText }: EditorModel, editor: Element) =>
  isPostText.value && leavesPost.value && wordsOf(textOf(editor)) === postText.value
