/** A widget's root: its style and its component. */
import { render } from 'preact'
import type { PollModel } from './model.ts'
import { Poll } from './Poll.tsx'
import css from './poll.css?inline'
import { TextsContext, type Texts } from './texts.ts'

let sheet: CSSStyleSheet | undefined

function style(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
  }
  return sheet
}

/** @returns what ends it */
export function drawPoll(root: ShadowRoot, model: PollModel, texts: Texts): () => void {
  root.adoptedStyleSheets = [style()]
  render(
    <TextsContext.Provider value={texts}>
      <Poll model={model} />
    </TextsContext.Provider>,
    root,
  )
  return () => render(null, root)
}
