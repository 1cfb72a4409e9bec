/** Public records, read from the PDS that they are on: for what the server can't be asked. */
import { createIdentityResolver } from '@atproto-labs/identity-resolver'
import { Agent, ComAtprotoRepoGetRecord } from '@atproto/api'
import { isValidDid } from '@atproto/syntax'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll } from '@pollz/shared/families'
import type { PollView } from '@pollz/shared/wire'

/** What resolves DIDs and handles: the network's own, or that of a local network. */
export type Network = { plc: string; handleResolver: string; allowHttp: boolean }

export type ReadPoll = { ok: true; poll: PollView } | { ok: false; error: 'PollNotFound' | 'Unreachable' }

export class Repos {
  readonly network: Network
  #identity
  /** DIDs of the handles in polls' addresses, as the network said them last. */
  #dids = new Map<string, string>()
  /** by URL of the PDS: making one reads every lexicon */
  #agents = new Map<string, Agent>()

  constructor(network: Network) {
    this.network = network
    this.#identity = createIdentityResolver({
      plcDirectoryUrl: network.plc,
      handleResolver: network.handleResolver,
      allowHttp: network.allowHttp,
    })
  }

  /** @returns its handle where it has one that resolves back @throws where it has no identity */
  async resolve(identifier: string): Promise<{ did: string; handle: string | undefined; pds: string }> {
    const { did, handle, didDoc } = await this.#identity.resolve(identifier)
    const pds = didDoc.service?.find(({ id }) => id.endsWith('#atproto_pds'))?.serviceEndpoint
    if (typeof pds !== 'string') throw new Error(`${did} has no PDS`)
    if (!this.network.allowHttp && !pds.startsWith('https://')) throw new Error(`${pds}: expected https`)
    return { did, handle: handle === 'handle.invalid' ? undefined : handle, pds }
  }

  /** @returns undefined where it has none that resolves back, or nobody can say */
  async handleOf(did: string): Promise<string | undefined> {
    return (await this.resolve(did).catch(() => undefined))?.handle
  }

  /** at-uri with a DID, of one that may have a handle. @throws where the handle does not resolve */
  async canonical(uri: string): Promise<string> {
    const { repo, collection, rkey } = parseAtUri(uri)!
    if (isValidDid(repo)) return uri
    const { did } = await this.resolve(repo)
    this.#dids.set(repo, did)
    return formatAtUri({ repo: did, collection, rkey })
  }

  /** `canonical` of what was asked for before; else as it is: no server's word will do. */
  canonicalIfKnown(uri: string): string {
    const { repo, collection, rkey } = parseAtUri(uri)!
    return formatAtUri({ repo: this.#dids.get(repo) ?? repo, collection, rkey })
  }

  /** The poll without a tally: its counts are 0. @param uri at-uri, by DID or handle */
  async readPoll(uri: string): Promise<ReadPoll> {
    const { repo, collection, rkey } = parseAtUri(uri)!
    try {
      const { did, handle } = await this.resolve(repo)
      const record = await this.read(formatAtUri({ repo: did, collection, rkey }))
      const read = familyOfPoll.get(collection)?.readPoll(record?.value, { did, collection, rkey })
      if (!read?.ok) return { ok: false, error: 'PollNotFound' }
      const { options, ...content } = read.value
      return {
        ok: true,
        poll: {
          uri: formatAtUri({ repo: did, collection, rkey }),
          repo: did,
          collection,
          rkey,
          ...content,
          options: options.map((option) => ({ text: option, count: 0 })),
          ...(handle === undefined ? {} : { handle }),
          total: 0,
          ...(content.multiple ? { voters: 0 } : {}),
          edited: false,
          version: 0,
        },
      }
    } catch {
      return { ok: false, error: 'Unreachable' }
    }
  }

  /** @param uri at-uri by DID @returns undefined: there is no such record @throws where nobody can say */
  async read(
    uri: string,
    signal?: AbortSignal,
  ): Promise<{ cid: string | undefined; value: unknown } | undefined> {
    const record = parseAtUri(uri)!
    const { pds } = await this.resolve(record.repo)
    try {
      const { data } = await this.#agentOf(pds).com.atproto.repo.getRecord(record, signal ? { signal } : {})
      return { cid: data.cid, value: data.value }
    } catch (error) {
      if (error instanceof ComAtprotoRepoGetRecord.RecordNotFoundError) return undefined
      throw error
    }
  }

  /** cid of a repo's last commit. */
  async head(did: string, signal?: AbortSignal): Promise<string> {
    const { pds } = await this.resolve(did)
    const { data } = await this.#agentOf(pds).com.atproto.sync.getLatestCommit(
      { did },
      signal ? { signal } : {},
    )
    return data.cid
  }

  /** NSIDs of the collections that a repo has records of. */
  async collections(did: string, signal: AbortSignal): Promise<string[]> {
    const { pds } = await this.resolve(did)
    const { data } = await this.#agentOf(pds).com.atproto.repo.describeRepo({ repo: did }, { signal })
    return data.collections
  }

  /** Records of a collection, the newest keys first. A PDS may say anything: those of others are left out. */
  async list(
    did: string,
    collection: string,
    { signal, ...page }: { limit: number; cursor?: string; signal?: AbortSignal },
  ) {
    const { pds } = await this.resolve(did)
    const { data } = await this.#agentOf(pds).com.atproto.repo.listRecords(
      { repo: did, collection, ...page },
      signal ? { signal } : {},
    )
    const isTheirs = ({ uri }: { uri: string }) => {
      const record = parseAtUri(uri)
      return record?.repo === did && record.collection === collection
    }
    return { ...data, records: data.records.filter(isTheirs) }
  }

  #agentOf(pds: string): Agent {
    const agent = this.#agents.get(pds) ?? new Agent(pds)
    this.#agents.set(pds, agent)
    return agent
  }
}
