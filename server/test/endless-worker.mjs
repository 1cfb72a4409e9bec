/** Stands in for the verifying thread: what has this as its car never ends, all else is proved. */
export function verify({ car, at, begun }) {
  Atomics.store(begun, 0, 1)
  while (car[0] === 0);
  return { ...at, rev: '3kaaaaaaaaaa2', record: {} }
}
