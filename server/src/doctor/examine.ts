/** What `npm run doctor` finds, part by part, against the live parts. */
import type { Client } from '@libsql/client'
import { collections } from '@pollz/shared/families'
import { clientMetadata } from '../http/oauth.ts'
import type { Config } from '../config.ts'
import { reasonOf } from '../log.ts'
import { POLL_IS_THERE, VOTERS } from '../store/counting/rules.ts'
import { filePath, nameOf, openDatabase, probe } from '../store/database.ts'
import { presence } from '../store/lease.ts'
import { SCHEMA, schemaOf, tooNew } from '../store/migrations.ts'
import { someAccounts } from '../store/queries.ts'
import { examineTap } from './tap.ts'
import { examineVoters } from './voters.ts'

export type Finding = { part: string; state: 'good' | 'bad' | 'unknown'; words: string }

const TIMEOUT = 10_000
/** Seconds by which this clock may be off: a vote's time is never later than its event's, but logs and OAuth need it. */
const MAX_OFF = 5

export async function* examine(config: Config): AsyncGenerator<Finding> {
  yield {
    part: 'environment',
    state: 'good',
    words: `${config.publicUrl}, ${nameOf(config.databaseUrl)}`,
  }
  const accounts = yield* examineDatabase(config)
  const server = await ask(`${config.publicUrl}/ready`)
  yield* examinePublicUrl(config, server)
  yield* examineProcesses(config)
  yield* examineClock(config)
  // What only whoever ingests needs may be out of reach here.
  if (config.role === 'serve') return
  yield* examineVoters(config)
  const serverHasTap = server.ok && (server.body as { tap?: unknown } | undefined)?.tap === 'ok'
  if (config.tapUrls.length === 0)
    yield { part: 'TAP_URL', state: 'bad', words: 'names no tap: only votes that are announced are counted' }
  const tapUrls = new Set(config.tapUrls)
  for (const url of tapUrls)
    if (config.tapUrls.indexOf(url) !== config.tapUrls.lastIndexOf(url))
      yield { part: 'TAP_URL', state: 'bad', words: `names ${url} twice: each tap has one consumer` }
  for (const url of tapUrls)
    yield* examineTap(url, config.tapAdminPassword, { serverHasTap, accounts, collections })
}

/** @returns some accounts that are known, as `someAccounts` does; none where it can't be read */
async function* examineDatabase({
  databaseUrl,
  databaseAuthToken,
}: Config): AsyncGenerator<Finding, ReadonlyMap<string, string>> {
  const part = 'DATABASE_URL'
  let client: Client | undefined
  try {
    client = await openDatabase({ url: databaseUrl, authToken: databaseAuthToken })
    const schema = await schemaOf(client)
    if (schema === 0) {
      client.close()
      yield { part, state: 'unknown', words: 'is empty: the server fills it when it starts' }
      return new Map()
    }
    if (schema > SCHEMA) {
      client.close()
      yield { part, state: 'bad', words: tooNew(schema).message }
      return new Map()
    }
    await probe(client)
    const { rows } = await client.execute(
      `SELECT (SELECT count(*) FROM polls p WHERE ${POLL_IS_THERE}) AS polls,
        (SELECT coalesce(${VOTERS}, 0) FROM tallies t) AS votes`,
    )
    const accounts = await someAccounts(client)
    client.close()
    yield {
      part,
      state: 'good',
      words: `can be written; ${rows[0]!['polls']} polls, ${rows[0]!['votes']} votes${
        schema === SCHEMA
          ? ''
          : `; schema ${schema}, which this release of the server brings to ${SCHEMA} when it starts`
      }`,
    }
    return accounts
  } catch (error) {
    client?.close()
    yield {
      part,
      state: 'bad',
      words: `${reasonOf(error)}. Is it there, may this user write it, is DATABASE_AUTH_TOKEN right?`,
    }
    return new Map()
  }
}

/** The processes on a database that is no file: whether one ingests, and whether another would take over. */
async function* examineProcesses({ databaseUrl, databaseAuthToken, role }: Config): AsyncGenerator<Finding> {
  const part = 'the processes'
  if (filePath(databaseUrl) !== undefined) {
    if (role === 'ingest')
      yield { part, state: 'bad', words: 'ROLE is ingest on a file, and nothing serves: set it to all' }
    return
  }
  const client = await openDatabase({ url: databaseUrl, authToken: databaseAuthToken }).catch(() => undefined)
  try {
    if (!client || (await schemaOf(client)) < SCHEMA) return
    const { lease, processes } = await presence(client)
    const of = (...roles: string[]) => processes.filter((it) => roles.includes(it.role)).length
    const [ingesting, serving] = [of('ingest', 'all'), of('serve', 'all')]
    const there = `${ingesting} may ingest, ${serving} ${serving === 1 ? 'serves' : 'serve'}`
    if (processes.length === 0)
      yield { part, state: 'bad', words: 'none was there within the last ten seconds' }
    else if (!lease || lease.left < 0)
      yield {
        part,
        state: 'bad',
        words: `${there}, and none ingests: votes wait in tap. Start one with ROLE=ingest, or all`,
      }
    else if (serving === 0) yield { part, state: 'bad', words: `${there}: start some with ROLE=serve` }
    else
      yield {
        part,
        state: 'good',
        words: `${there}; ${lease.holder} ingests${
          ingesting === 1 ? ', and nobody would take over from it: a second one with ROLE=ingest would' : ''
        }`,
      }
    const old = processes.filter(({ schema }) => schema < SCHEMA).map(({ id }) => id)
    if (old.length > 0) yield { part, state: 'unknown', words: `of an older release: ${old.join(', ')}` }
  } finally {
    client?.close()
  }
}

async function* examinePublicUrl({ publicUrl }: Config, server: Asked): AsyncGenerator<Finding> {
  const part = 'PUBLIC_URL'
  const said = await ask(`${publicUrl}/oauth/client-metadata.json`)
  if (!said.ok && server.status === undefined) {
    yield {
      part,
      state: 'bad',
      words: `${publicUrl} can't be reached (${said.reason}). Does the server run, and does this address lead to it?`,
    }
    return
  }
  const expected = clientMetadata(publicUrl)
  const metadata = said.body as { client_id?: unknown; redirect_uris?: unknown; scope?: unknown } | undefined
  const differs = (['client_id', 'redirect_uris', 'scope'] as const).filter(
    (name) => JSON.stringify(metadata?.[name]) !== JSON.stringify(expected[name]),
  )
  yield differs.length === 0
    ? { part, state: 'good', words: `${publicUrl} answers, and its OAuth client is its own` }
    : {
        part,
        state: 'bad',
        words: `${publicUrl} says something else for ${differs.join(', ')}: is PUBLIC_URL of the running server the same, and nothing else at this address?`,
      }
  const { ready, database, tap } = (server.body ?? {}) as { ready?: boolean; database?: string; tap?: string }
  yield ready === true
    ? { part: 'the server', state: 'good', words: 'is ready' }
    : { part: 'the server', state: 'bad', words: `is not ready: database ${database}, tap ${tap}` }
}

async function* examineClock({ plcUrl }: Config): AsyncGenerator<Finding> {
  const asked = await ask(plcUrl)
  const part = 'the clock'
  if (asked.date === undefined) {
    yield { part, state: 'unknown', words: `${plcUrl} tells no time (${asked.reason ?? 'no Date header'})` }
    return
  }
  const off = Math.round(Math.abs(Date.now() - asked.date) / 1000)
  yield off <= MAX_OFF
    ? { part, state: 'good', words: 'is right' }
    : { part, state: 'bad', words: `is off by ${off} s (by ${plcUrl}): set it by NTP` }
}

type Asked = { ok: boolean; status?: number; body?: unknown; date?: number; reason?: string }

async function ask(url: string): Promise<Asked> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) })
    const text = await response.text()
    const date = Date.parse(response.headers.get('date') ?? '')
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      body = undefined
    }
    return {
      ok: response.ok,
      status: response.status,
      body,
      reason: `HTTP ${response.status}`,
      ...(Number.isNaN(date) ? {} : { date }),
    }
  } catch (error) {
    return { ok: false, reason: reasonOf(error) }
  }
}
