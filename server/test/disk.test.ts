import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { mountDisk } from './disk.ts'

test('a disk is full, has room again, and is gone', async ({ skip }) => {
  const disk = await mountDisk(1_000_000)
  if ('missing' in disk) return skip(disk.missing)
  /** Writes a page in the way of a process that is started for it. */
  const write = () => {
    const [command, ...args] = [
      ...disk.inside,
      'sh',
      '-c',
      'head -c 4096 /dev/zero >>"$0"',
      `${disk.path}/file`,
    ]
    execFileSync(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  try {
    write()
    disk.fill()
    expect(write).toThrow(/No space left on device/)
    disk.free()
    write()
  } finally {
    await disk.close()
  }
  expect(existsSync(disk.path)).toBe(false)
})
