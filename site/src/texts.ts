/** The words of the pages: the widget's files, one language in each. */
import { createTexts, type Key, type Texts } from '@pollz/widget/texts'
import type { PageState } from './types.ts'

/** @param timeZone as `createTexts` has it */
export const textsOf = (messages: PageState['messages'], language: string, timeZone?: 'UTC'): Texts =>
  createTexts(
    (key: Key, values) => messages[key]!.message.replace(/\$(\d)/g, (_, i) => values[Number(i) - 1] ?? ''),
    language,
    timeZone,
  )
