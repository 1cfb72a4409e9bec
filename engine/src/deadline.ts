/** Work that is given up, whether it heeds its signal or not. */

/** @param limit in ms @throws TimeoutError */
export function inTime<T>(limit: number, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(new DOMException('it took too long', 'TimeoutError')), limit)
  return unlessAborted(task(stop.signal), stop.signal).finally(() => clearTimeout(timer))
}

/** @throws the signal's reason, once it is aborted */
export function unlessAborted<T>(task: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason as Error)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort)
  return Promise.race([task, promise]).finally(() => signal.removeEventListener('abort', abort))
}
