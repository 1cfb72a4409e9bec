/** `npm run build -w pollz-check`: the command as one file, in a package that can be published: `npm publish check/.output`. */
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'

const root = import.meta.dirname
const output = join(root, '.output')
const file = 'pollz-check.js'

await build({
  root,
  configFile: false,
  logLevel: 'warn',
  ssr: { noExternal: true },
  build: {
    outDir: output,
    emptyOutDir: true,
    ssr: join(root, 'src/cli.ts'),
    target: 'node20',
    minify: false,
    rolldownOptions: { output: { entryFileNames: file, codeSplitting: false } },
  },
})
chmodSync(join(output, file), 0o755)
for (const name of ['README.md', 'LICENSE'])
  copyFileSync(join(root, name === 'LICENSE' ? `../${name}` : name), join(output, name))

const { version, description, license } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
) as Record<string, string>
const published = {
  name: 'pollz-check',
  version,
  description,
  license,
  type: 'module',
  bin: { 'pollz-check': file },
  engines: { node: '>=20' },
}
writeFileSync(join(output, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
