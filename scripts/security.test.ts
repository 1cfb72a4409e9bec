/** SECURITY.md promises a test for whatever somebody can't do. */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'SECURITY.md'), 'utf8')

const testFiles = globSync('**/*.test.{ts,tsx}', {
  cwd: root,
  exclude: ['**/node_modules/**', '**/.output/**'],
})

/** The rows below the heads of all tables that begin with "can't". */
const rows = [...text.matchAll(/^\| can't .*\n\| -.*\n((?:\|.*\n)+)/gm)]
  .flatMap(([, body]) => body!.trim().split('\n'))
  .map((line) => {
    const [what = '', because = '', tests = ''] = line
      .split('|')
      .slice(1)
      .map((cell) => cell.trim())
    return { what, because, tests }
  })

/** Files by their path, or by their name where only one has it; each with the names of tests that follow it. */
function named(cell: string) {
  const found: { file: string; quoted: string[] }[] = []
  for (const [, code, quoted] of cell.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
    if (code?.includes('.test.')) found.push({ file: code, quoted: [] })
    else if (quoted) found.at(-1)?.quoted.push(quoted)
  }
  return found
}

test('the tables are found', () => {
  expect(rows.length).toBeGreaterThan(20)
  expect(rows.length).toBe([...text.matchAll(/^\| (?!can't|-)/gm)].length)
})

test.each(rows.filter(({ because }) => !because.startsWith('**can')))('“$what” has a test', ({ tests }) => {
  expect(named(tests)).not.toEqual([])
})

test.each(rows.flatMap(({ tests }) => named(tests)))(
  '$file is there, with what is quoted',
  ({ file, quoted }) => {
    const files = testFiles.filter((it) => it === file || (!file.includes('/') && basename(it) === file))
    expect(files).toHaveLength(1)
    const content = readFileSync(join(root, files[0]!), 'utf8')
    expect(quoted.filter((name) => !content.includes(name))).toEqual([])
  },
)
