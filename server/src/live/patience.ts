/** What is nice to have is not waited for longer than this. */
import { setTimeout } from 'node:timers/promises'

/** @returns undefined where it takes longer than `ms` @param asked never rejects */
export async function within<T>(ms: number, asked: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController()
  const late = setTimeout(ms, undefined, { signal: stop.signal }).catch(() => undefined)
  const answer = await Promise.race([asked, late])
  stop.abort()
  return answer
}
