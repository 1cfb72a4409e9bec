/** Checks a poll: who is said to have voted is asked of a server and of a second source, and each vote is proved. */
import type { CountedVotes } from '@pollz/shared/wire'
import { judge, votesOf, type Case, type Judgement } from './judge.ts'
import { createRepos, type Evidence, type Proof } from './repos.ts'
import { SourceFailed, announce, readSecond, readServer } from './sources.ts'

/** While votes come the list is older than the proofs: what differs is looked at again, so often. */
const ROUNDS = 3
/** Votes of which a server is told that they are not as it says. */
const MAX_ANNOUNCED = 20

export type CheckOptions = {
  /** at-uri by DID */
  poll: string
  /** base URL of the companion server whose result is checked; undefined: it is counted here */
  server?: string | undefined
  /** base URL of another one, or of an index of links */
  second?: string | undefined
  /** base URL of the PLC directory */
  plc: string
  /** `terms` of the last judgement of this poll */
  termsBefore?: string | undefined
  signal: AbortSignal
  onProgress?: (done: number, of: number) => void
  /** what is worth keeping of each record that is proved */
  onProof?: (uri: string, proof: Proof) => void
}

/** `at`: RFC 3339. `asked`: what it was judged by. `secondFailed`: why the second source could not be asked */
export type Checked = Judgement & {
  at: string
  asked: Omit<Case, 'evidence'>
  secondFailed?: string
}

/** @throws SourceFailed where whoever is asked for the votes does not answer; the signal's reason */
export async function checkPoll(options: CheckOptions): Promise<Checked> {
  const { poll, server, second, plc, termsBefore, signal, onProgress, onProof } = options
  const repos = createRepos({ plc, signal })
  const evidence = new Map<string, Evidence>()

  const proveAll = async (uris: readonly string[]) => {
    let done = evidence.size
    const of = new Set([...evidence.keys(), ...uris]).size
    onProgress?.(done, of)
    const told = (it: string) => {
      const renewed = evidence.has(it)
      return (read: Evidence) => {
        evidence.set(it, read)
        if (!renewed) onProgress?.(++done, of)
      }
    }
    await Promise.all(
      uris.map(async (uri) => told(uri)(await repos.read(uri, onProof && ((proof) => onProof(uri, proof))))),
    )
  }

  let secondFailed: string | undefined
  const failed = (error: unknown): string[] => {
    // It is all there is where no server is asked.
    if (server === undefined || !(error instanceof SourceFailed)) throw error
    secondFailed = error.message
    return []
  }
  const [first, others] = await Promise.all([
    server === undefined ? undefined : readServer(server, poll, signal),
    second === undefined ? [] : readSecond(second, poll, signal).catch(failed),
  ])
  const isVote = votesOf(poll)
  const asked = { poll, claim: first, others: [...new Set(others)].filter(isVote), termsBefore }
  const listed = (claim: CountedVotes | undefined) => claim?.votes.map(({ uri }) => uri).filter(isVote) ?? []
  await proveAll([...new Set([poll, ...listed(first), ...asked.others])])
  let judgement = judge({ ...asked, evidence })

  for (let round = 1; round < ROUNDS && judgement.findings.length > 0; round++) {
    if (server === undefined) break
    const again = [...new Set(judgement.findings.map(({ uri }) => uri))]
    // Whoever has changed their vote a moment ago makes no server a liar.
    for (const uri of again.filter(isVote).slice(0, MAX_ANNOUNCED)) await announce(server, uri, signal)
    const claim = await readServer(server, poll, signal)
    if (claim.version === asked.claim?.version && asked.claim.version === asked.claim.poll.version) break
    asked.claim = claim
    await proveAll([...again, ...listed(claim).filter((uri) => !evidence.has(uri))])
    judgement = judge({ ...asked, evidence })
  }
  return {
    ...judgement,
    at: new Date().toISOString(),
    asked,
    ...(secondFailed === undefined ? {} : { secondFailed }),
  }
}
