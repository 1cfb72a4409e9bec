/** The programs that are started: each ends with the signal, and none outlives this process. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'

export type Started = { child: ChildProcess; /** Resolves when it has ended. */ ended: Promise<void> }

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * @param logFile gets all it prints
 * @param signal ends it: SIGTERM, and SIGKILL where that takes more than five seconds
 */
export function start(
  command: string[],
  env: Record<string, string>,
  logFile: string,
  signal: AbortSignal,
): Started {
  const [file, ...args] = command as [string, ...string[]]
  const child = spawn(file, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = createWriteStream(logFile, { flags: 'a' })
  child.stdout.pipe(log)
  child.stderr.pipe(log)
  const ended = new Promise<void>((resolve) => {
    child.on('exit', () => resolve())
    child.on('error', () => resolve())
  })
  const stop = () => {
    child.kill('SIGTERM')
    const kill = setTimeout(() => child.kill('SIGKILL'), 5000)
    void ended.then(() => clearTimeout(kill))
  }
  signal.addEventListener('abort', stop)
  running.add(child)
  void ended.then(() => running.delete(child))
  return { child, ended }
}

/**
 * Waits for a condition: asks again until it holds.
 *
 * @param what is named when it does not hold in time
 */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  timeout = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeout
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${timeout} ms`, last === undefined ? {} : { cause: last })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** @returns whether the address answers with success */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url).catch(() => undefined)
  await response?.body?.cancel()
  return response?.ok ?? false
}
