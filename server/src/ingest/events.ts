/**
 * What the network says, checked: one of tap's messages in, a change or the reason why it is none out.
 * Everything after this file trusts what it gets.
 */
import { formatAtUri } from '@pollz/shared/at-uri'
import { isAhead, readPoll, readVote } from '@pollz/shared/counting'
import { familyOfPoll, familyOfVote, type PollContent } from '@pollz/shared/families'
import { isTid } from '@pollz/shared/tid'
import { choiceOf } from './choices.ts'

type RecordChange = {
  did: string
  /** NSID */
  collection: string
  rkey: string
  /** TID of the commit, which C3 compares */
  rev: string
  /** The record was proved not to be there: of no interest where nothing is held of it. */
  onlyIfHeld?: boolean
}

/** The newest version of a vote record; `vote: null` is a record that is deleted or names no poll. */
export type VoteChange = RecordChange & {
  type: 'vote'
  vote: {
    subject: string
    /** the options that it names: `choiceOf` */
    choice: number
    /** microseconds since 1970, as `microseconds` reads it */
    createdAt: number
    /** C2, C8: seen when it was committed, so `rev` says when that was; else it only says by when it was there */
    seenLive: boolean
  } | null
}

/** The newest version of a poll record; `poll: null` is a record that is deleted or invalid. */
export type PollChange = RecordChange & {
  type: 'poll'
  /** `cid`: of the record, where that is known */
  poll: (PollContent & { cid?: string }) | null
}

export type AccountChange = {
  type: 'account'
  did: string
  status: AccountStatus
  /** null where it does not resolve; undefined where nothing was said of it */
  handle?: string | null
}

export type Change = VoteChange | PollChange | AccountChange

export const ACCOUNT_STATUSES = ['active', 'takendown', 'suspended', 'deactivated', 'deleted'] as const
export type AccountStatus = (typeof ACCOUNT_STATUSES)[number]

/** An event that is kept for its operator to look at, because all or part of it can't be used. */
export type SetAside = {
  /** at-uri or DID, as far as it is known; else empty */
  uri: string
  reason: string
  event: string
}

/** `id` is what tap wants acked; a message without one can't be acked. */
export type ReadEvent = { id: number | undefined; change?: Change; setAside?: SetAside }

const DID = /^did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]$/
const RKEY = /^[a-zA-Z0-9._~:-]{1,512}$/
const CID = /^[a-zA-Z0-9]{8,128}$/
const HANDLE = /^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/

const MAX_DID = 2048
/** Bytes of a message that are kept when it is set aside. */
const MAX_KEPT = 10_000

export function isDid(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_DID && DID.test(value)
}

export function isRkey(value: unknown): value is string {
  return typeof value === 'string' && RKEY.test(value) && value !== '.' && value !== '..'
}

export function isHandle(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 253 && HANDLE.test(value)
}

class Misfit extends Error {}

function field<T>(
  object: Record<string, unknown>,
  name: string,
  is: (value: unknown) => value is T,
  what: string,
): T {
  const value = object[name]
  if (is(value)) return value
  throw new Misfit(`${name}: expected ${what}, got ${show(value)}`)
}

function show(value: unknown): string {
  let text: string
  try {
    text = JSON.stringify(value) ?? 'nothing'
  } catch {
    text = 'something nested too deeply'
  }
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isAction = (value: unknown): value is 'create' | 'update' | 'delete' =>
  value === 'create' || value === 'update' || value === 'delete'
const isStatus = (value: unknown): value is AccountStatus => ACCOUNT_STATUSES.includes(value as AccountStatus)

/**
 * Reads one message of tap's channel. It never throws: what doesn't fit comes back with the reason, to be set
 * aside, and acked where it has an id. A record whose event fits but whose content doesn't match its lexicon is both
 * set aside and a change: as good as not there from this version on (C1).
 */
export function readEvent(message: string): ReadEvent {
  const aside = (uri: string, reason: string): SetAside => ({
    uri,
    reason,
    event: message.slice(0, MAX_KEPT),
  })
  let data: unknown
  try {
    data = JSON.parse(message)
  } catch {
    // It has to be acked all the same, or tap sends it for ever: the id may still be legible.
    const id = /"id"\s*:\s*(\d{1,15})\b/.exec(message)?.[1]
    return { id: id === undefined ? undefined : Number(id), setAside: aside('', 'event: not JSON') }
  }
  const id = isObject(data) && Number.isSafeInteger(data['id']) ? (data['id'] as number) : undefined
  try {
    if (!isObject(data)) throw new Misfit(`event: expected an object, got ${show(data)}`)
    if (data['type'] === 'record')
      return { id, ...readRecordEvent(field(data, 'record', isObject, 'an object'), aside) }
    if (data['type'] === 'identity')
      return { id, change: readIdentity(field(data, 'identity', isObject, 'an object')) }
    throw new Misfit(`type: expected record or identity, got ${show(data['type'])}`)
  } catch (error) {
    if (error instanceof RangeError) return { id, setAside: aside('', 'event: nested too deeply') }
    if (!(error instanceof Misfit)) throw error
    const subject = isObject(data) && (data['record'] ?? data['identity'])
    const did = isObject(subject) && isDid(subject['did']) ? subject['did'] : ''
    return { id, setAside: aside(did, error.message) }
  }
}

function readIdentity(identity: Record<string, unknown>): AccountChange {
  const did = field(identity, 'did', isDid, 'a DID')
  const { status, is_active: active, handle } = identity
  // Hosts may have statuses that nobody has heard of: whether the account is active is what counts.
  const known = isStatus(status)
    ? status
    : typeof active === 'boolean'
      ? active
        ? 'active'
        : 'deactivated'
      : undefined
  if (!known) throw new Misfit(`status: expected an account status, got ${show(status)}`)
  const resolves = isHandle(handle) && handle !== 'handle.invalid'
  return { type: 'account', did, status: known, handle: resolves ? handle : null }
}

function readRecordEvent(
  event: Record<string, unknown>,
  aside: (uri: string, reason: string) => SetAside,
): Omit<ReadEvent, 'id'> {
  const did = field(event, 'did', isDid, 'a DID')
  const rkey = field(event, 'rkey', isRkey, 'a record key')
  const rev = field(event, 'rev', isTid, 'a TID')
  if (isAhead(rev))
    throw new Misfit(`rev: expected a time not more than five minutes ahead of this clock, got ${show(rev)}`)
  const action = field(event, 'action', isAction, 'create, update or delete')
  const collection = event['collection']
  if (typeof collection !== 'string' || !(familyOfPoll.has(collection) || familyOfVote.has(collection)))
    throw new Misfit(`collection: expected one of the poll families, got ${show(collection)}`)
  const { cid } = event
  const { change, reason } = readRecord(
    { did, collection, rkey, rev, cid: typeof cid === 'string' && CID.test(cid) ? cid : undefined },
    action === 'delete' ? null : (event['record'] ?? undefined),
    event['live'] === true,
  )
  return reason === undefined
    ? { change }
    : { change, setAside: aside(formatAtUri({ repo: did, collection, rkey }), reason) }
}

/**
 * A record's version as a change, wherever it was read.
 *
 * @param record null: it was deleted; undefined: it is there but could not be decoded
 * @param live whether this version was seen when it was made
 */
export function readRecord(
  at: { did: string; collection: string; rkey: string; rev: string; cid?: string | undefined },
  record: unknown,
  live: boolean,
): { change: VoteChange | PollChange; reason?: string } {
  const { did, collection, rkey, rev, cid } = at
  if (familyOfPoll.has(collection)) {
    const base = { type: 'poll' as const, did, collection, rkey, rev }
    if (record === null) return { change: { ...base, poll: null } }
    const read = readPoll(record, at)
    if (!read.ok) return { change: { ...base, poll: null }, reason: read.reason }
    return { change: { ...base, poll: { ...read.value, ...(cid === undefined ? {} : { cid }) } } }
  }
  if (!familyOfVote.has(collection)) throw new Error(`no family has the collection ${collection}`)
  const base = { type: 'vote' as const, did, collection, rkey, rev }
  if (record === null) return { change: { ...base, vote: null } }
  const read = readVote(record, at)
  if (!read.ok) return { change: { ...base, vote: null }, reason: read.reason }
  const { subject, choices, createdAt } = read.value
  return { change: { ...base, vote: { subject, choice: choiceOf(choices), createdAt, seenLive: live } } }
}

/** at-uri of the record that a change is about. */
export function uriOf({ did: repo, collection, rkey }: VoteChange | PollChange): string {
  return formatAtUri({ repo, collection, rkey })
}
