/**
 * Stands in for a libSQL server (sqld, Turso), which can't be had everywhere: serves the hrana protocol over HTTP, as
 * `@libsql/client` speaks it to http: and libsql: addresses, from a local libSQL file. JSON of hrana 2 and 3, which are
 * the same here: https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import Database from 'libsql'

type Value =
  | { type: 'null' }
  | { type: 'integer'; value: string }
  | { type: 'float'; value: number }
  | { type: 'text'; value: string }
  | { type: 'blob'; base64: string }
type Statement = {
  sql?: string
  sql_id?: number
  args?: Value[]
  named_args?: { name: string; value: Value }[]
  want_rows?: boolean
}
type Condition =
  | { type: 'ok' | 'error'; step: number }
  | { type: 'not'; cond: Condition }
  | { type: 'and' | 'or'; conds: Condition[] }
  | { type: 'is_autocommit' }
type Step = { condition?: Condition | null; stmt: Statement }
type Request =
  | { type: 'execute'; stmt: Statement }
  | { type: 'batch'; batch: { steps: Step[] } }
  | { type: 'sequence'; sql?: string; sql_id?: number }
  | { type: 'store_sql'; sql_id: number; sql: string }
  | { type: 'close_sql'; sql_id: number }
  | { type: 'get_autocommit' }
  | { type: 'close' }
type Failure = { message: string; code: string }

/** What a client knows by its baton: one connection, with its transaction if it has begun one. */
class Stream {
  readonly db: Database.Database
  closed = false
  #texts = new Map<number, string>()

  constructor(path: string) {
    this.db = new Database(path)
    this.db.exec('PRAGMA journal_mode = WAL')
    this.db.exec('PRAGMA busy_timeout = 5000')
    this.db.defaultSafeIntegers(true)
  }

  answer(request: Request): object {
    switch (request.type) {
      case 'execute':
        return { type: 'execute', result: this.#execute(request.stmt) }
      case 'batch':
        return { type: 'batch', result: this.#batch(request.batch.steps) }
      case 'sequence':
        this.db.exec(this.#textOf(request))
        return { type: 'sequence' }
      case 'store_sql':
        this.#texts.set(request.sql_id, request.sql)
        return { type: 'store_sql' }
      case 'close_sql':
        this.#texts.delete(request.sql_id)
        return { type: 'close_sql' }
      case 'get_autocommit':
        return { type: 'get_autocommit', is_autocommit: !this.db.inTransaction }
      case 'close':
        this.closed = true
        return { type: 'close' }
      default:
        throw new Error(`the stand-in does not know ${(request satisfies never as Request).type}`)
    }
  }

  #textOf({ sql, sql_id: id }: { sql?: string; sql_id?: number }): string {
    const text = sql ?? (id === undefined ? undefined : this.#texts.get(id))
    if (text === undefined) throw new Error('sql: expected a text or the id of one')
    return text
  }

  #execute(statement: Statement) {
    const prepared = this.db.prepare(this.#textOf(statement))
    const named = (statement.named_args ?? []).map(({ name, value }) => [
      name.replace(/^[:@$]/, ''),
      decode(value),
    ])
    const args: unknown[] =
      named.length > 0 ? [Object.fromEntries(named)] : (statement.args ?? []).map(decode)
    if (!prepared.reader) {
      const { changes, lastInsertRowid } = prepared.run(...args)
      return { cols: [], rows: [], affected_row_count: changes, last_insert_rowid: String(lastInsertRowid) }
    }
    const cols = prepared.columns().map(({ name, type }) => ({ name, decltype: type }))
    const rows = prepared.raw().all(...args) as unknown[][]
    return { cols, rows: rows.map((row) => row.map(encode)), affected_row_count: 0 }
  }

  #batch(steps: Step[]) {
    const results: (object | null)[] = []
    const errors: (Failure | null)[] = []
    const holds = (condition: Condition): boolean => {
      switch (condition.type) {
        case 'ok':
          return results[condition.step] !== null
        case 'error':
          return errors[condition.step] !== null
        case 'not':
          return !holds(condition.cond)
        case 'and':
          return condition.conds.every(holds)
        case 'or':
          return condition.conds.some(holds)
        case 'is_autocommit':
          return !this.db.inTransaction
        default:
          throw new Error(`the stand-in does not know ${(condition satisfies never as Condition).type}`)
      }
    }
    for (const { condition, stmt } of steps) {
      let result: object | null = null
      let error: Failure | null = null
      if (!condition || holds(condition)) {
        try {
          result = this.#execute(stmt)
        } catch (thrown) {
          error = failureOf(thrown)
        }
      }
      results.push(result)
      errors.push(error)
    }
    return { step_results: results, step_errors: errors }
  }
}

export class HranaStandIn {
  readonly url: string
  #server: Server
  #path: string
  #token: string | undefined
  #streams = new Map<string, Stream>()
  /** Connections whose stream is over, to be used again. */
  #idle: Stream[] = []

  private constructor(server: Server, path: string, token: string | undefined) {
    this.#server = server
    this.#path = path
    this.#token = token
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** @param token that clients have to send; undefined: none */
  static async listen(path: string, token?: string, port = 0): Promise<HranaStandIn> {
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve)
    })
    const standIn = new HranaStandIn(server, path, token)
    server.on('request', async (request, response) => {
      const { status, body } = await standIn.#answer(request).catch((error: unknown) => ({
        status: 400,
        body: failureOf(error),
      }))
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    return standIn
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.#server.close(resolve)
    })
    this.#server.closeAllConnections()
    await closed
    for (const { db } of [...this.#streams.values(), ...this.#idle]) db.close()
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: object }> {
    if (this.#token !== undefined && request.headers.authorization !== `Bearer ${this.#token}`)
      return { status: 401, body: { message: 'Unauthorized', code: 'UNAUTHORIZED' } }
    const path = new URL(request.url ?? '/', this.url).pathname
    if (request.method === 'GET' && /^\/v[23]$/.test(path)) return { status: 200, body: {} }
    if (request.method !== 'POST' || !/^\/v[23]\/pipeline$/.test(path))
      return { status: 404, body: { message: `nothing at ${path}`, code: 'NOT_FOUND' } }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { baton, requests } = JSON.parse(Buffer.concat(chunks).toString()) as {
      baton?: string | null
      requests: Request[]
    }
    const stream = this.#stream(baton)
    const results = requests.map((it) => {
      try {
        return { type: 'ok', response: stream.answer(it) }
      } catch (error) {
        return { type: 'error', error: failureOf(error) }
      }
    })
    return { status: 200, body: { baton: this.#keep(stream), base_url: null, results } }
  }

  #stream(baton: string | null | undefined): Stream {
    if (!baton) return this.#idle.pop() ?? new Stream(this.#path)
    const stream = this.#streams.get(baton)
    if (!stream) throw new Error('baton: expected one that was handed out')
    this.#streams.delete(baton)
    return stream
  }

  #keep(stream: Stream): string | null {
    if (stream.closed) {
      stream.closed = false
      // What was begun and not committed is undone with its stream.
      if (stream.db.inTransaction) stream.db.exec('ROLLBACK')
      this.#idle.push(stream)
      return null
    }
    const baton = randomUUID()
    this.#streams.set(baton, stream)
    return baton
  }
}

function decode(value: Value): unknown {
  switch (value.type) {
    case 'null':
      return null
    case 'integer':
      return BigInt(value.value)
    case 'float':
    case 'text':
      return value.value
    case 'blob':
      return Buffer.from(value.base64, 'base64')
    default:
      throw new Error(`the stand-in does not know ${(value satisfies never as Value).type}`)
  }
}

function encode(value: unknown): Value {
  if (value === null) return { type: 'null' }
  if (typeof value === 'bigint') return { type: 'integer', value: String(value) }
  if (typeof value === 'number') return { type: 'float', value }
  if (typeof value === 'string') return { type: 'text', value }
  return { type: 'blob', base64: Buffer.from(value as Uint8Array).toString('base64') }
}

function failureOf(error: unknown): Failure {
  const { message, code } = error as Error & { code?: unknown }
  return { message, code: typeof code === 'string' ? code : 'UNKNOWN' }
}
