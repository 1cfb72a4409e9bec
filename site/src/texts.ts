/** The words of the pages: the widget's files, one language in each. */
import { createTexts, type Key, type Texts } from '@pollz/widget/texts'
import type { PageState } from './types.ts'

export const textsOf = (messages: PageState['messages'], language: string): Texts =>
  createTexts(
    (key: Key, values) => messages[key]!.message.replace(/\$(\d)/g, (_, i) => values[Number(i) - 1] ?? ''),
    language,
  )
