import type { PollView } from '@pollz/shared/wire'
import { expect, test } from 'vitest'
import { unlimited } from '../ingest/budget.ts'
import type { Names } from '../ingest/names.ts'
import type { HiddenRow } from '../store/hidden.ts'
import { Hidden } from './hidden.ts'
import { Lookup } from './lookup.ts'
import { Polls } from './polls.ts'
import { PATIENCE, Questions } from './questions.ts'

const tea = 'at://did:plc:a/tech.waow.poll/0'
const post = 'at://did:plc:a/app.bsky.feed.post/0'
const poll = { uri: tea, text: '', options: [] as PollView['options'], post } as PollView

/** What is found of a poll that is hidden while it, or the text of its post, is read. */
function findHiddenDuring(reading: 'poll' | 'post') {
  const rows: HiddenRow[] = []
  const hidden = new Hidden(async () => rows)
  const read = async <T>(what: typeof reading, found: T) => {
    if (what === reading) {
      rows.push({ n: 1, subject: tea, hidden: true, reason: '', at: '' })
      await hidden.refresh()
    }
    return found
  }
  const names = { canonical: async (uri: string) => ({ ok: true, uri, repo: 'did:plc:a' }) }
  const lookup = new Lookup({
    polls: new Polls(() => read('poll', { state: 'there', poll, at: 0 })),
    hidden,
    names: names as unknown as Names,
    questions: new Questions(
      () => read('post', { ok: true, value: '?' }),
      () => {},
    ),
    read: () => Promise.reject(new Error('it is known')),
    isIncomplete: () => false,
    staleSince: () => undefined,
  })
  return lookup.find(tea, unlimited('a client'), PATIENCE)
}

test.each(['poll', 'post'] as const)(
  'what was looked up before a poll was hidden is not shown after it: its %s was read',
  async (reading) => {
    expect(await findHiddenDuring(reading)).toMatchObject({ ok: false, uri: tea, error: 'Hidden' })
  },
)
