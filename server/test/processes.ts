/** Processes of the server, and clients that watch: for tests of many machines, and for the soak. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseJson, serverMessage, type PollView } from '@pollz/shared/wire'
import { WebSocket } from 'ws'

const main = join(import.meta.dirname, '../src/main.ts')
/** How long a process may take to listen, in ms. */
const STARTING = 60_000

/** A process of the server, which is killed and started again at the same port. */
export class Process {
  url = ''
  log = ''
  #env: Record<string, string>
  #child: ChildProcess | undefined

  constructor(env: Record<string, string>) {
    this.#env = env
  }

  async start(): Promise<this> {
    const from = this.log.length
    const child = spawn('node', [main], {
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        PORT: new URL(this.url || 'http://x:0').port || '0',
        ...this.#env,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#child = child
    child.stderr!.on('data', (data: Buffer) => (this.log += data.toString()))
    let port: string | undefined
    for (const until = Date.now() + STARTING; port === undefined; await setTimeout(10)) {
      if (child.exitCode !== null || Date.now() > until) throw new Error(this.log)
      port = /"listening","port":(\d+)/.exec(this.log.slice(from))?.[1]
    }
    this.url = `http://127.0.0.1:${port}`
    return this
  }

  get pid(): number {
    return this.#child!.pid!
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** @returns its exit code, null where it was killed */
  async end(name: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const exited = once(child, 'exit') as Promise<[number | null]>
    child.kill('SIGCONT')
    child.kill(name)
    return (await exited)[0]
  }

  async ready(): Promise<{ ready: boolean; database: string; tap: string }> {
    return (await fetch(`${this.url}/ready`)).json() as Promise<{
      ready: boolean
      database: string
      tap: string
    }>
  }

  async poll(uri: string): Promise<PollView> {
    return (await fetch(`${this.url}/api/polls/${encodeURIComponent(uri)}`)).json() as Promise<PollView>
  }
}

/** Watches polls at one process, and again after each end of the connection. */
export class Watcher {
  /** What was told last, by poll. */
  readonly last = new Map<string, { counts: number[]; version: number }>()
  /** Tallies that were older than one before them on the same connection. */
  readonly wrong: string[] = []
  /** From a tally's version, which is near the time, to when it came, in ms. */
  readonly late: number[] = []
  #ended = false
  #socket: WebSocket | undefined

  constructor(server: Process, uris: string[]) {
    void this.#watch(server, uris)
  }

  async #watch(server: Process, uris: string[]): Promise<void> {
    while (!this.#ended) {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/live`)
      this.#socket = socket
      const versions = new Map<string, number>()
      socket.on('error', () => {})
      socket.on('open', () => {
        for (let i = 0; i < uris.length; i += 50)
          socket.send(JSON.stringify({ type: 'watch', uris: uris.slice(i, i + 50) }))
      })
      socket.on('message', (data) => {
        const parsed = parseJson(serverMessage, data.toString())
        if (!parsed.ok) throw new Error(parsed.reason)
        const { message } = parsed
        const told =
          message.type === 'tally'
            ? { uri: message.uri, counts: message.counts, version: message.version }
            : message.type === 'snapshot'
              ? {
                  uri: message.uri,
                  counts: message.poll.options.map(({ count }) => count),
                  version: message.poll.version,
                }
              : undefined
        if (!told) return
        if (message.type === 'tally') this.late.push(Date.now() - message.version)
        if (told.version < (versions.get(told.uri) ?? 0)) this.wrong.push(JSON.stringify(told))
        versions.set(told.uri, told.version)
        this.last.set(told.uri, told)
      })
      await new Promise((closed) => socket.once('close', closed))
      await setTimeout(50)
    }
  }

  end(): void {
    this.#ended = true
    this.#socket?.terminate()
  }
}
