/** A widget's root: its style and its component. */
import { hydrate, render, type ComponentChild } from 'preact'
import { ComposerButton, PublishedLink } from './ComposerButton.tsx'
import { Dialog } from './Dialog.tsx'
import { Editor } from './Editor.tsx'
import type { EditorModel } from './editor.ts'
import { keepFocus } from './focus.ts'
import type { PollModel, ShownPost } from './model.ts'
import { Poll } from './Poll.tsx'
import css from './poll.css?inline'
import { TextsContext, type Texts } from './texts.ts'
import { Uncounted } from './Uncounted.tsx'

let sheet: CSSStyleSheet | undefined

function style(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
  }
  return sheet
}

/** @returns a dispose function */
export function draw(root: ShadowRoot, what: ComponentChild, texts: Texts): () => void {
  root.adoptedStyleSheets = [style()]
  const tree = <TextsContext.Provider value={texts}>{what}</TextsContext.Provider>
  const endFocus = keepFocus(root)
  if (root.firstElementChild) {
    // Drawn by the server, with its style, which this document has now.
    for (const it of root.querySelectorAll('style')) it.remove()
    hydrate(tree, root)
  } else render(tree, root)
  return () => {
    endFocus()
    render(null, root)
  }
}

/**
 * @param post that it stands in
 * @returns a dispose function
 */
export const drawPoll = (root: ShadowRoot, model: PollModel, texts: Texts, post?: ShownPost): (() => void) =>
  draw(root, <Poll model={model} post={post} />, texts)

/** @returns a dispose function */
export const drawEditor = (
  root: ShadowRoot,
  model: EditorModel,
  texts: Texts,
  onCancel?: () => void,
): (() => void) => draw(root, <Editor model={model} onCancel={onCancel} />, texts)

/** @returns a dispose function */
export const drawUncounted = (root: ShadowRoot, link: string, texts: Texts): (() => void) =>
  draw(root, <Uncounted link={link} />, texts)

/**
 * Over a composer.
 *
 * @returns a dispose function
 */
export const drawEditorDialog = (
  root: ShadowRoot,
  model: EditorModel,
  texts: Texts,
  onCancel: () => void,
): (() => void) =>
  draw(
    root,
    <Dialog label={texts.t(model.edited ? 'editPoll' : 'newPoll')}>
      <Editor model={model} onCancel={onCancel} />
    </Dialog>,
    texts,
  )

/** @returns a dispose function */
export const drawComposerButton = (root: ShadowRoot, texts: Texts, onClick: () => void): (() => void) =>
  draw(root, <ComposerButton onClick={onClick} />, texts)

/**
 * Over a composer.
 *
 * @returns a dispose function
 */
export const drawLink = (root: ShadowRoot, link: string, texts: Texts, onClose: () => void): (() => void) =>
  draw(
    root,
    <Dialog label={texts.t('addPoll')}>
      <PublishedLink link={link} onClose={onClose} />
    </Dialog>,
    texts,
  )
