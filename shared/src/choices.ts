/**
 * What somebody has chosen, as messages and what is stored have it: `option` is the first of it, null where there is
 * none, and `options` is all of it where there is more than one. So it is read by and from what knows of one choice only.
 */
export type Choice = { option: number | null; options?: number[] }

/** @returns indexes of options, in ascending order */
export const choicesIn = ({ option, options }: Choice): number[] =>
  options ?? (option === null ? [] : [option])

/** @param choices indexes of options, in any order */
export function choiceOf(choices: readonly number[]): Choice {
  const options = [...new Set(choices)].toSorted((a, b) => a - b)
  return { option: options[0] ?? null, ...(options.length > 1 ? { options } : {}) }
}

export const isSameChoice = (a: Choice, b: Choice) => choicesIn(a).join() === choicesIn(b).join()
