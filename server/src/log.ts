/** One JSON line per event on stderr. */
import { LOG_LEVELS, type LogLevel } from './config.ts'

export type Log = Record<LogLevel, (message: string, fields?: Record<string, unknown>) => void>

export function createLog(level: LogLevel): Log {
  const least = LOG_LEVELS.indexOf(level)
  const at =
    (of: LogLevel) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      if (LOG_LEVELS.indexOf(of) < least) return
      const time = new Date().toISOString()
      process.stderr.write(`${JSON.stringify({ time, level: of, message, ...fields })}\n`)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Has an error say what it is about. */
export async function about<T>(subject: string, task: Promise<T>): Promise<T> {
  try {
    return await task
  } catch (cause) {
    throw new Error(subject, { cause })
  }
}

/** What went wrong, with its causes, on one line. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${reasonOf(error.cause)}`
}
