/** What a check of a poll's result says (check/), by name: the same in messages, texts and archives. */

/** What is wrong with a server's count. */
export const FAULTS = [
  /** the server counts a vote that is not there, or that is for another poll */
  'added',
  /** it does not count one that is there and counts */
  'dropped',
  /** the vote says something else */
  'changed',
  /** C2: the voter is counted more than once */
  'doubled',
  /** C2: the voter has a later vote */
  'superseded',
  /** C8: it was made after the end */
  'late',
  /** the server says that it was made earlier than its voter does */
  'backdated',
  /** C1, C11: it names options that it may not */
  'invalid',
  /** C5: the account is not active */
  'inactive',
  /** the numbers are not the sum of the votes that are listed for them */
  'sum',
  /** the poll is not what its author wrote */
  'poll',
  /** C7: it was another when it was checked before, and the server does not say so */
  'edited',
] as const
export type Fault = (typeof FAULTS)[number]

/** Why nothing is proved of a record. */
export const GAPS = [
  /** it is signed by somebody else than the repo's owner */
  'signature',
  /** the proof is of another repo */
  'otherRepo',
  /** what came holds neither the record nor its absence */
  'noProof',
  /** its server does not answer, or not as one does */
  'unreachable',
  /** C5: the account is not active, or its server says that it has no such account */
  'inactive',
  /** C2: the commit is made in the future */
  'ahead',
] as const
export type Gap = (typeof GAPS)[number]

/** Why nobody can tell whether a vote counts. */
export const DOUBTS = [
  ...GAPS,
  /** the server has seen a newer commit of the repo than its PDS shows */
  'old',
  /** C8: there is no telling whether it was made before the end: the server may have seen when */
  'perhapsLate',
] as const
export type Doubt = (typeof DOUBTS)[number]

/** `right`: each vote is proved, and the numbers are theirs. `unknown`: nothing is wrong as far as can be told */
export const VERDICTS = ['right', 'wrong', 'unknown'] as const
export type Verdict = (typeof VERDICTS)[number]
