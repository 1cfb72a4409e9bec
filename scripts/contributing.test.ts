/** CONTRIBUTING.md names files and commands: they are there. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

const isPath = (word: string) => /^[\w.-]+\/[\w./-]*$|^[\w-]+\.(?:ya?ml|toml|md|json)$/.test(word)

test('every file and folder that it names is there', () => {
  const words = [...text.matchAll(/`([^`\n]+)`|^(?:npx|npm) .*$/gm)].flatMap(([all, code]) =>
    (code ?? all.split('#')[0]!).trim().split(/\s+/),
  )
  const paths = words.filter(isPath)
  expect(paths.length).toBeGreaterThan(25)
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
})

test('every command that it names is there', () => {
  const commands = [...text.matchAll(/\bnpm (?:run )?([a-z:]+)/g)].map(([, name]) => name!)
  expect(commands).toContain('test')
  expect(commands.filter((name) => !(name in scripts))).toEqual([])
  const projects = [...text.matchAll(/--project (\w+)/g)].map(([, name]) => name!)
  const config = readFileSync(join(root, 'vitest.config.ts'), 'utf8')
  expect(projects.filter((name) => !config.includes(`name: '${name}'`))).toEqual([])
})

test('the README leads to it', () => {
  expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('](CONTRIBUTING.md)')
})
