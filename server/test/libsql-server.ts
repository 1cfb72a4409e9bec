/** A libSQL server of a test's own, which it can kill and start again: sqld where there is one, else the stand-in. */
import { spawn } from 'node:child_process'
import { generateKeyPairSync, randomInt, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { HranaStandIn } from './hrana-standin.ts'
import { libsqlServer } from './remote.ts'

/** Starts it in its folder and at its port. @returns what kills it */
type Start = () => Promise<() => Promise<void>>

export class LibsqlServer {
  readonly url: string
  /** It answers nobody who does not send this. */
  readonly authToken: string
  #folder: string
  #token: ReturnType<typeof newToken> | undefined
  #start: Start
  #kill: (() => Promise<void>) | undefined

  readonly #grpcPort: number

  /** @param primary what it is a replica of */
  private constructor(port: number, grpcPort: number, primary?: { grpcUrl: string; server: LibsqlServer }) {
    this.#grpcPort = grpcPort
    this.url = `http://127.0.0.1:${port}`
    this.#folder = mkdtempSync(join(tmpdir(), 'pollz-libsql-'))
    if (libsqlServer === 'sqld') {
      this.#token = primary ? primary.server.#token! : newToken()
      const { publicKey, authToken } = this.#token
      this.authToken = authToken
      const replication = primary
        ? ['--primary-grpc-url', primary.grpcUrl]
        : ['--grpc-listen-addr', `127.0.0.1:${grpcPort}`]
      this.#start = () => startSqld({ folder: this.#folder, port, publicKey, authToken, replication })
    } else {
      const authToken = 'standin-token'
      this.authToken = authToken
      this.#start = async () => {
        const standIn = await HranaStandIn.listen(join(this.#folder, 'test.db'), authToken, port)
        return () => standIn.close()
      }
    }
  }

  static async start(): Promise<LibsqlServer> {
    const server = new LibsqlServer(await freePort(), await freePort())
    await server.restart()
    return server
  }

  /** Where replicas reach it. */
  get grpcUrl(): string {
    return `http://127.0.0.1:${this.#grpcPort}`
  }

  /** Only where there is a sqld. @param grpcUrl by which it reaches this one */
  async startReplica(grpcUrl = this.grpcUrl): Promise<LibsqlServer> {
    const replica = new LibsqlServer(await freePort(), 0, { grpcUrl, server: this })
    await replica.restart()
    return replica
  }

  get running(): boolean {
    return this.#kill !== undefined
  }

  /** As `kill -9` does it. */
  async kill(): Promise<void> {
    const kill = this.#kill
    this.#kill = undefined
    await kill?.()
  }

  /** At the same address with the same data, killed before if it still runs. */
  async restart(): Promise<void> {
    await this.kill()
    this.#kill = await this.#start()
  }

  /** Ends it and removes its data. */
  async close(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Kills its command when its input ends: then whoever started it has ended, however that came about. */
const LEASH = `exec 3<&0
"$@" & command=$!
{ cat <&3; kill -9 $command; } >/dev/null 2>&1 &
wait $command`

async function startSqld(it: {
  folder: string
  port: number
  publicKey: string
  authToken: string
  replication: string[]
}): Promise<() => Promise<void>> {
  const sqld = spawn(
    'sh',
    [
      '-c',
      LEASH,
      'sh',
      'sqld',
      '-d',
      it.folder,
      '--no-welcome',
      '--http-listen-addr',
      `127.0.0.1:${it.port}`,
      ...it.replication,
    ],
    { env: { ...process.env, SQLD_AUTH_JWT_KEY: it.publicKey }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  // It may have ended before its input does.
  sqld.stdin.on('error', () => {})
  let output = ''
  for (const stream of [sqld.stdout, sqld.stderr])
    stream.on('data', (data: Buffer) => (output = (output + data.toString()).slice(-10_000)))
  const ended = once(sqld, 'exit')
  // Asked with the token: at this port nobody else takes it.
  const client = createClient({ url: `http://127.0.0.1:${it.port}`, authToken: it.authToken })
  const answers = () =>
    client.execute('SELECT 1').then(
      () => true,
      () => false,
    )
  while (!(await answers())) {
    if (sqld.exitCode !== null) throw new Error(`sqld ended: ${output}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  client.close()
  return async () => {
    sqld.stdin.end()
    await ended
  }
}

/** A key for sqld, and a token that it takes for it: a JWT without claims. */
function newToken(): { publicKey: string; authToken: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const [header, claims] = [{ alg: 'EdDSA', typ: 'JWT' }, {}].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const signature = sign(null, Buffer.from(`${header}.${claims}`), privateKey).toString('base64url')
  return { publicKey: publicKey.export({ format: 'jwk' }).x!, authToken: `${header}.${claims}.${signature}` }
}

/** Where systems take no ports from for connections that go out: one of those may take a port just found free. */
const PORTS = [15_000, 32_000] as const

/** sqld does not say which port it got where it is given 0. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(...PORTS)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await Promise.race([
      once(server, 'listening').then(
        () => true,
        () => false,
      ),
      once(server, 'error').then(() => false),
    ])
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
