/** All votes that count for a poll, to take along and to check: streamed, for there may be any number of them. */
import { setTimeout } from 'node:timers/promises'
import { voterEntry } from '@pollz/shared/followed'
import type { CountedRecord, PollView } from '@pollz/shared/wire'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import pLimit from 'p-limit'
import type { Lookup } from '../live/lookup.ts'
import type { PollState } from '../store/queries.ts'
import { unlessKnown } from './answers.ts'
import { failure, notFound } from './api.ts'
import type { Limits } from './limits.ts'

/** Voters whose records are read at once: each of them costs what counting them does. */
const PER_PAGE = 500
/** Lists that are read at once: one of a million votes takes the database some twenty seconds, in small pieces. */
const AT_ONCE = 8

/** A client that takes nothing for so long, in ms, is cut off: it would keep the place of another. */
const STALLED = 30_000

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
  /** instead of `STALLED`: for tests */
  stalled?: number
}

type Format = {
  type: string
  begin: (poll: PollView) => string
  records: (records: CountedRecord[], poll: PollView, isFirst: boolean) => string | Uint8Array
  /** @param version of the poll, after the last of its votes was read */
  end: (version: number) => string
}

/** A file to keep. */
const attached = (poll: PollView, ending: string) =>
  `attachment; filename="poll-${poll.rkey.replaceAll(/[^\w.-]/g, '_')}.${ending}"`

const formats: Record<'votes.json' | 'votes.csv' | 'voters.bin', Format> = {
  'votes.json': {
    type: 'application/json',
    begin: (poll) => `{"poll":${JSON.stringify(poll)},"votes":[`,
    records: (records, _, isFirst) =>
      records.map((record, i) => `${isFirst && i === 0 ? '' : ','}\n${JSON.stringify(record)}`).join(''),
    end: (version) => `],"version":${version}}\n`,
  },
  'votes.csv': {
    type: 'text/csv; charset=utf-8',
    begin: () => 'voter,option,text,createdAt,castAt,uri,rev\r\n',
    records: (records, poll) =>
      records
        .map(({ voter, options, createdAt, castAt, uri, rev }) => {
          const texts = options.map((option) => poll.options[option]?.text ?? '')
          const fields = [voter, options.join(';'), texts.join('; '), createdAt, castAt, uri, rev]
          return `${fields.map(csvField).join(',')}\r\n`
        })
        .join(''),
    end: () => '',
  },
  // Who voted for what, as short as it can be (shared/followed.ts).
  'voters.bin': {
    type: 'application/octet-stream',
    begin: () => '',
    records: (records) => Buffer.concat(records.map(({ voter, options }) => voterEntry(voter, options))),
    end: () => '',
  },
}

/** RFC 4180. What a table program would take for a formula is kept from being one. */
function csvField(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

export function createExport({
  lookup,
  limits,
  pollNow,
  countedRecords,
  stalled = STALLED,
}: ExportSources): Hono {
  const routes = new Hono()
  const underway = pLimit(AT_ONCE)
  for (const [name, format] of Object.entries(formats)) {
    routes.get(`/polls/:uri/${name}`, async (c) => {
      const found = await lookup.find(c.req.param('uri'), limits.budget(c))
      if (!found.ok) return notFound(c, found)
      if (underway.activeCount >= AT_ONCE) {
        c.header('Retry-After', '5')
        return failure(c, 503, 'Busy', 'too many lists of votes are being read: try again later')
      }
      const { uri } = found
      const state = await pollNow(uri)
      const poll =
        state.state === 'there' ? { ...found.poll, ...state.poll, text: found.poll.text } : found.poll
      const known = unlessKnown(c, `${name} ${poll.version}`)
      if (known) return known
      c.header('Content-Type', format.type)
      if (name === 'votes.csv') c.header('Content-Disposition', attached(poll, 'csv'))
      return stream(c, (out) =>
        underway(async () => {
          const write = async (part: string | Uint8Array) => {
            const taken = out.write(part).then(() => true)
            if (!(await Promise.race([taken, setTimeout(stalled, false, { ref: false })]))) out.abort()
          }
          await write(format.begin(poll))
          let isFirst = true
          for (let after: number | undefined = 0; after !== undefined && !out.aborted;) {
            const { records, last } = await countedRecords(uri, PER_PAGE, after)
            await write(format.records(records, poll, isFirst))
            isFirst &&= records.length === 0
            after = last
          }
          if (out.aborted) return
          const now = await pollNow(uri)
          await write(format.end(now.state === 'there' ? now.poll.version : poll.version + 1))
        }),
      )
    })
  }
  return routes
}
