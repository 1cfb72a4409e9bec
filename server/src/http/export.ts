/** All votes that count for a poll, to take along and to check: streamed, for there may be any number of them. */
import type { CountedRecord, PollView } from '@pollz/shared/wire'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import type { Lookup } from '../live/lookup.ts'
import type { PollState } from '../store/queries.ts'
import { unlessKnown } from './answers.ts'
import { notFound } from './api.ts'
import type { Limits } from './limits.ts'

/** Voters whose records are read at once: each of them costs what counting them does. */
const PER_PAGE = 500

export type ExportSources = {
  lookup: Lookup
  limits: Limits
  /** The poll as the database has it now. */
  pollNow: (uri: string) => Promise<PollState>
  countedRecords: (
    poll: string,
    limit: number,
    after: number,
  ) => Promise<{ records: CountedRecord[]; last: number | undefined }>
}

type Format = {
  type: string
  begin: (poll: PollView) => string
  record: (record: CountedRecord, poll: PollView, isFirst: boolean) => string
  /** @param version of the poll, after the last of its votes was read */
  end: (version: number) => string
}

const formats: Record<'json' | 'csv', Format> = {
  json: {
    type: 'application/json',
    begin: (poll) => `{"poll":${JSON.stringify(poll)},"votes":[`,
    record: (record, _, isFirst) => `${isFirst ? '' : ','}\n${JSON.stringify(record)}`,
    end: (version) => `],"version":${version}}\n`,
  },
  csv: {
    type: 'text/csv; charset=utf-8',
    begin: () => 'voter,option,text,createdAt,castAt,uri,rev\r\n',
    record: ({ voter, options, createdAt, castAt, uri, rev }, poll) => {
      const texts = options.map((option) => poll.options[option]?.text ?? '')
      const fields = [voter, options.join(';'), texts.join('; '), createdAt, castAt, uri, rev]
      return `${fields.map(csvField).join(',')}\r\n`
    },
    end: () => '',
  },
}

/** RFC 4180. What a table program would take for a formula is kept from being one. */
function csvField(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

export function createExport({ lookup, limits, pollNow, countedRecords }: ExportSources): Hono {
  const routes = new Hono()
  for (const name of ['json', 'csv'] as const) {
    const format = formats[name]
    routes.get(`/polls/:uri/votes.${name}`, async (c) => {
      const found = await lookup.find(c.req.param('uri'), limits.budget(c))
      if (!found.ok) return notFound(c, found)
      const { uri } = found
      const state = await pollNow(uri)
      const poll =
        state.state === 'there' ? { ...found.poll, ...state.poll, text: found.poll.text } : found.poll
      const known = unlessKnown(c, `${name} ${poll.version}`)
      if (known) return known
      c.header('Content-Type', format.type)
      const file = `poll-${poll.rkey.replaceAll(/[^\w.-]/g, '_')}.${name}`
      if (name === 'csv') c.header('Content-Disposition', `attachment; filename="${file}"`)
      return stream(c, async (out) => {
        await out.write(format.begin(poll))
        let isFirst = true
        for (let after: number | undefined = 0; after !== undefined && !out.aborted;) {
          const { records, last } = await countedRecords(uri, PER_PAGE, after)
          const texts = records.map((record, i) => format.record(record, poll, isFirst && i === 0))
          isFirst &&= records.length === 0
          await out.write(texts.join(''))
          after = last
        }
        const now = await pollNow(uri)
        await out.write(format.end(now.state === 'there' ? now.poll.version : poll.version + 1))
      })
    })
  }
  return routes
}
