/** A judgement in words, for people who read a terminal. */
import type { Doubt, Fault } from '@pollz/shared/checks'
import type { Checked } from './check.ts'

/** Lines of one kind that are shown. */
const SHOWN = 20

const FAULTS: Record<Fault, string> = {
  added: 'the server counts it, but there is no such vote for this poll',
  dropped: 'the server does not count it, but it is there and counts (C1)',
  changed: 'the server counts it for something else than it says (C3)',
  doubled: 'the server counts its voter more than once (C2)',
  superseded: 'the server counts it, but its voter has a later one (C2)',
  late: 'the server counts it, but it was made after the end (C8)',
  backdated: 'the server says that it was made earlier than it says itself (C2)',
  invalid: 'the server counts it, but it names options that it may not (C1, C11)',
  inactive: 'the server counts it, but its account is not active (C5)',
  sum: 'the numbers are not the sum of the votes that the server lists',
  poll: 'the poll is not as its author wrote it',
  edited: 'the poll was another when it was checked before, and the server does not say so (C7)',
}

const DOUBTS: Record<Doubt, string> = {
  signature: 'its signature is not that of its account',
  otherRepo: 'its server sent a proof of another account',
  noProof: 'its server sent no proof of it',
  unreachable: 'its server does not answer',
  inactive: 'its account is not active',
  ahead: 'its account’s last change is dated in the future',
  old: 'its server shows an older state than the poll’s server has seen',
  perhapsLate: 'there is no telling whether it was made before the end (C8)',
}

export function wordsOf({ asked, at, ...it }: Checked): string {
  const { verdict, poll, counts, voters, claimed, listed, proved, findings, doubts } = it
  const options = poll?.options ?? counts.map((_, i) => `option ${i + 1}`)
  const lines = [
    poll?.text || asked.poll,
    ...options.map((text, i) => {
      const said = claimed && claimed.counts[i] !== counts[i] ? ` (the server says ${claimed.counts[i]})` : ''
      return `  ${String(counts[i] ?? 0).padStart(8)}  ${text}${said}`
    }),
    `${proved} of ${listed} votes proved, from ${voters} voters that count; ${at}`,
    ...described(findings, ({ fault }) => FAULTS[fault]),
    ...described(doubts, ({ why }) => DOUBTS[why]),
    ...(it.secondFailed === undefined
      ? []
      : [`Votes that the server leaves out were not looked for: ${it.secondFailed}`]),
    verdict === 'right'
      ? claimed
        ? 'The result is right.'
        : 'This is the result.'
      : verdict === 'wrong'
        ? 'The result is not right.'
        : 'Whether the result is right can’t be told.',
  ]
  return lines.join('\n')
}

function described<T extends { uri: string }>(items: readonly T[], say: (item: T) => string): string[] {
  const kinds = new Map<string, T[]>()
  for (const item of items) kinds.set(say(item), [...(kinds.get(say(item)) ?? []), item])
  return [...kinds].flatMap(([what, of]) => [
    `${of.length} × ${what}:`,
    ...of.slice(0, SHOWN).map(({ uri }) => `    ${uri}`),
    ...(of.length > SHOWN ? [`    and ${of.length - SHOWN} more`] : []),
  ])
}
