/** `npm run build -w site`: scripts and styles for browsers, then the pages for the server, which name them. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build, type InlineConfig } from 'vite'

const root = import.meta.dirname
const output = join(root, '.output')
const source = (name: string) => join(root, 'src', name)

const common: InlineConfig = {
  root,
  configFile: false,
  logLevel: 'warn',
  publicDir: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
}

rmSync(output, { recursive: true, force: true })
await build({
  ...common,
  base: '/assets/',
  build: {
    outDir: join(output, 'assets'),
    assetsDir: '',
    manifest: 'manifest.json',
    chunkSizeWarningLimit: 1200,
    // Every page loads all that it needs at once: what is left to load later is named by its chunk.
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: {
        page: source('browser/page.ts'),
        embed: source('browser/embed.ts'),
        callback: source('browser/callback.ts'),
        style: source('page.css'),
      },
    },
  },
})

type Manifest = Record<string, { file: string; name?: string; assets?: string[]; css?: string[] }>
const built = JSON.parse(readFileSync(join(output, 'assets/manifest.json'), 'utf8')) as Manifest
rmSync(join(output, 'assets/manifest.json'))
const named = (name: string) => `/assets/${Object.values(built).find((it) => it.name === name)!.file}`
const drawn = readFileSync(join(root, '../widget/icon.svg'))
const icon = `icon-${createHash('sha256').update(drawn).digest('base64url').slice(0, 8)}.svg`
writeFileSync(join(output, 'assets', icon), drawn)
const manifest = {
  page: named('page'),
  embed: named('embed'),
  callback: named('callback'),
  style: `/assets/${built['src/page.css']!.file}`,
  icon: `/assets/${icon}`,
}

await build({
  ...common,
  ssr: { noExternal: true },
  build: {
    outDir: join(output, 'server'),
    ssr: source('server.tsx'),
    minify: false,
    rolldownOptions: { output: { entryFileNames: 'server.js' } },
  },
  plugins: [
    {
      name: 'manifest',
      resolveId: (id) => (id === 'virtual:manifest' ? id : undefined),
      load: (id) => (id === 'virtual:manifest' ? `export default ${JSON.stringify(manifest)}` : undefined),
    },
  ],
})

// Beside each file, as browsers take it: compressing it for every reader would be work done again.
for (const name of readdirSync(join(output, 'assets'))) {
  const file = join(output, 'assets', name)
  const content = readFileSync(file)
  writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }))
  writeFileSync(
    `${file}.br`,
    brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  )
}
