/** A widget's root: its style and its component. */
import { render } from 'preact'
import type { PollModel } from './model.ts'
import { Poll } from './Poll.tsx'
import css from './poll.css?inline'

let sheet: CSSStyleSheet | undefined

function style(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
  }
  return sheet
}

/** @returns what ends it */
export function drawPoll(root: ShadowRoot, model: PollModel): () => void {
  root.adoptedStyleSheets = [style()]
  render(<Poll model={model} />, root)
  return () => render(null, root)
}
