/** The environment as one checked object. */
import { isLoopback } from '@pollz/shared/links'
import { PLC_URL } from '@pollz/shared/network'
import { ROLES, type Role } from './roles.ts'

export type Config = {
  /** What this process does of it all. */
  role: Role
  port: number
  host: string
  /** Origin that links and OAuth name, without a trailing slash. */
  publicUrl: string
  databaseUrl: string
  databaseAuthToken: string | undefined
  /** One per tap; empty: no tap, nothing is counted but what is announced. */
  tapUrls: string[]
  tapAdminPassword: string | undefined
  /** Instances of Jetstream, one of which is listened to at a time; empty: none. */
  jetstreamUrls: string[]
  /** The relay that says who has records of a collection; undefined: none is asked. */
  relayUrl: string | undefined
  plcUrl: string
  /** XRPC service that is asked for handles; undefined: DNS and .well-known, as the spec says. */
  handleResolverUrl: string | undefined
  logLevel: LogLevel
  /** What one address may make this server read from others in a minute; 0: no limit. */
  readsPerMinute: number
  /** Header that a proxy in front puts the client's address into; undefined: there is no proxy. */
  clientAddressHeader: string | undefined
  /** Pause between two accounts that are compared with their PDS (C10), in ms; 0: none is. */
  reconcilePause: number
  /** Between two polls of its own that the server checks, in ms; 0: it checks none. */
  selfCheckPause: number
  /**
   * A local network: PDSes on http and private addresses may be read. True only where `PLC_URL` is on
   * loopback, so that no server on the internet can be made to read its own network.
   */
  local: boolean
}

/** Bluesky's public instances: a `time_us` of one is a cursor for the others. */
const JETSTREAMS = [
  'jetstream1.us-east',
  'jetstream2.us-east',
  'jetstream1.us-west',
  'jetstream2.us-west',
].map((name) => `wss://${name}.bsky.network`)
const RELAY = 'https://relay1.us-east.bsky.network'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export class ConfigError extends Error {}

/** @param secrets what has passwords, instead of the URL */
type UrlRule = { name: string; value: string; protocols: string[]; secrets: string }

const formOf = (protocol: string) => (protocol === 'file:' ? 'file:…' : `${protocol}//…`)

/** These URLs are logged; secrets belong in their own variables. */
function checkUrl({ name, value, protocols, secrets }: UrlRule): URL {
  const parsed = URL.canParse(value) ? new URL(value) : undefined
  // In one that can't be parsed, or is parsed otherwise, a password may stand before any @.
  const mayHave = !value.startsWith('file:') && value.includes('@')
  if (
    mayHave ||
    (parsed && (parsed.username !== '' || parsed.password !== '' || parsed.searchParams.has('authToken')))
  )
    throw new ConfigError(`${name}: expected no password in it: ${secrets} for those`)
  if (!parsed || !protocols.includes(parsed.protocol))
    throw new ConfigError(
      `${name}: expected ${protocols.map(formOf).join(' or ')}, got "${value.split('?')[0]}"`,
    )
  return parsed
}

/**
 * @param name of the variable or argument that says it
 * @param secret the variable that its token belongs into
 * @throws ConfigError naming what is wrong, without what may be secret
 */
export function databaseUrl(name: string, value: string, secret: string): string {
  checkUrl({ name, value, protocols: ['file:', 'libsql:', 'https:', 'http:'], secrets: `${secret} is` })
  if (/^file:(:memory:)?(\?|$)/.test(value))
    throw new ConfigError(`${name}: expected a file, not a database in memory`)
  return value
}

/**
 * @throws ConfigError naming the variable that is wrong, and why
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  const text = (name: string) => env[name]?.trim() || undefined

  const port = Number(text('PORT') ?? '3000')
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new ConfigError(`PORT: expected a number from 0 to 65535, got "${env['PORT']}"`)

  const secrets = 'DATABASE_AUTH_TOKEN and TAP_ADMIN_PASSWORD are'
  /** An origin: whatever is asked of it has a path of its own. */
  const http = (name: string, value: string) => {
    const { href, origin } = checkUrl({ name, value, protocols: ['https:', 'http:'], secrets })
    if (href.replace(/\/$/, '') === origin) return origin
    throw new ConfigError(
      `${name}: expected an origin without a path, a query or a fragment, like "${origin}"`,
    )
  }
  /** Its query is the server's own. */
  const jetstream = (value: string) => {
    const { href, search, hash } = checkUrl({
      name: 'JETSTREAM_URL',
      value,
      protocols: ['wss:', 'ws:'],
      secrets,
    })
    if (search === '' && hash === '') return href.replace(/\/$/, '')
    throw new ConfigError(`JETSTREAM_URL: expected no query and no fragment, got "${search}${hash}" in it`)
  }
  /** What is set to nothing is none. */
  const list = (name: string, otherwise: string) =>
    (env[name]?.trim() ?? otherwise)
      .split(',')
      .map((value) => value.trim())
      .filter((value) => value !== '')

  const publicUrl = http('PUBLIC_URL', text('PUBLIC_URL') ?? `http://127.0.0.1:${port}`)
  const { protocol, hostname } = new URL(publicUrl)
  if (protocol === 'http:' && !isLoopback(hostname))
    throw new ConfigError(
      `PUBLIC_URL: expected https://…, got "${publicUrl}" (OAuth and poll links take http on 127.0.0.1 only)`,
    )
  if (hostname === 'localhost')
    throw new ConfigError(
      'PUBLIC_URL: expected http://127.0.0.1:PORT instead of localhost (OAuth redirects to a loopback address only)',
    )

  const role = ROLES.find((it) => it === (text('ROLE') ?? 'all'))
  if (!role) throw new ConfigError(`ROLE: expected ${ROLES.join(', ')}, got "${env['ROLE']}"`)

  const logLevel = LOG_LEVELS.find((level) => level === (text('LOG_LEVEL') ?? 'info'))
  if (!logLevel)
    throw new ConfigError(`LOG_LEVEL: expected one of ${LOG_LEVELS.join(', ')}, got "${env['LOG_LEVEL']}"`)

  const selfCheckPause = Number(text('SELF_CHECK_PAUSE') ?? '60000')
  if (!Number.isInteger(selfCheckPause) || selfCheckPause < 0)
    throw new ConfigError(
      `SELF_CHECK_PAUSE: expected milliseconds, 0 or more, got "${env['SELF_CHECK_PAUSE']}"`,
    )
  const reconcilePause = Number(text('RECONCILE_PAUSE') ?? '1000')
  if (!Number.isInteger(reconcilePause) || reconcilePause < 0)
    throw new ConfigError(
      `RECONCILE_PAUSE: expected milliseconds, 0 or more, got "${env['RECONCILE_PAUSE']}"`,
    )

  const readsPerMinute = Number(text('READS_PER_MINUTE') ?? '300')
  if (!Number.isInteger(readsPerMinute) || readsPerMinute < 0)
    throw new ConfigError(`READS_PER_MINUTE: expected a number, 0 or more, got "${env['READS_PER_MINUTE']}"`)

  const clientAddressHeader = text('CLIENT_ADDRESS_HEADER')
  if (clientAddressHeader !== undefined && !/^[A-Za-z0-9-]+$/.test(clientAddressHeader))
    throw new ConfigError(
      `CLIENT_ADDRESS_HEADER: expected the name of a header, got "${env['CLIENT_ADDRESS_HEADER']}"`,
    )

  const plcUrl = http('PLC_URL', text('PLC_URL') ?? PLC_URL)
  const local = isLoopback(new URL(plcUrl).hostname)
  const relays = list('RELAY_URL', local ? '' : RELAY)
  if (relays.length > 1) throw new ConfigError(`RELAY_URL: expected one relay or none, got ${relays.length}`)
  const handleResolver = text('HANDLE_RESOLVER_URL')
  return {
    role,
    port,
    host: text('HOST') ?? '0.0.0.0',
    publicUrl,
    databaseUrl: databaseUrl(
      'DATABASE_URL',
      text('DATABASE_URL') ?? 'file:data/pollz.db',
      'DATABASE_AUTH_TOKEN',
    ),
    databaseAuthToken: text('DATABASE_AUTH_TOKEN'),
    tapUrls: list('TAP_URL', 'http://127.0.0.1:2480').map((value) => http('TAP_URL', value)),
    tapAdminPassword: text('TAP_ADMIN_PASSWORD'),
    jetstreamUrls: list('JETSTREAM_URL', local ? '' : JETSTREAMS.join()).map(jetstream),
    relayUrl: relays.map((value) => http('RELAY_URL', value))[0],
    plcUrl,
    handleResolverUrl: handleResolver && http('HANDLE_RESOLVER_URL', handleResolver),
    logLevel,
    reconcilePause,
    selfCheckPause,
    readsPerMinute,
    clientAddressHeader,
    local,
  }
}
