/** Copies of this checkout, as Docker or a new machine gets it: without what was installed or built. */
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export const root = join(import.meta.dirname, '..')

const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').trim().split('\n')

function isSource(path: string): boolean {
  const inside = path.slice(root.length + 1)
  return !ignored.some((it) =>
    it.startsWith('**/') ? basename(inside) === it.slice(3) : inside === it || inside.startsWith(`${it}/`),
  )
}

/** @param path in the checkout; '.' is all of it */
export function copyCheckout(path: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(join(root, path), to, { recursive: true, verbatimSymlinks: true, filter: isSource })
}
