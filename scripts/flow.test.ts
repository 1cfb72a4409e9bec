/** Data flows one way: a part imports only what stands before it in the flow, or `shared`. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/** Each with what stands before it. The entries wire the parts and may import them all. */
const flows: Record<string, string[]> = {
  'server/src': ['ingest', 'store', 'live', 'http'],
  // The pages stand side by side at its end.
  extension: ['background', 'page', 'ui'],
}

/** Each workspace with the others that it may import: what stands before it on the way from the server to the eye. */
const workspaces: Record<string, string[]> = {
  shared: [],
  check: ['shared'],
  widget: ['shared'],
  engine: ['shared', 'check'],
  extension: ['shared', 'check', 'widget', 'engine'],
  site: ['shared', 'check', 'widget', 'engine'],
  server: ['shared', 'check', 'site'],
}

/** `server/src/config.ts` and the like: what is in no part is there for all of them. */
const partOf = (flow: string, file: string) =>
  flows[flow]!.indexOf(relative(join(root, flow), file).split('/')[0]!)

const imports = (file: string) =>
  [...readFileSync(file, 'utf8').matchAll(/^(?:import|export)[^'"]*?['"]([^'"]+)['"]/gms)].map(
    ([, from]) => from!,
  )

const sources = (folder: string) =>
  globSync('**/*.{ts,tsx}', {
    cwd: join(root, folder),
    exclude: ['node_modules', '.output', '.wxt', '**/*.test.ts'],
  }).map((file) => join(root, folder, file))

test.each(Object.keys(flows))('%s flows one way', (flow) => {
  const wrong: string[] = []
  for (const file of sources(flow)) {
    const part = partOf(flow, file)
    if (part === -1) continue
    for (const from of imports(file)) {
      if (!from.startsWith('.')) continue
      const imported = partOf(flow, resolve(dirname(file), from))
      if (imported > part) wrong.push(`${relative(root, file)} imports ${from}`)
    }
  }
  expect(wrong).toEqual([])
})

test('the extension’s background knows nothing of pages, and pages nothing of the background', () => {
  const crossing = (from: string, to: string) =>
    sources(`extension/${from}`).filter((file) => imports(file).some((it) => it.includes(`/${to}/`)))
  expect(
    ['page', 'ui'].flatMap((pages) => [...crossing('background', pages), ...crossing(pages, 'background')]),
  ).toEqual([])
  expect([...crossing('page', 'ui'), ...crossing('ui', 'page')]).toEqual([])
})

test.each(Object.keys(workspaces))('%s imports only what stands before it', (workspace) => {
  const wrong = sources(workspace).flatMap((file) =>
    imports(file)
      .filter((from) => {
        const other = /^(?:@pollz\/|pollz-(?=check\/))([^/]+)/.exec(from)?.[1]
        const outside =
          from.startsWith('.') &&
          relative(join(root, workspace), resolve(dirname(file), from)).startsWith('..')
        return outside || (other !== undefined && !workspaces[workspace]!.includes(other))
      })
      .map((from) => `${relative(root, file)} imports ${from}`),
  )
  expect(wrong).toEqual([])
})
