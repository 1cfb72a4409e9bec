/** What is asked for far more often than it changes. */

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
