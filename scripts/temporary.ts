/**
 * One temporary directory for a run of the tests. Whatever the run starts finds it as TMPDIR (`os.tmpdir()`, Chromium,
 * Firefox, Go, tap), and it is removed with everything in it when the process that made it ends.
 *
 * Vitest loads this as its global setup; `npm test` makes the directory before, and Vitest then uses that one.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const PREFIX = 'pollz-run-'

/** @returns its path. It is short: Unix sockets below it have 107 bytes for theirs */
export function useTemporaryDirectory(): string {
  const current = tmpdir()
  if (basename(current).startsWith(PREFIX)) return current
  const folder = mkdtempSync(join(current, PREFIX))
  // As open as the one it is in: the image's test starts programs as another user.
  chmodSync(folder, 0o1777)
  process.env['TMPDIR'] = folder
  process.on('exit', () => removeTemporaryDirectory(folder))
  return folder
}

/**
 * Ends what the run has started and is still there, then removes the directory. After Ctrl-C a browser goes on for a while,
 * and would make its folders again.
 */
export function removeTemporaryDirectory(folder: string): void {
  for (const pid of processesIn(folder)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      // It has ended by itself.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  // Whoever is killed may be in the middle of a write.
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}

/**
 * @returns ids of the other processes that have this directory as TMPDIR; none where there is no /proc. Chromium writes over
 *   the environment of its helpers, but names the directory of its profile in their arguments
 */
function processesIn(folder: string): number[] {
  if (!existsSync('/proc/self/environ')) return []
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!(pid > 0) || pid === process.pid) return false
      try {
        const read = (what: string) => readFileSync(`/proc/${pid}/${what}`, 'utf8')
        return read('environ').includes(`TMPDIR=${folder}\0`) || read('cmdline').includes(`=${folder}/`)
      } catch {
        // It has ended, or is somebody else's.
        return false
      }
    })
}

/**
 * Looks for the run's own name alone. Whoever else uses the temporary directory at the same time (a demo, another checkout's
 * tests, a browser) makes names like those of our tests, so names do not say whose they are.
 *
 * @param names in the directory that the run's own was made in, after its end
 * @returns those that the run has left
 */
export function leftBehind(names: readonly string[], folder: string): string[] {
  return names.filter((name) => name.includes(basename(folder)))
}

export default function setup(): void {
  useTemporaryDirectory()
}
