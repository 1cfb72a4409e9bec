/** What is held of an account, as it is compared with what its PDS has (C10). */
import type { AccountStatus } from './events.ts'

export type HeldAccount = {
  /** its place in the order in which accounts are reconciled */
  id: number
  did: string
  status: AccountStatus
  /** whether tap has a reason to track it */
  wanted: boolean
}

/**
 * A record as it is held. `held`: its content, as `sameVote` and `samePoll` say it; null: it is not there. `seen`:
 * whether any version of it was seen; of a poll that is only named by votes none was.
 */
export type HeldRecord = { collection: string; rkey: string; seen: boolean; held: string | null }

/** What two versions of a vote have in common that count alike. `createdAt`: microseconds since 1970 */
export const sameVote = (vote: { subject: string; choice: number; createdAt: number }) =>
  `${vote.subject} ${vote.choice} ${vote.createdAt}`

/** What two versions of a poll have in common that read alike. Times are microseconds since 1970. */
export const samePoll = (poll: {
  text: string
  options: string[]
  createdAt: number
  endsAt: number | undefined
  multiple: boolean
  post: string | undefined
}) => JSON.stringify([poll.text, poll.options, poll.createdAt, poll.endsAt, poll.multiple, poll.post])
