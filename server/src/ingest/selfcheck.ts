/**
 * C10: the server checks a poll of its own now and then, as anybody can (check/): it proves the votes that it counts, and
 * counts them by the rules that people check with. What differs is counted for the operator, and healed.
 */
import { setTimeout } from 'node:timers/promises'
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Verdict } from '@pollz/shared/checks'
import type { CountedRecord, CountedVotes } from '@pollz/shared/wire'
import { judge } from 'pollz-check/judge'
import type { Evidence } from 'pollz-check/repos'
import { reasonOf, type Log } from '../log.ts'
import { changeOf } from './announced.ts'
import { unlimited } from './budget.ts'
import type { Change } from './events.ts'
import type { Repos } from './repos.ts'

/** Votes of one poll that are proved at a time: of a longer one those of some voters. */
const MAX_VOTES = 200
/** Other servers are asked no more than this many things at once. */
const AT_ONCE = 4

const budget = unlimited('self-check')

export type SelfCheckOptions = {
  repos: Repos
  /** A poll that has votes, any; undefined: there is none. */
  pick: () => Promise<string | undefined>
  /** What is counted for it: all, or the votes of so many of its voters. `isWhole`: which of the two */
  claim: (poll: string, limit: number) => Promise<{ votes: CountedVotes; isWhole: boolean } | undefined>
  /** Resolves once the changes are committed. */
  store: (changes: Change[]) => Promise<unknown>
  onChecked: (verdict: Verdict) => void
  log: Log
}

/** @param pause between two checks, in ms */
export async function checkSelf(
  options: SelfCheckOptions,
  pause: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await setTimeout(pause, undefined, { signal })
      await checkOne(options, signal)
    } catch (error) {
      if (!signal.aborted) options.log.warn('no poll could be checked', { reason: reasonOf(error) })
    }
  }
}

export async function checkOne(
  { repos, pick, claim, store, onChecked, log }: SelfCheckOptions,
  signal: AbortSignal,
): Promise<void> {
  const poll = await pick()
  const before = poll === undefined ? undefined : await claim(poll, MAX_VOTES)
  if (poll === undefined || !before) return
  const evidence = new Map<string, Evidence>()
  const proven = new Map<string, Change>()
  const uris = [poll, ...before.votes.votes.map(({ uri }) => uri)]
  const next = async () => {
    for (let uri = uris.shift(); uri !== undefined && !signal.aborted; uri = uris.shift()) {
      const { repo: did, collection, rkey } = parseAtUri(uri)!
      const read = await repos.readRecord({ did, collection, rkey, budget })
      if (read.ok) proven.set(uri, changeOf(read.value))
      evidence.set(uri, read.ok ? { ok: true, ...read.value } : { ok: false, why: gapOf(read.error) })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
  if (signal.aborted) return

  // What has come meanwhile is no fault: only what is still said is.
  const after = await claim(poll, MAX_VOTES)
  if (!after) return
  const still = new Map(after.votes.votes.map((record) => [record.uri, record]))
  const isSame = (record: CountedRecord) => {
    const now = still.get(record.uri)
    return now?.rev === record.rev && now.options.join() === record.options.join()
  }
  const votes = before.votes.votes.filter(isSame)
  const isWhole = before.isWhole && votes.length === before.votes.votes.length
  const version = isWhole ? before.votes.version : before.votes.poll.version - 1
  const { findings, doubts } = judge({
    poll,
    claim: { ...before.votes, votes, version },
    others: [],
    evidence,
  })
  onChecked(findings.length > 0 ? 'wrong' : doubts.length > 0 ? 'unknown' : 'right')
  if (findings.length === 0) return
  log.warn('a poll was counted wrongly: what differs is read anew', { poll, findings })
  await store(findings.flatMap(({ uri }) => proven.get(uri) ?? []))
}

/** In the words of a check. */
function gapOf(error: string) {
  if (error === 'RepoInactive' || error === 'RepoNotFound') return 'inactive'
  return error === 'InvalidProof' ? 'noProof' : 'unreachable'
}
