/** C11: the options that a vote names, as one number: an index, or, where it names several, a set of indexes below zero. */

/** No poll of any family has more. */
export const MAX_OPTIONS = 10

/** No poll has more options: a greater index is read as this one, which never counts. */
export const NO_OPTION = 255

/** @param options distinct indexes, at least one */
export function choiceOf(options: readonly number[]): number {
  if (options.length === 1) return Math.min(options[0]!, NO_OPTION)
  // One that no poll has is enough: then none of them counts.
  if (options.some((option) => option >= MAX_OPTIONS)) return NO_OPTION
  return -options.reduce((set, option) => set | (1 << option), 0)
}

/** The lowest first. */
export function optionsOf(choice: number): number[] {
  if (choice >= 0) return [choice]
  return Array.from({ length: MAX_OPTIONS }, (_, option) => option).filter(
    (option) => (-choice >> option) & 1,
  )
}
