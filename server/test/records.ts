/** Records and tap's events about them, for tests and benchmarks. */
import { home, type Family } from '@pollz/shared/families'
import { tid } from '@pollz/shared/tid'
import { voteRkey } from '@pollz/shared/votes'

/** @param time microseconds since 1970 */
export const iso = (time: number) =>
  `${new Date(Math.floor(time / 1000)).toISOString().slice(0, -1)}${String(time % 1000).padStart(3, '0')}Z`

/** Some time in 2026, in microseconds since 1970. */
export const T0 = Date.UTC(2026, 0, 1) * 1000

export type RecordEvent = {
  did: string
  collection: string
  rkey: string
  rev: string
  action: 'create' | 'update' | 'delete'
  record?: unknown
  cid?: string
  live: boolean
}

export const pollUri = (did: string, rkey: string) => `at://${did}/${home.poll}/${rkey}`

export const pollRecord = (options: string[], time: number, text = 'A question') => ({
  $type: home.poll,
  text,
  options,
  createdAt: iso(time),
})

export const voteRecord = (subject: string, option: number, time: number) => ({
  $type: home.vote,
  subject,
  option,
  createdAt: iso(time),
})

/** A version of a poll record as tap sends it; `options: null` deletes it. */
export function pollEvent(uri: string, options: string[] | null, time: number): RecordEvent {
  const [, , did, collection, rkey] = uri.split('/') as [string, string, string, string, string]
  const base = { did, collection, rkey, rev: tid(time), live: true }
  return options
    ? { ...base, action: 'create', record: pollRecord(options, time) }
    : { ...base, action: 'delete' }
}

/** A version of a vote record as tap sends it; `option: null` deletes it. */
export function voteEvent(
  did: string,
  subject: string,
  option: number | null,
  time: number,
  { rkey = voteRkey(subject), createdAt = time } = {},
): RecordEvent {
  const base = { did, collection: home.vote, rkey, rev: tid(time), live: true }
  return option === null
    ? { ...base, action: 'delete' }
    : { ...base, action: 'create', record: voteRecord(subject, option, createdAt) }
}

/** A cid, of nothing in particular. */
export const CID = 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'

export type PollDraft = {
  options: string[]
  /** microseconds since 1970, like `endsAt` */
  time: number
  endsAt?: number | undefined
  multiple?: boolean
  /** at-uri of the post that has the question */
  post?: string
}

/** A poll as the clients of its family write it, as far as that has what is asked for. */
export function pollRecordIn({ poll }: Family, draft: PollDraft): Record<string, unknown> {
  const { options, time, multiple = false, post } = draft
  const endsAt = draft.endsAt === undefined ? undefined : iso(draft.endsAt)
  const createdAt = iso(time)
  const subject = post === undefined ? {} : { subject: { uri: post, cid: CID } }
  switch (poll) {
    case 'tech.tokimeki.poll.poll':
      return { $type: poll, ...subject, options, createdAt, endsAt }
    case 'pub.leaflet.poll.definition':
      return { $type: poll, name: 'A question', options: options.map((text) => ({ text })), endDate: endsAt }
    case 'app.reddwarf.embed.poll': {
      const [a, b, c, d] = options
      return { $type: poll, ...subject, a, b, c, d, multiple: true, createdAt }
    }
    default:
      return { $type: poll, text: 'A question', options, createdAt, endsAt, multiple }
  }
}

export const recordMessage = (event: RecordEvent, id = 0) =>
  JSON.stringify({ id, type: 'record', record: event })

export const identityMessage = (did: string, status: string, handle = 'handle.invalid', id = 0) =>
  JSON.stringify({ id, type: 'identity', identity: { did, handle, is_active: status === 'active', status } })
