/** All routes on one port. */
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'
import { WebSocketServer } from 'ws'
import type { Hub } from '../live/hub.ts'
import { reasonOf, type Log } from '../log.ts'
import type { Role } from '../roles.ts'
import { createApi, failure, type ApiSources } from './api.ts'
import { Cards } from './cards.ts'
import { createExport, type ExportSources } from './export.ts'
import { createDrawing } from './drawing.ts'
import { MAX_CONNECTIONS } from './limits.ts'
import { createOAuth } from './oauth.ts'
import { createAnswer, createPages, wantsHtml, type PageSources } from './pages.ts'
import { site } from '@pollz/site/built'

/** Ms until the head, and all of a request, has to be there. */
const HEADERS_TIMEOUT = 10_000
const REQUEST_TIMEOUT = 20_000
/** How long a server that stops waits for its clients, in ms. */
const CLOSE_TIMEOUT = 1_500

export type Readiness = { ready: boolean; role: Role; database: string; tap: string }

export type HttpOptions = ApiSources &
  ExportSources &
  PageSources & {
    hub: Hub
    /** Whether there is more than `/health`, `/ready` and `/metrics`. */
    serves: boolean
    readiness: () => Readiness
    onAnswer: (status: number, seconds: number) => void
    metrics: Registry
    log: Log
    /** ends the thread that draws */
    signal: AbortSignal
  }

function createApp({
  serves,
  readiness,
  onAnswer,
  metrics,
  log,
  signal,
  ...sources
}: Omit<HttpOptions, 'hub'>): Hono {
  const app = new Hono()
  const answer = createAnswer(sources.frame)
  app.use(async (c, next) => {
    const began = performance.now()
    // Before: an answer whose headers are changed is made a second time.
    c.header('X-Content-Type-Options', 'nosniff')
    await next()
    onAnswer(c.res.status, (performance.now() - began) / 1000)
  })
  app.onError((error, c) => {
    log.error('a request failed', { path: c.req.path, reason: reasonOf(error), stack: error.stack })
    return wantsHtml(c)
      ? answer(c, (frame) => site.problem(frame, 'failed', ''), { status: 500 })
      : failure(c, 500, 'InternalServerError', 'something went wrong here; it has been logged')
  })
  app.notFound((c) =>
    serves && wantsHtml(c)
      ? answer(c, (frame) => site.problem(frame, 'nothing', ''), { status: 404 })
      : failure(c, 404, 'NotFound', `there is nothing at ${c.req.path}`),
  )
  if (serves) {
    app.route('/api', createExport(sources))
    app.route('/api', createApi(sources))
    app.route('/oauth', createOAuth(sources.frame.publicUrl, answer))
    app.route('/', createPages(sources, answer, new Cards(createDrawing(log, signal))))
  }
  app.get('/health', (c) => c.json({ status: 'ok' }))
  app.get('/ready', (c) => {
    const ready = readiness()
    return c.json(ready, ready.ready ? 200 : 503)
  })
  app.get('/metrics', async (c) =>
    c.text(await metrics.metrics(), 200, { 'content-type': metrics.contentType }),
  )
  return app
}

/** Answers whoever wanted a WebSocket; does not wait for them to close theirs. */
function refuse(socket: Duplex, answer: string): void {
  socket.on('error', () => socket.destroy())
  socket.end(answer, () => socket.destroy())
}

/** Listens. `close` resolves within two seconds, whatever clients do: what is not answered by then is cut off. */
export async function listen(
  { hub, ...sources }: HttpOptions,
  port: number,
  host: string,
): Promise<{ port: number; close: () => Promise<void> }> {
  const app = createApp(sources)
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT, requestTimeout: REQUEST_TIMEOUT },
    getRequestListener(app.fetch),
  )
  // Its own list lacks those that have become WebSockets.
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  const connections = new Map<string, number>()
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // The hub does, within its bounds.
    autoPong: false,
    maxPayload: 64 * 1024,
  })
  server.on('upgrade', (request, socket, head) => {
    // Not parsed as a URL: what a stranger sends here may be none.
    if (!sources.serves || request.url?.split('?')[0] !== '/live') {
      refuse(socket, 'HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
      return
    }
    const address = sources.limits.addressOf(request)
    if ((connections.get(address) ?? 0) >= MAX_CONNECTIONS) {
      refuse(socket, 'HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nConnection: close\r\n\r\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      connections.set(address, (connections.get(address) ?? 0) + 1)
      ws.on('close', () => {
        const left = connections.get(address)! - 1
        if (left === 0) connections.delete(address)
        else connections.set(address, left)
      })
      hub.add(ws, sources.limits.budgetOf(request))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`PORT: can't listen on ${host}:${port}`, { cause })))
    server.listen(port, host, resolve)
  })
  const close = async () => {
    const cutOff = setTimeout(() => {
      for (const socket of open) socket.destroy()
    }, CLOSE_TIMEOUT)
    await new Promise<void>((resolve) => server.close(() => resolve()))
    clearTimeout(cutOff)
  }
  return { port: (server.address() as AddressInfo).port, close }
}
