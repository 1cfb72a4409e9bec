/** Verifies proofs on threads of their own: what a PDS sends may take long to read. */
import { Piscina } from 'piscina'
import { reasonOf } from '../log.ts'
import { Places, ReadFailure } from './outbound.ts'
import type { Proof, ProvenRecord } from './proofs.ts'

const THREADS = 2
const MAX_WAITING = 256
/** In ms. A proof takes about one, the worst that 128 kB can hold about 40. */
const MAX_TIME = 2_000
/** For the JavaScript of one thread. */
const MAX_MEGABYTES = 128

/** @throws ReadFailure InvalidProof, or Busy */
export type Verifier = (proof: Proof, signal: AbortSignal) => Promise<ProvenRecord>

/**
 * The threads start with the first proof.
 *
 * @param stop ends them
 * @param worker module that exports `verify`
 */
export function createVerifier(
  stop: AbortSignal,
  worker = new URL('./proofs.ts', import.meta.url),
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
      const late = AbortSignal.timeout(MAX_TIME)
      try {
        return await pool.run(proof, { signal: AbortSignal.any([signal, late]) })
      } catch (error) {
        throw new ReadFailure(
          'InvalidProof',
          late.aborted ? `took longer than ${MAX_TIME} ms to verify` : reasonOf(error),
        )
      }
    })
}
