/** How much of a poll an option has. */
import type { PollView } from './wire.ts'

/** Of all voters, from 0 to 1. */
export const shareOf = (
  { total, voters = total }: Pick<PollView, 'total' | 'voters'>,
  count: number,
): number => (voters === 0 ? 0 : count / voters)
