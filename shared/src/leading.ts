/** Which option stands out where results are shown. */

/** @returns index of the one option that has more votes than each other; undefined: none has, or several are even */
export function leadingOption(options: readonly { count: number }[]): number | undefined {
  const most = Math.max(0, ...options.map(({ count }) => count))
  const leading = options.findIndex(({ count }) => count === most)
  const isTie = options.some(({ count }, i) => count === most && i !== leading)
  return most === 0 || isTie ? undefined : leading
}
