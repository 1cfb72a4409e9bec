/** What is asked for far more often than it changes. */
import { LRUCache } from 'lru-cache'

/** The same for calls with an argument, of which the last `max` are kept. */
export function brieflyOf<K extends string, T>(
  ms: number,
  max: number,
  ask: (key: K) => Promise<T>,
): (key: K) => Promise<T> {
  const calls = new LRUCache<K, () => Promise<T>>({ max })
  return (key) => {
    let call = calls.get(key)
    if (!call) calls.set(key, (call = briefly(ms, () => ask(key))))
    return call()
  }
}

/** Memoizes an async call for `ms` and shares the in-flight promise. A failure is not kept. */
export function briefly<T>(ms: number, ask: () => Promise<T>): () => Promise<T> {
  let kept: { answer: Promise<T>; until: number } | undefined
  return () => {
    if (kept && kept.until > Date.now()) return kept.answer
    const asked = { answer: ask(), until: Date.now() + ms }
    kept = asked
    asked.answer.catch(() => {
      if (kept === asked) kept = undefined
    })
    return asked.answer
  }
}
