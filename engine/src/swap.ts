/** Writes name the version that they replace, so what comes late does not undo what was done since. */
import { XRPCError } from '@atproto/api'

/** How often a write is tried whose record changes all the time. */
const MAX_TRIES = 3

/** Another version stands where a write was to replace one. */
export const isSwapped = (error: unknown) => error instanceof XRPCError && error.error === 'InvalidSwap'

/** @param write looks at what is there each time @throws as it does, or where that has changed once too often */
export async function swapping<T>(write: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++)
    try {
      return await write()
    } catch (error) {
      if (!isSwapped(error) || tries === MAX_TRIES) throw error
    }
}
