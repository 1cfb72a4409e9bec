/**
 * C10: tap never sends the deletes of a time in which a repo was out of sync. So the records that are held are compared
 * with what their PDS lists, and each that differs is read with its proof and stored like any event: a PDS that lists
 * wrongly heals nothing and breaks nothing.
 */
import { setTimeout } from 'node:timers/promises'
import { collections } from '@pollz/shared/families'
import type { Client } from '@libsql/client'
import { readRecord, type Change } from '../ingest/events.ts'
import type { RepoRead, Repos } from '../ingest/repos.ts'
import { reasonOf, type Log } from '../log.ts'
import { nextAccount, recordsOf, samePoll, sameVote } from './queries.ts'

/** Pages of a hundred records that are read of one collection: what lies beyond is left to tap. */
const MAX_PAGES = 50
/** Records of one account that are healed at a time; the next round goes on. */
const MAX_HEALED = 500
/** Pause after a round in which there was nobody, in ms. */
const IDLE = 60_000

type Parts = { client: Client; repos: Repos; store: (changes: Change[]) => Promise<unknown> }

/** @returns how many records differed and were read anew; an error where the PDS did not answer */
export async function reconcileAccount(
  { client, repos, store }: Parts,
  did: string,
): Promise<RepoRead<number>> {
  const held = new Map<string, string | null>(
    (await recordsOf(client, did)).map((it) => [`${it.collection}/${it.rkey}`, it.held]),
  )
  const differing: string[] = []
  for (const collection of collections) {
    const listed = new Set<string>()
    let cursor: string | undefined
    let least = ''
    for (let page = 0; page < MAX_PAGES; page++) {
      const read = await repos.listRecords(did, collection, cursor)
      if (!read.ok) return read
      for (const { rkey, value } of read.value.records) {
        const path = `${collection}/${rkey}`
        listed.add(path)
        if (contentOf(did, collection, rkey, value) !== (held.get(path) ?? null)) differing.push(path)
      }
      cursor = read.value.cursor
      least = cursor === undefined ? '' : (read.value.records.at(-1)?.rkey ?? '')
      if (cursor === undefined) break
    }
    for (const [path, content] of held) {
      const [of, rkey] = path.split('/') as [string, string]
      // A list that was not read to its end says nothing of what comes after.
      if (of === collection && content !== null && rkey >= least && !listed.has(path)) differing.push(path)
    }
  }
  for (const path of differing.slice(0, MAX_HEALED)) {
    const [collection, rkey] = path.split('/') as [string, string]
    const read = await repos.readRecord(did, collection, rkey)
    if (!read.ok) return read
    await store([readRecord(read.value, read.value.record, false).change])
  }
  return { ok: true, value: differing.length }
}

/** The least TID there is: the content of a record does not depend on its rev. */
const NO_REV = '2222222222222'

function contentOf(did: string, collection: string, rkey: string, value: unknown): string | null {
  const { change } = readRecord({ did, collection, rkey, rev: NO_REV }, value, false)
  if (change.type === 'vote') return change.vote && sameVote(change.vote.subject, change.vote.option)
  return change.poll && samePoll(change.poll.text, change.poll.options)
}

/**
 * Walks all accounts, again and again, one at a time.
 *
 * @param pause between two accounts, in ms
 * @param healed is told how many records differed
 */
export async function reconcileForever(
  parts: Parts,
  pause: number,
  healed: (records: number) => void,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  let after = 0
  while (!signal.aborted) {
    await setTimeout(pause, undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    try {
      const account = await nextAccount(parts.client, after)
      after = account?.id ?? 0
      if (!account) {
        await setTimeout(Math.min(IDLE, pause * 10), undefined, { signal }).catch(() => {})
        continue
      }
      const { did } = account
      const result = await reconcileAccount(parts, did)
      if (!result.ok) log.debug('an account could not be reconciled', { did, reason: result.message })
      else if (result.value > 0) {
        log.info('records that tap had missed were read anew', { did, records: result.value })
        healed(result.value)
      }
    } catch (error) {
      log.warn('reconciling failed', { reason: reasonOf(error) })
    }
  }
}
