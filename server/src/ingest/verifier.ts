/** Verifies proofs on threads of their own: what a PDS sends may take long to read. */
import { Piscina } from 'piscina'
import { reasonOf } from '../log.ts'
import { Places, ReadFailure } from './outbound.ts'
import type { Proof, ProvenRecord } from './proofs.ts'

const THREADS = 2
const MAX_WAITING = 256
/** In ms, once a thread has begun. A proof takes about one, the worst that 128 kB can hold about 40. */
const MAX_TIME = 2_000
/** How often it is looked whether that is over, within that time. */
const LOOKS = 4
/** For the JavaScript of one thread. */
const MAX_MEGABYTES = 128

/** @throws ReadFailure InvalidProof, or Busy */
export type Verifier = (proof: Proof, signal: AbortSignal) => Promise<ProvenRecord>

/**
 * The threads start with the first proof.
 *
 * @param stop ends them
 * @param worker module that exports `verify`
 * @param maxTime ms, as `MAX_TIME`
 */
export function createVerifier(
  stop: AbortSignal,
  worker = new URL('./proofs.ts', import.meta.url),
  maxTime = MAX_TIME,
): Verifier {
  // The pool has no queue of its own, so that time spent waiting is not taken for time spent verifying.
  const threads = new Places(() => ({ running: THREADS, waiting: MAX_WAITING }))
  let pool: Piscina<Proof, ProvenRecord> | undefined

  const start = () => {
    const started = new Piscina<Proof, ProvenRecord>({
      filename: worker.href,
      name: 'verify',
      minThreads: THREADS,
      maxThreads: THREADS,
      resourceLimits: { maxOldGenerationSizeMb: MAX_MEGABYTES },
    })
    // Unheard, the error of a thread that has no task (no memory or file left to start it) would end the server.
    started.on('error', () => {
      if (pool === started) pool = undefined
      void started.destroy()
    })
    stop.addEventListener('abort', () => void started.destroy(), { once: true })
    return started
  }

  return (proof, signal) =>
    threads.run('proofs', signal, async () => {
      pool ??= start()
      const late = new AbortController()
      // On a busy machine the start of a thread takes seconds, which is not the proof's fault.
      const begun = new Int32Array(new SharedArrayBuffer(4))
      let looks = 0
      const clock = setInterval(() => {
        if (Atomics.load(begun, 0) === 1 && ++looks > LOOKS) late.abort()
      }, maxTime / LOOKS)
      try {
        return await pool.run({ ...proof, begun }, { signal: AbortSignal.any([signal, late.signal]) })
      } catch (error) {
        throw new ReadFailure(
          'InvalidProof',
          late.signal.aborted ? `took longer than ${maxTime} ms to verify` : reasonOf(error),
        )
      } finally {
        clearInterval(clock)
      }
    })
}
