/** Storing changes, in the order in which they were delivered, so that the tallies follow from the rules. */
import type { Client } from '@libsql/client'
import { parseAtUri } from '@pollz/shared/at-uri'
import {
  uriOf,
  type AccountChange,
  type Change,
  type PollChange,
  type SetAside,
  type VoteChange,
} from '../../ingest/events.ts'
import { accountSteps } from './accounts.ts'
import { commit, given, newVersion, type Step } from './batch.ts'
import { fenced } from '../lease.ts'
import { authorOf } from './keys.ts'
import { pollSteps } from './polls.ts'
import { voteSteps } from './votes.ts'

/** What was found out while it was stored; what else it changed the database tells whoever asks (store/news.ts). */
export type Applied = {
  /** DIDs of authors whose polls are named by a vote but not known (C6). */
  unknownAuthors: Set<string>
  /** DIDs of accounts whose status changed. */
  statuses: Set<string>
  /** of the last transaction; 0: nothing had to be stored */
  version: number
}

export const nothing = (): Applied => ({
  unknownAuthors: new Set(),
  statuses: new Set(),
  version: 0,
})

/** Adds what came after to what came before. */
export function add(to: Applied, more: Applied): void {
  for (const name of ['unknownAuthors', 'statuses'] as const) for (const it of more[name]) to[name].add(it)
  to.version = Math.max(to.version, more.version)
}

/** Set-aside events that are kept: the newest ones. */
const MAX_SET_ASIDE = 100_000

/**
 * When it resolves, all of it is committed (C9); when it rejects, some of it may be.
 *
 * @param fence of the lease by which it is stored: it rejects where somebody else has that by now; undefined: anybody may
 */
export async function apply(
  client: Client,
  changes: Change[],
  setAside: SetAside[],
  fence?: number,
): Promise<Applied> {
  const applied = nothing()
  const layers = layersOf(changes)
  for (const [i, layer] of layers.entries())
    add(applied, await applyLayer(client, layer, i === layers.length - 1 ? setAside : [], fence))
  return applied
}

type Layer = { accounts: AccountChange[]; polls: PollChange[]; votes: VoteChange[] }

/**
 * What can share a transaction, whose accounts are stored first, then its polls, then its votes: by C6 that order is
 * free, but of one record each version has to meet what the last one left, and an account's own records and statuses
 * keep their order, because an erasure (C5) takes what came before it and not what comes after.
 */
function layersOf(changes: Change[]): Layer[] {
  const layers: Layer[] = [{ accounts: [], polls: [], votes: [] }]
  /** By record, the first layer that may have its next version. */
  const afterRecord = new Map<string, number>()
  /** By account: the first layer that may have one of its records, and the first that may have its next status. */
  const ofAccount = new Map<string, { records: number; status: number }>()
  for (const change of changes) {
    const account = ofAccount.get(change.did) ?? { records: 0, status: 0 }
    ofAccount.set(change.did, account)
    let at: number
    if (change.type === 'account') {
      at = account.status
      account.records = at
    } else {
      const record = uriOf(change)
      at = Math.max(account.records, afterRecord.get(record) ?? 0)
      afterRecord.set(record, at + 1)
    }
    account.status = Math.max(account.status, at + 1)
    const layer = (layers[at] ??= { accounts: [], polls: [], votes: [] })
    if (change.type === 'account') layer.accounts.push(change)
    else if (change.type === 'poll') layer.polls.push(change)
    else layer.votes.push(change)
  }
  return layers
}

async function applyLayer(
  client: Client,
  { accounts, polls, votes }: Layer,
  setAside: SetAside[],
  fence: number | undefined,
): Promise<Applied> {
  const steps: Step[] = [
    ...(accounts.length > 0 ? accountSteps(accounts) : []),
    ...(polls.length > 0 ? pollSteps(polls) : []),
    ...(votes.length > 0 ? voteSteps(votes) : []),
    ...(setAside.length > 0 ? setAsideSteps(setAside) : []),
  ]
  const applied = nothing()
  if (steps.length === 0) return applied
  const rows = await commit(client, [...(fence === undefined ? [] : [fenced(fence)]), newVersion(), ...steps])
  for (const row of rows('namedPolls')) applied.unknownAuthors.add(authorOf(String(row['uri'])))
  for (const row of rows('statuses')) applied.statuses.add(String(row['did']))
  applied.version = Number(rows('version')[0]!['version'])
  return applied
}

const aside = given('did', 'uri', 'reason', 'event')

const setAsideSteps = (setAside: SetAside[]): Step[] => [
  {
    sql: `INSERT OR REPLACE INTO set_aside (uri, reason, event, seen_at)
      SELECT e.uri, e.reason, e.event, ?2 FROM ${aside.table()} e
      WHERE e.did NOT IN (SELECT did FROM accounts WHERE status = 'deleted')  -- C5`,
    args: [
      aside.argument(
        setAside.map(({ uri, reason, event }) => ({
          did: parseAtUri(uri)?.repo ?? uri,
          uri: storable(uri),
          reason: storable(reason),
          event: storable(event),
        })),
      ),
      new Date().toISOString(),
    ],
  },
  { sql: `DELETE FROM set_aside WHERE rowid <= (SELECT max(rowid) FROM set_aside) - ${MAX_SET_ASIDE}` },
]

/** Text that SQLite gives back as it was, or with a mark where it can't. */
const storable = (text: string) => text.toWellFormed().replaceAll('\0', '\ufffd')
