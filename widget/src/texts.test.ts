import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createTexts, type Key } from './texts.ts'

const folder = join(import.meta.dirname, '../locales')
type Messages = Record<string, { message: string }>
const read = (locale: string) =>
  JSON.parse(readFileSync(join(folder, locale, 'messages.json'), 'utf8')) as Messages
const english = read('en')
const placeholders = (message: string) => (message.match(/\$\d/g) ?? []).toSorted()

const textsIn = (locale: string, language: string) =>
  createTexts(
    (key: Key, values) =>
      read(locale)[key]!.message.replace(/\$(\d)/g, (_, i) => values[Number(i) - 1] ?? ''),
    language,
  )

test('there are five languages', () => {
  expect(readdirSync(folder).toSorted()).toEqual(['de', 'en', 'es', 'ja', 'pt'])
})

describe.each(readdirSync(folder))('%s', (locale) => {
  const messages = read(locale)

  test('is complete, and says everything with the same substitutions', () => {
    expect(Object.keys(messages).toSorted()).toEqual(Object.keys(english).toSorted())
    const wrong = Object.keys(messages).filter((key) => {
      const [here, there] = [messages[key]!.message, english[key]!.message]
      return here.trim() === '' || placeholders(here).join() !== placeholders(there).join()
    })
    expect(wrong).toEqual([])
    expect(messages['locale']!.message).toBe(locale)
  })

  test('is translated', () => {
    const same = Object.keys(messages).filter((key) => messages[key]!.message === english[key]!.message)
    // Names, and words that are the same in both languages.
    expect(locale === 'en' ? 0 : same.length).toBeLessThan(6)
  })
})

test('numbers and plurals are those of the language', () => {
  expect([0, 1, 2, 1234].map(textsIn('en', 'en-US').votes)).toEqual([
    '0 votes',
    '1 vote',
    '2 votes',
    '1,234 votes',
  ])
  expect([0, 1, 1234].map(textsIn('de', 'de').votes)).toEqual(['0 Stimmen', '1 Stimme', '1.234 Stimmen'])
  expect([0, 1, 2].map(textsIn('pt', 'pt-BR').votes)).toEqual(['0 voto', '1 voto', '2 votos'])
  expect(textsIn('es', 'es').votes(1_000_000)).toBe('1.000.000 de votos')
  expect(textsIn('ja', 'ja').votes(1)).toBe('1 票')
  expect(textsIn('de', 'de').percent(0.5)).toBe('50\u00a0%')
})

test('a reader whose language is not there gets words and numbers in English', () => {
  expect(textsIn('en', 'fr').votes(1234)).toBe('1,234 votes')
})

test('a date that is none is shown as it was written', () => {
  expect(textsIn('en', 'en').date('yesterday')).toBe('yesterday')
  expect(textsIn('en', 'en').time(Number.NaN)).toBe('NaN')
  expect(textsIn('en', 'en').time(Infinity)).toBe('Infinity')
})

test('a time of today is said without its day, any other with it', () => {
  const { time } = textsIn('en', 'en-US')
  const now = Date.now()
  expect(time(now)).toMatch(/^\d+:\d\d\s[AP]M$/)
  const yesterday = now - 86_400_000
  expect(time(yesterday)).toContain(
    new Intl.DateTimeFormat('en-US', { dateStyle: 'medium' }).format(yesterday),
  )
})

test('an end is a day that is far, then hours, minutes and seconds', () => {
  const { ends } = textsIn('en', 'en-GB')
  const endsAt = '2026-11-27T18:00:00'
  expect(ends(3 * 86_400_000, endsAt)).toContain('Friday')
  expect(ends(30 * 86_400_000, endsAt)).toContain('27 Nov 2026')
  expect(ends(7_200_001, endsAt)).toBe('2 hrs left')
  expect(ends(119_999, endsAt)).toBe('1 min left')
  expect(ends(59_001, endsAt)).toBe('60 secs left')
})

test('when a poll would end is an item of a menu', () => {
  const [hour, days] = [3_600_000, 3 * 86_400_000]
  const both = (locale: string) => [hour, days].map(textsIn(locale, locale).after)
  expect(both('en')).toEqual(['In 1 hour', 'In 3 days'])
  expect(both('de')).toEqual(['In 1 Stunde', 'In 3 Tagen'])
  expect(both('es')).toEqual(['Dentro de 1 hora', 'Dentro de 3 días'])
  expect(both('pt')).toEqual(['Em 1 hora', 'Em 3 dias'])
  expect(both('ja')).toEqual(['1 時間後', '3 日後'])
})
