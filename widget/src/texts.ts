/** The widget's words and numbers, in the language of whoever reads them. */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type messages from '../locales/en/messages.json'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export type Key = keyof typeof messages

export type Texts = {
  /** The text of a key; `$1` and `$2` in it become the substitutions. */
  t: (key: Key, ...substitutions: string[]) => string
  number: (value: number) => string
  /** @param share 0 to 1 */
  percent: (share: number) => string
  votes: (count: number) => string
  voters: (count: number) => string
  /** That so many polls of a page could not be shown. @param site as people know it */
  unplaced: (count: number, site: string) => string
  /** Names in a sentence: "a, b and c". */
  list: (names: string[]) => string
  /** @param time RFC 3339, or ms since 1970 */
  date: (time: string | number) => string
  /** When a poll ends. @param left for how long it goes on, in ms @param endsAt RFC 3339 */
  ends: (left: number, endsAt: string) => string
  /** "In 3 days", alone or as an item of a menu. @param ms hours, or days */
  after: (ms: number) => string
  /** "12 minutes ago". @param ms since then */
  ago: (ms: number) => string
  /** ms since 1970; with its day where that is not today */
  time: (time: number) => string
}

/**
 * @param getMessage `browser.i18n.getMessage`, or another that reads the same files
 * @param language BCP 47, of the reader
 * @param timeZone of a reader whose own can't be known: times say that they are in it
 */
export function createTexts(
  getMessage: (key: Key, substitutions: string[]) => string,
  language: string,
  timeZone?: 'UTC',
): Texts {
  // Words and numbers in the same language: a reader whose language has no words here gets both in English.
  const translated = getMessage('locale', [])
  const locale = language.split('-')[0] === translated ? language : translated
  const number = new Intl.NumberFormat(locale)
  const percent = new Intl.NumberFormat(locale, { style: 'percent' })
  const list = new Intl.ListFormat(locale, { type: 'conjunction' })
  const plural = new Intl.PluralRules(locale)
  const times = (options: Intl.DateTimeFormatOptions) => {
    const times = new Intl.DateTimeFormat(locale, { ...options, ...(timeZone ? { timeZone } : {}) })
    return (it: string | number) => [times.format(new Date(it)), timeZone ?? []].flat().join(' ')
  }
  const date = times({ dateStyle: 'medium', timeStyle: 'short' })
  const time = times({ timeStyle: 'short' })
  const day = times({ weekday: 'long', hour: 'numeric', minute: '2-digit' })
  const after = new Intl.RelativeTimeFormat(locale)
  const past = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const amount = (value: number, unit: string) =>
    new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'short' }).format(value)
  const t: Texts['t'] = (key, ...substitutions) => getMessage(key, substitutions)
  const isDate = (it: string | number) => !Number.isNaN(new Date(it).getTime())
  const counted = (key: 'votes' | 'voters', count: number) => {
    const category = plural.select(count)
    return t(
      category === 'one' || category === 'many' ? `${key}_${category}` : `${key}_other`,
      number.format(count),
    )
  }
  return {
    t,
    number: (value) => number.format(value),
    percent: (share) => percent.format(share),
    votes: (count) => counted('votes', count),
    voters: (count) => counted('voters', count),
    unplaced: (count, site) =>
      t(plural.select(count) === 'one' ? 'unplaced_one' : 'unplaced_other', number.format(count), site),
    list: (names) => list.format(names),
    // Whatever comes from elsewhere: a text that can't be said must not end a widget.
    date: (it) => (isDate(it) ? date(it) : String(it)),
    ends: (left, endsAt) => {
      if (left >= DAY) return t('ends', (left < 6 * DAY ? day : date)(endsAt))
      if (left >= HOUR) return t('left', amount(Math.floor(left / HOUR), 'hour'))
      if (left >= MINUTE) return t('left', amount(Math.floor(left / MINUTE), 'minute'))
      return t('left', amount(Math.ceil(left / 1_000), 'second'))
    },
    after: (ms) => {
      const text = ms < DAY ? after.format(ms / HOUR, 'hour') : after.format(ms / DAY, 'day')
      return text.charAt(0).toLocaleUpperCase(locale) + text.slice(1)
    },
    ago: (ms) => {
      if (ms < HOUR) return past.format(-Math.floor(ms / MINUTE), 'minute')
      return ms < DAY
        ? past.format(-Math.floor(ms / HOUR), 'hour')
        : past.format(-Math.floor(ms / DAY), 'day')
    },
    time: (it) =>
      isDate(it) ? (new Date(it).toDateString() === new Date().toDateString() ? time : date)(it) : String(it),
  }
}

export const TextsContext = createContext<Texts | undefined>(undefined)

export function useTexts(): Texts {
  const texts = useContext(TextsContext)
  if (!texts) throw new Error('a component outside of TextsContext')
  return texts
}
