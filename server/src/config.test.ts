import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

test('has a default for everything', () => {
  expect(readConfig({})).toMatchObject({
    port: 3000,
    publicUrl: 'http://127.0.0.1:3000',
    databaseUrl: 'file:data/pollz.db',
    tapUrls: ['http://127.0.0.1:2480'],
    plcUrl: 'https://plc.directory',
    local: false,
  })
})

test('several taps, or none', () => {
  expect(readConfig({ TAP_URL: 'http://a:1, https://b/' }).tapUrls).toEqual(['http://a:1', 'https://b'])
  expect(readConfig({ TAP_URL: '' }).tapUrls).toEqual([])
})

test('the public Jetstreams and relay, or others, or none; on a local network none by default', () => {
  const named = (env: Record<string, string>) => {
    const { jetstreamUrls, relayUrl } = readConfig(env)
    return [jetstreamUrls, relayUrl]
  }
  expect(named({})).toEqual([
    expect.arrayContaining(['wss://jetstream2.us-east.bsky.network']),
    'https://relay1.us-east.bsky.network',
  ])
  expect(named({ JETSTREAM_URL: '', RELAY_URL: '' })).toEqual([[], undefined])
  const local = { PLC_URL: 'http://localhost:2582' }
  expect(named(local)).toEqual([[], undefined])
  expect(named({ ...local, JETSTREAM_URL: 'ws://a:1, wss://b/', RELAY_URL: 'http://c/' })).toEqual([
    ['ws://a:1', 'wss://b'],
    'http://c',
  ])
})

test('only a PLC directory on loopback makes a network local', () => {
  expect(readConfig({ PLC_URL: 'http://localhost:2582' }).local).toBe(true)
  expect(readConfig({ PUBLIC_URL: 'http://127.0.0.1:3000' }).local).toBe(false)
})

test.each([
  ['PORT', 'http'],
  ['PORT', '70000'],
  ['ROLE', 'serves'],
  ['PUBLIC_URL', 'pollz.example'],
  ['PUBLIC_URL', 'https://pollz.example/polls'],
  ['PUBLIC_URL', 'http://localhost:3000'],
  ['PUBLIC_URL', 'http://pollz.example'],
  ['PUBLIC_URL', 'http://192.168.1.2:3000'],
  ['DATABASE_URL', 'pollz.db'],
  ['DATABASE_URL', 'postgres://db'],
  ['DATABASE_URL', 'file::memory:'],
  ['TAP_URL', 'ws://127.0.0.1:2480'],
  ['JETSTREAM_URL', 'https://jetstream.example'],
  ['JETSTREAM_URL', 'wss://admin:secret@jetstream.example'],
  ['JETSTREAM_URL', 'wss://jetstream.example/#x'],
  ['JETSTREAM_URL', 'wss://jetstream.example/subscribe?compress=true'],
  ['JETSTREAM_URL', 'wss://a.example,wss://b.example?requireHello=true'],
  ['RELAY_URL', 'relay.example'],
  ['RELAY_URL', 'https://a.example,https://b.example'],
  ['RELAY_URL', 'https://relay.example/path'],
  ['RELAY_URL', 'https://relay.example?x=1'],
  ['TAP_URL', 'http://tap.example/one'],
  ['PLC_URL', 'https://plc.example/path'],
  ['HANDLE_RESOLVER_URL', 'https://resolver.example/#x'],
  ['PLC_URL', 'plc.directory'],
  ['HANDLE_RESOLVER_URL', 'x'],
  ['LOG_LEVEL', 'loud'],
  ['RECONCILE_PAUSE', 'never'],
  ['SELF_CHECK_PAUSE', '-1'],
])('%s=%s is refused by name', (name, value) => {
  expect(() => readConfig({ [name]: value })).toThrow(name)
})

test('a URL that is none of those expected is answered with what they look like', () => {
  expect(() => readConfig({ DATABASE_URL: 'pollz.db' })).toThrow(
    'DATABASE_URL: expected file:… or libsql://… or https://… or http://…, got "pollz.db"',
  )
})
