import type { PollView } from '@pollz/shared/wire'
import { expect, test } from 'vitest'
import { unlimited } from '../ingest/budget.ts'
import type { Names } from '../ingest/names.ts'
import type { HiddenRow } from '../store/hidden.ts'
import type { PollState } from '../store/queries.ts'
import { Hidden } from './hidden.ts'
import { Lookup } from './lookup.ts'
import { Polls } from './polls.ts'

const tea = 'at://did:plc:a/tech.waow.poll/0'
const poll = { uri: tea, text: '?', options: [] as PollView['options'] } as PollView

test('what was looked up before a poll was hidden is not shown after it', async () => {
  const rows: HiddenRow[] = []
  const read = Promise.withResolvers<PollState>()
  const hidden = new Hidden(async () => rows)
  const names = { canonical: async (uri: string) => ({ ok: true, uri, repo: 'did:plc:a' }) }
  const lookup = new Lookup({
    polls: new Polls(() => read.promise),
    hidden,
    names: names as unknown as Names,
    read: () => Promise.reject(new Error('it is known')),
  })
  const found = lookup.find(tea, unlimited('a client'))
  rows.push({ n: 1, subject: tea, hidden: true, reason: '', at: '' })
  await hidden.refresh()
  read.resolve({ state: 'there', poll })
  expect(await found).toMatchObject({ ok: false, uri: tea, error: 'Hidden' })
})
