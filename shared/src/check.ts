/** Checking data by a lexicon schema: what doesn't fit is a value that says why. */

export type Schema<T> = {
  safeValidate(input: unknown): { success: true; value: T } | { success: false; reason: Error }
}

export type Checked<T> = { ok: true; value: T } | { ok: false; reason: string }

export function check<T>(schema: Schema<T>, data: unknown): Checked<T> {
  try {
    const parsed = schema.safeValidate(data)
    return parsed.success ? { ok: true, value: parsed.value } : { ok: false, reason: parsed.reason.message }
  } catch (error) {
    // Neither the validator nor its message bears what is nested thousands of times.
    if (error instanceof RangeError) return { ok: false, reason: 'nested too deeply' }
    throw error
  }
}
