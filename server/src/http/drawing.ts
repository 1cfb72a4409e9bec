/** Polls' pictures are drawn in a thread of their own: one takes some hundred ms, in which nothing else would run. */
import { Piscina } from 'piscina'
import pLimit from 'p-limit'
import { reasonOf, type Log } from '../log.ts'
import type { Draw } from './cards.ts'

/** A thread with nothing to draw ends after this long, in ms: its fonts and canvas take some 80 MB. */
const IDLE_TIMEOUT = 60_000
/** A drawing that takes longer, in ms, is given up, and its thread replaced. */
const TIMEOUT = 5_000

/** The thread is started with the first drawing. */
export function createDrawing(log: Log, signal: AbortSignal): Draw {
  const pool = new Piscina({ minThreads: 0, maxThreads: 1, idleTimeout: IDLE_TIMEOUT })
  pool.on('error', (error: unknown) => log.error('the thread that draws failed', { reason: reasonOf(error) }))
  signal.addEventListener('abort', () => void pool.destroy())
  // The time runs from when it is drawn, not from when it was asked for: so they wait here, not in the pool.
  const limit = pLimit(1)
  const filename = new URL('card.ts', import.meta.url).href
  return (drawn) =>
    limit(() =>
      pool.run(drawn, {
        // Named here and not for the whole pool, a file that can't be loaded is this drawing's failure.
        filename,
        name: 'drawCard',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
      }),
    )
}
