/** The thread that a result is checked in. */
import { checkPoll, type CheckOptions, type Checked } from 'pollz-check/check'

export type ToWorker = Omit<CheckOptions, 'signal' | 'onProgress' | 'onProof'>
export type FromWorker = { done: number; of: number } | { checked: Checked } | { failed: string }

/** The thread is ended to stop it. */
const { signal } = new AbortController()
const tell = (message: FromWorker) => postMessage(message)

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  checkPoll({ ...data, signal, onProgress: (done, of) => tell({ done, of }) }).then(
    (checked) => tell({ checked }),
    (error: unknown) => tell({ failed: error instanceof Error ? error.message : String(error) }),
  )
})
