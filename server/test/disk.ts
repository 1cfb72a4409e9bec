/** A small disk of a test's own that can be full: a tmpfs, for which Linux wants root or a namespace where we are it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, rmdirSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Disk = {
  /** Its folder, as the processes see it that are started with `inside`. */
  path: string
  /** What to put before a command so that it sees the disk; empty where everybody does. */
  inside: string[]
  /** Takes all that is left of it. */
  fill: () => void
  /** Gives back what `fill` took. */
  free: () => void
  /** Unmounts it; nothing on it stays. */
  close: () => Promise<void>
}

/** Mounts, and cleans up when its input ends: then whoever started it has ended, however that came about. */
const HOLD = `mount -t tmpfs -o size="$1" tmpfs "$2" || exit 1
echo mounted
cat >/dev/null
umount -l "$2"
rmdir "$2"`

/** Ways to become who may mount, and then to see what they have mounted. */
const WAYS = [
  { command: ['sh'], inside: () => [], root: () => '' },
  {
    command: ['unshare', '-rm', 'sh'],
    inside: (pid: number) => ['nsenter', '-t', String(pid), '-U', '-m', '--preserve-credentials'],
    root: (pid: number) => `/proc/${pid}/root`,
  },
]

/**
 * @param bytes its size, rounded up to whole pages
 * @returns the disk, or why there is none: the reason to skip a test for
 * @throws in CI where there is none
 */
export async function mountDisk(bytes: number): Promise<Disk | { missing: string }> {
  const path = mkdtempSync(join(tmpdir(), 'pollz-disk-'))
  const reasons: string[] = []
  for (const way of WAYS) {
    const [file, ...args] = [...way.command, '-c', HOLD, 'sh', String(bytes), path]
    const holder = spawn(file!, args)
    const ended = once(holder, 'exit').catch((error: Error) => reasons.push(error.message))
    holder.stderr.on('data', (data: Buffer) => reasons.push(data.toString().trim()))
    const mounted = await Promise.race([
      once(holder.stdout, 'data').then(() => true),
      ended.then(() => false),
    ])
    if (!mounted) continue
    const filler = join(way.root(holder.pid!), path, 'filler')
    return {
      path,
      inside: way.inside(holder.pid!),
      fill: () => fill(filler),
      free: () => rmSync(filler, { force: true }),
      close: async () => {
        holder.stdin.end()
        await ended
      },
    }
  }
  rmdirSync(path)
  const missing = `no disk can be mounted: ${reasons.join('; ')}`
  if (process.env['CI'] === 'true') throw new Error(missing)
  return { missing }
}

function fill(path: string): void {
  const file = openSync(path, 'a')
  const page = Buffer.alloc(4096)
  try {
    for (;;) writeSync(file, page)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(file)
  }
}
