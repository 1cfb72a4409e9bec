/** What the popup and the options page have in common: language, title, texts. */
import type { Key, Texts } from '@pollz/widget/texts'
import { browserTexts } from '../connect.ts'

/** @param title of the page */
export function prepare(title: Key): Texts {
  const texts = browserTexts()
  document.documentElement.lang = texts.t('locale')
  document.title = texts.t(title)
  return texts
}
