/** A whole network on this machine: a real PLC and PDS, the real tap, and the server. */
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AtpAgent } from '@atproto/api'
import { TestNetworkNoAppView } from '@atproto/dev-env'
import { home, pollHosts } from '@pollz/shared/families'
import { pollLink } from '@pollz/shared/links'
import { voteRkey } from '@pollz/shared/votes'
import { tapEnvironment } from '@pollz/tap/settings'
import { answers, start, until, type Started } from './processes.ts'

const root = join(import.meta.dirname, '..')

/** Every account of a local network has this password. */
export const PASSWORD = 'correct-horse'

export type Network = {
  plcUrl: string
  pdsUrl: string
  tapUrl: string
  serverUrl: string
  /** Logs of tap and the server, and their databases. */
  folder: string
  createAccount(handle: string): Promise<Account>
  /** `kill -9` */
  killServer(): Promise<void>
  startServer(): Promise<void>
  /** Resolves when everything has ended. */
  done: Promise<void>
}

export type NetworkOptions = {
  /** Ports that are taken where they are free; else others. */
  ports: { plc: number; pds: number; tap: number; server: number }
  /** The command that runs tap, without `run`. */
  tap: string[]
  /** More variables for the server. */
  environment?: Record<string, string>
  say: (message: string) => void
  signal: AbortSignal
}

export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const { say, signal } = options
  const folder = mkdtempSync(join(tmpdir(), 'pollz-'))
  const plcPort = await freePort(options.ports.plc)
  const pdsPort = await freePort(options.ports.pds)
  const tapPort = await freePort(options.ports.tap)
  const serverPort = await freePort(options.ports.server)

  say('starting a PLC directory and a PDS')
  const atproto = await TestNetworkNoAppView.create({
    plc: { port: plcPort },
    pds: { port: pdsPort, hostname: 'localhost' },
  })
  const plcUrl = `http://localhost:${plcPort}`
  const pdsUrl = `http://localhost:${pdsPort}`
  const tapUrl = `http://127.0.0.1:${tapPort}`
  const serverUrl = `http://127.0.0.1:${serverPort}`

  // Its own signal: the server commits and acks before tap goes.
  const stopTap = new AbortController()
  say('starting tap')
  const tap = start(
    [...options.tap, 'run'],
    tapEnvironment({
      relayUrl: pdsUrl,
      plcUrl,
      bind: `127.0.0.1:${tapPort}`,
      databaseUrl: `sqlite://${join(folder, 'tap.db')}`,
    }),
    join(folder, 'tap.log'),
    stopTap.signal,
  )
  await until(`tap at ${tapUrl} (log: ${folder}/tap.log)`, () => answers(`${tapUrl}/health`))

  say('starting the server')
  let server: Started
  const startServer = async () => {
    server = start(
      ['node', join(root, 'server/src/main.ts')],
      {
        PORT: String(serverPort),
        HOST: '127.0.0.1',
        PUBLIC_URL: serverUrl,
        DATABASE_URL: `file:${join(folder, 'pollz.db')}`,
        TAP_URL: tapUrl,
        PLC_URL: plcUrl,
        HANDLE_RESOLVER_URL: pdsUrl,
        LOG_LEVEL: 'info',
        ...options.environment,
      },
      join(folder, 'server.log'),
      signal,
    )
    await until(`the server at ${serverUrl} (log: ${folder}/server.log)`, () => answers(`${serverUrl}/ready`))
  }
  await startServer()

  const done = new Promise<void>((resolve) => {
    signal.addEventListener('abort', async () => {
      await server.ended
      stopTap.abort()
      await tap.ended
      await atproto.close()
      resolve()
    })
  })

  return {
    plcUrl,
    pdsUrl,
    tapUrl,
    serverUrl,
    folder,
    done,
    startServer,
    killServer: async () => {
      server.child.kill('SIGKILL')
      await server.ended
    },
    createAccount: (handle) => Account.create(pdsUrl, serverUrl, handle),
  }
}

/** A network for tests, on free ports, with an account `NAME.test` for each name. */
export async function startTestNetwork<Names extends string[]>(
  signal: AbortSignal,
  ...names: Names
): Promise<{ network: Network; accounts: { [N in keyof Names]: Account } }> {
  return startNetworkWith({ signal }, ...names)
}

/** @param options `environment` of the server */
export async function startNetworkWith<Names extends string[]>(
  options: Pick<NetworkOptions, 'signal' | 'environment'>,
  ...names: Names
): Promise<{ network: Network; accounts: { [N in keyof Names]: Account } }> {
  const network = await startNetwork({
    ports: { plc: 0, pds: 0, tap: 0, server: 0 },
    tap: JSON.parse(process.env['POLLZ_TAP']!) as string[],
    say: () => {},
    ...options,
  })
  const accounts = await Promise.all(names.map((name) => network.createAccount(`${name}.test`)))
  return { network, accounts: accounts as { [N in keyof Names]: Account } }
}

/**
 * at-uris of posts. `hidden`: by its own label, until somebody asks for it. `linkInText`: besides its card. `link`: in the
 * place of the poll's usual one. `rkey`: of the post
 */
type PostMore = {
  quote?: string
  replyTo?: string
  hidden?: boolean
  linkInText?: boolean
  link?: string
  rkey?: string
}

/** An account on the local PDS, and what its owner does there with other apps than ours. */
export class Account {
  readonly did: string
  readonly handle: string
  readonly agent: AtpAgent
  #serverUrl: string

  private constructor(agent: AtpAgent, serverUrl: string, handle: string) {
    this.agent = agent
    this.did = agent.assertDid
    this.handle = handle
    this.#serverUrl = serverUrl
  }

  static async create(pdsUrl: string, serverUrl: string, handle: string): Promise<Account> {
    const agent = new AtpAgent({ service: pdsUrl })
    await agent.createAccount({
      email: `${handle.split('.')[0]}@example.com`,
      handle,
      password: PASSWORD,
    })
    return new Account(agent, serverUrl, handle)
  }

  /** @returns the poll's at-uri */
  async makePoll(
    text: string,
    options: string[],
    more: { endsAt?: string; multiple?: boolean } = {},
  ): Promise<string> {
    const { data } = await this.agent.com.atproto.repo.createRecord({
      repo: this.did,
      collection: home.poll,
      record: { $type: home.poll, text, options, createdAt: new Date().toISOString(), ...more },
    })
    return data.uri
  }

  /** Writes a poll anew, with something changed. */
  async changePoll(poll: string, change: { endsAt?: string }): Promise<void> {
    const at = { repo: this.did, collection: home.poll, rkey: poll.split('/').at(-1)! }
    const { data } = await this.agent.com.atproto.repo.getRecord(at)
    await this.agent.com.atproto.repo.putRecord({ ...at, record: { ...data.value, ...change } })
  }

  linkTo(poll: string): string {
    return pollLink(poll, pollHosts(this.#serverUrl), this.#serverUrl)
  }

  /** A post with the poll's link as a card, or only in its text, as bsky.app writes them. */
  async post(
    text: string,
    poll: string | undefined,
    as: 'card' | 'text',
    more: PostMore = {},
  ): Promise<string> {
    const link = more.link ?? (poll === undefined ? '' : this.linkTo(poll))
    const inText = link !== '' && (as === 'text' || more.linkInText)
    const full = inText ? `${text} ${link}` : text
    const start = Buffer.byteLength(text) + 1
    const facets = [
      {
        index: { byteStart: start, byteEnd: start + Buffer.byteLength(link) },
        features: [{ $type: 'app.bsky.richtext.facet#link', uri: link }],
      },
    ]
    const card = {
      $type: 'app.bsky.embed.external',
      external: { uri: link, title: text, description: 'A poll' },
    }
    // The client's own views have more of a referred record than this; the stand-in looks at its uri only.
    const refer = (uri: string) => ({
      uri,
      cid: 'bafyreib5akotkmkmtqrqhqqqwvwbqnyeqcvrqxzmdcmvgqzqb5phgyjyjm',
    })
    const { data } = await this.agent.com.atproto.repo.createRecord({
      repo: this.did,
      collection: 'app.bsky.feed.post',
      validate: false,
      ...(more.rkey === undefined ? {} : { rkey: more.rkey }),
      record: {
        $type: 'app.bsky.feed.post',
        text: full,
        createdAt: new Date().toISOString(),
        ...(inText ? { facets } : {}),
        ...(link !== '' && as === 'card' ? { embed: card } : {}),
        ...(more.quote ? { embed: { $type: 'app.bsky.embed.record', record: refer(more.quote) } } : {}),
        ...(more.replyTo ? { reply: { root: refer(more.replyTo), parent: refer(more.replyTo) } } : {}),
        ...(more.hidden
          ? { labels: { $type: 'com.atproto.label.defs#selfLabels', values: [{ val: 'porn' }] } }
          : {}),
      },
    })
    return data.uri
  }

  async vote(poll: string, option: number): Promise<void> {
    await this.agent.com.atproto.repo.putRecord({
      repo: this.did,
      collection: home.vote,
      rkey: voteRkey(poll),
      record: home.writeVote({
        poll: { uri: poll },
        choices: [option],
        createdAt: new Date().toISOString(),
      })[0]!.record,
    })
  }

  /** The vote record on the PDS under the key that the extension uses, or undefined. */
  async voteRecord(poll: string): Promise<unknown> {
    const { data } = await this.agent.com.atproto.repo.listRecords({
      repo: this.did,
      collection: home.vote,
    })
    return data.records.find(({ uri }) => uri.endsWith(`/${voteRkey(poll)}`))?.value
  }
}

/** @returns the port, if nobody listens on it; else one that is free */
export async function freePort(wanted: number): Promise<number> {
  const tryPort = (port: number) =>
    new Promise<number | undefined>((resolve) => {
      const probe = createServer()
      probe.once('error', () => resolve(undefined))
      probe.listen(port, () => {
        const address = probe.address()
        probe.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
      })
    })
  const port = (await tryPort(wanted)) ?? (await tryPort(0))
  if (port === undefined) throw new Error('no port is free')
  return port
}
