import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tapEnvironment } from './settings.ts'

test('tap on Fly is configured as everywhere else', () => {
  const toml = readFileSync(join(import.meta.dirname, 'fly.toml'), 'utf8')
  const fly = Object.fromEntries(
    [...toml.matchAll(/^(TAP_\w+) = '(.*)'$/gm)].map(([, name, value]) => [name, value]),
  )
  expect(
    tapEnvironment({
      relayUrl: 'https://relay1.us-east.bsky.network',
      plcUrl: 'https://plc.directory',
      bind: ':2480',
      databaseUrl: 'sqlite:///data/tap.db',
    }),
  ).toEqual(fly)
})
