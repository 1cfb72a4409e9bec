/** Checks a result in a worker, which is loaded when somebody asks for it: the page stays smooth. */
import type { RunCheck } from '@pollz/engine/checks'
import type { FromWorker, ToWorker } from './check-worker.ts'

export const runCheck: RunCheck = (options, onProgress, signal) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./check-worker.ts', import.meta.url), { type: 'module' })
    const stop = () => {
      worker.terminate()
      reject(signal.reason)
    }
    signal.addEventListener('abort', stop, { once: true })
    const end = (then: () => void) => {
      signal.removeEventListener('abort', stop)
      worker.terminate()
      then()
    }
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if ('of' in data) onProgress(data.done, data.of)
      else if ('checked' in data) end(() => resolve(data.checked))
      else end(() => reject(new Error(data.failed)))
    }
    worker.onerror = () => end(() => reject(new Error('the check could not be loaded')))
    worker.postMessage(options satisfies ToWorker)
  })
