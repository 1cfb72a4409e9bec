import { home, type Family } from '@pollz/shared/families'

type Vote = { subject: string; option: number; createdAt: string }

/** A vote record with one choice, as a client writes it. */
export function voteRecord({ subject, option, createdAt }: Vote, family: Family = home) {
  const [written] = family.writeVote({ poll: { uri: subject }, choices: [option], createdAt })
  return written!.record
}
