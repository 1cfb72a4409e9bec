/**
 * The poll lexicons in use on the network. A family is one row: adding a lexicon means adding a row,
 * never an `if` elsewhere.
 */
import type { LexMap } from '@atproto/lex'
import { check, type Checked, type Schema } from './check.ts'
import { tech } from './lexicons/index.ts'

/** What every family's poll record is read as. */
export type PollContent = {
  text: string
  options: string[]
  /** RFC 3339, as its author wrote it. */
  createdAt: string
  /** RFC 3339; only where the family has an end (C8). */
  endsAt?: string
}

/** What every family's vote record is read as. */
export type VoteContent = {
  /** at-uri of the poll, as the voter wrote it: not checked further than the lexicon does. */
  subject: string
  /** Index of the chosen option: not checked against the poll. */
  option: number
  createdAt: string
}

export type Family = {
  /** Number of this family in stored votes: never changes, never used again. */
  id: number
  /** Collection (NSID) of the poll records. */
  poll: string
  /** Collection (NSID) of the vote records. */
  vote: string
  /** Whether its polls can have an end: then the time of a vote is kept more exactly (C8). */
  ends: boolean
  /** Hosts whose `/poll/REPO/RKEY` links mean a poll of this family. */
  hosts: string[]
  readPoll(record: unknown): Checked<PollContent>
  readVote(record: unknown): Checked<VoteContent>
  /** The record that `putRecord` writes. */
  writeVote(vote: VoteContent): LexMap
}

/** Readers for records that have the shape that a family is read as. What else is in them nobody has checked. */
const pollReader =
  (schema: Schema<PollContent>) =>
  (record: unknown): Checked<PollContent> => {
    const checked = check(schema, record)
    if (!checked.ok) return checked
    const { text, options, createdAt } = checked.value
    return { ok: true, value: { text, options, createdAt } }
  }
const voteReader =
  (schema: Schema<VoteContent>) =>
  (record: unknown): Checked<VoteContent> => {
    const checked = check(schema, record)
    if (!checked.ok) return checked
    const { subject, option, createdAt } = checked.value
    return { ok: true, value: { subject, option, createdAt } }
  }

export const families: readonly Family[] = [
  {
    id: 0,
    poll: tech.waow.poll.$nsid,
    vote: tech.waow.vote.$nsid,
    ends: false,
    hosts: [],
    readPoll: pollReader(tech.waow.poll.main),
    readVote: voteReader(tech.waow.vote.main),
    writeVote: (vote) => ({ $type: tech.waow.vote.$nsid, ...vote }),
  },
  {
    id: 1,
    poll: tech.waow.pollz.poll.$nsid,
    vote: tech.waow.pollz.vote.$nsid,
    ends: false,
    hosts: ['pollz.waow.tech'],
    readPoll: pollReader(tech.waow.pollz.poll.main),
    readVote: voteReader(tech.waow.pollz.vote.main),
    writeVote: (vote) => ({ $type: tech.waow.pollz.vote.$nsid, ...vote }),
  },
]

/** The family that new polls are written in, and that links to a companion server mean. */
export const home: Family = families[0]!

/** By the number that stored votes have. */
export function familyWithId(id: number): Family {
  const family = families.find((it) => it.id === id)
  if (!family) throw new Error(`no family has the number ${id}`)
  return family
}

export const familyOfPoll: ReadonlyMap<string, Family> = new Map(families.map((f) => [f.poll, f]))
export const familyOfVote: ReadonlyMap<string, Family> = new Map(families.map((f) => [f.vote, f]))

/** Every collection of every family: what tap's filter lists. */
export const collections: readonly string[] = families.flatMap((f) => [f.poll, f.vote])

/** Which poll collection a link on a host means, for `parsePollLink`. `servers` are companion servers. */
export function pollHosts(...servers: string[]): Record<string, string> {
  return Object.fromEntries([
    ...families.flatMap((family) => family.hosts.map((host) => [host, family.poll])),
    ...servers.map((server) => [new URL(server).host, home.poll]),
  ])
}
