/**
 * The poll lexicons in use on the network. A family is one row: adding a lexicon means adding a row,
 * never an `if` elsewhere.
 */
import type { LexMap } from '@atproto/lex'
import { check, type Checked, type Schema } from './check.ts'
import { app, pub, tech } from './lexicons/index.ts'
import { datetimeOfTid, isTid } from './tid.ts'

/** What every family's poll record is read as. */
export type PollContent = {
  /** '': it has none, or its post has it */
  text: string
  options: string[]
  /** RFC 3339, as its author wrote it. */
  createdAt: string
  /** C8, RFC 3339; absent: it has no end. */
  endsAt?: string
  /** C11: a voter may choose several options. */
  multiple?: true
  /** at-uri of the post by the same author whose text is the question. */
  post?: string
}

/** What every family's vote record is read as. */
export type VoteContent = {
  /** at-uri of the poll, as the voter wrote it: not checked further than the lexicon does. */
  subject: string
  /** Indexes of the chosen options, each once: not checked against the poll. */
  choices: number[]
  /** RFC 3339 */
  createdAt: string
}

/** A vote that is to be written. `cid`: of the poll's record, which some families name. */
export type VoteDraft = {
  poll: { uri: string; cid?: string | undefined }
  /** at least one; several only where the poll allows it */
  choices: readonly number[]
  /** RFC 3339 */
  createdAt: string
}

/** Where a record is: some say by their key what others say in a field. */
export type RecordAt = { did: string; collection: string; rkey: string }

/** `id`: number of the collection in stored votes: never changes, never used again. */
export type VoteCollection = { id: number; nsid: string }

export type Family = {
  /** Collection (NSID) of the poll records. */
  poll: string
  /** Collections of the vote records. */
  votes: readonly VoteCollection[]
  /** Where in a vote record the poll's at-uri is, as indexes of links name it. */
  subjectPath: string
  /** C11: a voter's records for a poll are their choices together; else one of them counts (C2). */
  together: boolean
  /** Record key of a new vote: `voteRkey` of its poll, or a new TID. */
  key: 'poll' | 'tid'
  /** A vote names the version (cid) of the poll, which is compared with nothing (C11). */
  namesVersion: boolean
  /**
   * Links that mean a poll of this family, beside those to companion servers: `HOST/PATH` with REPO and RKEY in the
   * path. A `?` before it: such a link may also lead to something else; a `^`: the post that it is in asks the question.
   */
  links: readonly string[]
  readPoll(record: unknown, at: RecordAt): Checked<PollContent>
  readVote(record: unknown, at: RecordAt): Checked<VoteContent>
  /** The records that together are a vote. @throws where it needs the poll's cid and has none */
  writeVote(vote: VoteDraft): { collection: string; record: LexMap }[]
}

/** Reads a record by its lexicon, then as what all families are read as. */
const reader =
  <T extends object, Content>(schema: Schema<T>, contentOf: (record: T, at: RecordAt) => Checked<Content>) =>
  (record: unknown, at: RecordAt): Checked<Content> => {
    const checked = check(schema, record)
    return checked.ok ? contentOf(checked.value, at) : checked
  }

const ok = <T>(value: T): Checked<T> => ({ ok: true, value })
const wrong = (reason: string): Checked<never> => ({ ok: false, reason })

type StrongRef = { uri: string; cid: string }

function strongRef({ uri, cid }: VoteDraft['poll']): StrongRef {
  if (cid === undefined) throw new Error(`the cid of ${uri} is not known`)
  return { uri, cid }
}

/** C11: a record without a date was made when its key was. */
const timeOf = (createdAt: string | undefined, { rkey }: RecordAt): Checked<string> =>
  createdAt !== undefined
    ? ok(createdAt)
    : isTid(rkey)
      ? ok(datetimeOfTid(rkey))
      : wrong(`there is no date, and the key ${rkey} is no TID`)

/** The question is the text of a post, which has to be by the poll's author. */
const postOf = (subject: StrongRef | undefined, { did }: RecordAt) =>
  subject?.uri.startsWith(`at://${did}/app.bsky.feed.post/`) ? { post: subject.uri } : {}

const endOf = (endsAt: string | undefined) => (endsAt === undefined ? {} : { endsAt })

const letters = ['a', 'b', 'c', 'd'] as const
const redDwarfVotes = letters.map((letter) => app.reddwarf.poll.vote[letter])

export const families: readonly Family[] = [
  {
    poll: tech.waow.poll.$nsid,
    votes: [{ id: 0, nsid: tech.waow.vote.$nsid }],
    subjectPath: 'subject',
    together: false,
    key: 'poll',
    namesVersion: false,
    links: [],
    readPoll: reader(tech.waow.poll.main, ({ text, options, createdAt, endsAt, multiple }) =>
      ok({ text, options, createdAt, ...endOf(endsAt), ...(multiple ? { multiple } : {}) }),
    ),
    readVote: reader(tech.waow.vote.main, ({ subject, option, options = [option], createdAt }) =>
      options[0] === option
        ? ok({ subject, choices: [...new Set(options)], createdAt })
        : wrong(`options: the first is ${options[0]}, but option is ${option}`),
    ),
    writeVote: ({ poll, choices, createdAt }) => [
      {
        collection: tech.waow.vote.$nsid,
        record: {
          $type: tech.waow.vote.$nsid,
          subject: poll.uri,
          option: choices[0]!,
          ...(choices.length > 1 ? { options: [...choices] } : {}),
          createdAt,
        },
      },
    ],
  },
  {
    poll: tech.waow.pollz.poll.$nsid,
    votes: [{ id: 1, nsid: tech.waow.pollz.vote.$nsid }],
    subjectPath: 'subject',
    together: false,
    key: 'poll',
    namesVersion: false,
    links: ['pollz.waow.tech/poll/REPO/RKEY'],
    readPoll: reader(tech.waow.pollz.poll.main, ({ text, options, createdAt }) =>
      ok({ text, options, createdAt }),
    ),
    readVote: reader(tech.waow.pollz.vote.main, ({ subject, option, createdAt }) =>
      ok({ subject, choices: [option], createdAt }),
    ),
    writeVote: ({ poll, choices, createdAt }) => [
      {
        collection: tech.waow.pollz.vote.$nsid,
        record: { $type: tech.waow.pollz.vote.$nsid, subject: poll.uri, option: choices[0]!, createdAt },
      },
    ],
  },
  {
    poll: tech.tokimeki.poll.poll.$nsid,
    votes: [{ id: 2, nsid: tech.tokimeki.poll.vote.$nsid }],
    subjectPath: 'poll.uri',
    together: false,
    key: 'tid',
    namesVersion: true,
    links: ['^poll.tokimeki.tech/p/REPO/RKEY', '^poll.tokimeki.blue/p/REPO/RKEY'],
    readPoll: reader(tech.tokimeki.poll.poll.main, ({ subject, options, createdAt, endsAt }, at) =>
      ok({ text: '', options, createdAt, ...endOf(endsAt), ...postOf(subject, at) }),
    ),
    readVote: reader(tech.tokimeki.poll.vote.main, ({ poll, optionIndex, createdAt }) =>
      ok({ subject: poll.uri, choices: [optionIndex], createdAt }),
    ),
    writeVote: ({ poll, choices, createdAt }) => [
      {
        collection: tech.tokimeki.poll.vote.$nsid,
        record: {
          $type: tech.tokimeki.poll.vote.$nsid,
          poll: strongRef(poll),
          optionIndex: choices[0]!,
          createdAt,
        },
      },
    ],
  },
  {
    poll: pub.leaflet.poll.definition.$nsid,
    votes: [{ id: 3, nsid: pub.leaflet.poll.vote.$nsid }],
    subjectPath: 'poll.uri',
    together: false,
    key: 'tid',
    namesVersion: true,
    links: [],
    readPoll: reader(pub.leaflet.poll.definition.main, ({ name = '', options, endDate }, at) => {
      const time = timeOf(undefined, at)
      if (!time.ok) return time
      const texts = options.map(({ text }) => text)
      return ok({ text: name, options: texts, createdAt: time.value, ...endOf(endDate) })
    }),
    readVote: reader(pub.leaflet.poll.vote.main, ({ poll, option: [first = ''] }, at) => {
      const time = timeOf(undefined, at)
      if (!time.ok) return time
      return /^(0|[1-9]\d{0,8})$/.test(first)
        ? ok({ subject: poll.uri, choices: [Number(first)], createdAt: time.value })
        : wrong('option: the first is no index')
    }),
    writeVote: ({ poll, choices }) => [
      {
        collection: pub.leaflet.poll.vote.$nsid,
        record: {
          $type: pub.leaflet.poll.vote.$nsid,
          poll: strongRef(poll),
          option: [String(choices[0])],
        },
      },
    ],
  },
  {
    poll: app.reddwarf.embed.poll.$nsid,
    // In the order of the options: each option has a collection of its own.
    votes: redDwarfVotes.map(({ $nsid }, i) => ({ id: 4 + i, nsid: $nsid })),
    subjectPath: 'subject.uri',
    together: true,
    key: 'tid',
    namesVersion: true,
    links: ['?^reddwarf.app/profile/REPO/post/RKEY'],
    readPoll: reader(app.reddwarf.embed.poll.main, ({ subject, a, b, c, d, createdAt }, at) =>
      c === undefined && d !== undefined
        ? wrong('d: there is no c')
        : ok({
            text: '',
            options: [a, b, c, d].filter((option) => option !== undefined),
            createdAt,
            multiple: true,
            ...postOf(subject, at),
          }),
    ),
    // Their lexicons are all the same.
    readVote: (record, at) => {
      const option = redDwarfVotes.findIndex(({ $nsid }) => $nsid === at.collection)
      const schema = redDwarfVotes[option]?.main as Schema<{ subject: StrongRef; createdAt?: string }>
      return reader(schema, ({ subject, createdAt }) => {
        const time = timeOf(createdAt, at)
        return time.ok ? ok({ subject: subject.uri, choices: [option], createdAt: time.value }) : time
      })(record, at)
    },
    writeVote: ({ poll, choices, createdAt }) =>
      choices.map((choice) => {
        const { $nsid } = redDwarfVotes[choice]!
        return { collection: $nsid, record: { $type: $nsid, subject: strongRef(poll), createdAt } }
      }),
  },
]

/** The family that new polls are written in, and that links to a companion server mean. */
export const home: Family & { vote: string } = { ...families[0]!, vote: tech.waow.vote.$nsid }

export const familyOfPoll: ReadonlyMap<string, Family> = new Map(families.map((f) => [f.poll, f]))
export const familyOfVote: ReadonlyMap<string, Family> = new Map(
  families.flatMap((f) => f.votes.map(({ nsid }) => [nsid, f])),
)

const voteCollections = families.flatMap(({ votes }) => votes)
const voteNsids: ReadonlyMap<number, string> = new Map(voteCollections.map(({ id, nsid }) => [id, nsid]))
const voteIds: ReadonlyMap<string, number> = new Map(voteCollections.map(({ id, nsid }) => [nsid, id]))

/** By the number that stored votes have. */
export function voteCollectionWithId(id: number): string {
  const nsid = voteNsids.get(id)
  if (nsid === undefined) throw new Error(`no collection of votes has the number ${id}`)
  return nsid
}

/** The number that stored votes of a collection have. */
export function idOfVoteCollection(nsid: string): number {
  const id = voteIds.get(nsid)
  if (id === undefined) throw new Error(`${nsid} is no collection of votes`)
  return id
}

/** Every collection of every family: what tap's filter lists. */
export const collections: readonly string[] = families.flatMap((f) => [
  f.poll,
  ...f.votes.map(({ nsid }) => nsid),
])

/** Which polls a link on a host means, for `parsePollLink`. `servers` are companion servers. */
export function pollHosts(...servers: string[]): Record<string, string> {
  // The home family's is the first.
  const ofServer = families.map(({ poll }) => poll).join(' ')
  return Object.fromEntries([
    ...families.flatMap(({ poll, links }) =>
      links.map((link) => {
        const [, marks, host, path] = /^([?^]*)([^/]+)(\/.*)$/.exec(link)!
        return [host!, `${poll} ${marks}${path}`]
      }),
    ),
    ...servers.map((server) => [new URL(server).host, ofServer]),
  ])
}
