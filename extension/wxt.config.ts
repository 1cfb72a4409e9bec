import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'wxt'
import pkg from './package.json' with { type: 'json' }
import { SITE } from '@pollz/shared/network'
import { DEFAULT_SERVER_URL } from './settings.ts'

const locales = join(import.meta.dirname, '../widget/locales')
const server = new URL(process.env['WXT_SERVER_URL'] ?? DEFAULT_SERVER_URL)

export default defineConfig({
  imports: false,
  // Nobody needs a browser opened by `wxt`: the demo brings its own.
  webExt: { disabled: true },
  manifestVersion: 3,
  zip: {
    name: 'pollz',
    // Firefox's reviewers build from the sources: the whole workspace, but for what only its makers need.
    sourcesRoot: '..',
    excludeSources: [
      'e2e/artifacts/**',
      'bench-results.json',
      'tap/bin/**',
      'data/**',
      'shared/src/lexicons/**',
      '**/.output/**',
      '**/*.log',
    ],
  },
  hooks: {
    // The words are the widget's, which the server's pages show too; browsers look for them here.
    'build:publicAssets': (_, files) => {
      for (const language of readdirSync(locales))
        files.push({
          absoluteSrc: join(locales, language, 'messages.json'),
          relativeDest: `_locales/${language}/messages.json`,
        })
    },
  },
  vite: () => ({ oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } } }),
  manifest: ({ browser }) => ({
    name: '__MSG_extensionName__',
    description: '__MSG_extensionDescription__',
    default_locale: 'en',
    version: pkg.version,
    // A private window is to leave nothing behind and to know nobody; the engine, with its accounts and its journal, is one
    // for all windows, for Firefox knows no other.
    incognito: 'not_allowed',
    // Runs the content script in tabs that were open before the extension was.
    // The alarm is for the end of polls that somebody wants to be told of.
    permissions: ['scripting', 'alarms'],
    // Asked for when somebody first wants to be told.
    optional_permissions: ['notifications'],
    // The server's is for the address of the page that a PDS sends people back to. Match patterns take no port.
    host_permissions: [`${SITE}/*`, `${server.protocol}//${server.hostname}/*`],
    // Asked for when somebody chooses another server.
    optional_host_permissions: ['https://*/*', 'http://127.0.0.1/*', 'http://localhost/*'],
    ...(browser === 'firefox'
      ? {
          browser_specific_settings: {
            gecko: {
              id: 'pollz@waow.tech',
              strict_min_version: '140.0',
              data_collection_permissions: { required: ['authenticationInfo', 'websiteContent'] },
            },
            gecko_android: { strict_min_version: '142.0' },
          },
          // Firefox's own policy turns ws: into wss:, which a server on this machine does not speak.
          ...(server.protocol === 'http:'
            ? {
                content_security_policy: {
                  extension_pages: "script-src 'self'; object-src 'self'",
                },
              }
            : {}),
        }
      : { minimum_chrome_version: '123' }),
  }),
})
