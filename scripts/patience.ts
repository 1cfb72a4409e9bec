/** Vitest's waits give up after one second unless a test names a limit: too soon on a machine that is busy. */
import { vi } from 'vitest'

const LIMIT = 30_000

const { waitFor, waitUntil } = vi
type Options = Parameters<typeof waitFor>[1]
const patient = (options: Options): Options =>
  typeof options === 'number' ? options : { timeout: LIMIT, ...options }

vi.waitFor = (callback, options) => waitFor(callback, patient(options))
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options))
