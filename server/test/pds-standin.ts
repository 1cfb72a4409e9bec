/** Repos and the servers of a network that mean no good, as far as reading records goes. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Secp256k1Keypair } from '@atproto/crypto'
import { BlockMap, blocksToCarFile, signCommit, type CidSet } from '@atproto/repo'
import { tid } from '@pollz/shared/tid'

type Cid = ReturnType<CidSet['toList']>[number]
type Add = (block: unknown) => Promise<Cid>

/** An entry of a node of the tree. `shared`: how many characters its key begins with of the one before it */
export const entry = (key: string, value: Cid, right: Cid | null = null, shared = 0) => ({
  p: shared,
  k: Buffer.from(key),
  v: value,
  t: right,
})

/**
 * A proof as whoever has the repo's key can make it.
 *
 * @param tree adds its blocks and returns the root of the tree
 * @param time of the commit's rev, in microseconds since 1970
 */
export async function makeProof(
  repo: { did: string; key: Secp256k1Keypair },
  tree: (add: Add, blocks: BlockMap) => Promise<Cid>,
  time = Date.now() * 1000,
): Promise<Uint8Array> {
  const blocks = new BlockMap()
  const data = await tree((block) => blocks.add(block as never), blocks)
  const unsigned = { did: repo.did, version: 3 as const, data, rev: tid(time), prev: null }
  return blocksToCarFile(await blocks.add(await signCommit(unsigned, repo.key)), blocks)
}

/** A PLC directory and any number of other servers, each on an address of its own if need be. */
export class NetworkStandIn {
  #servers: Server[] = []
  #documents = new Map<string, string>()
  #tombstoned = new Set<string>()
  plcUrl = ''
  /** DIDs that the PLC directory was asked for. */
  asked: string[] = []
  key!: Secp256k1Keypair

  static async start(): Promise<NetworkStandIn> {
    const network = new NetworkStandIn()
    network.key = await Secp256k1Keypair.create()
    network.plcUrl = await network.serve((request, response) => {
      const did = decodeURIComponent(request.url!.slice(1))
      network.asked.push(did)
      if (network.#tombstoned.has(did)) return void response.writeHead(410).end('{}')
      const document = network.#documents.get(did)
      if (document === undefined) return void response.writeHead(404).end('{}')
      response.writeHead(200, { 'content-type': 'application/json' }).end(document)
    })
    return network
  }

  /** @param address one that leads to this machine; each counts as a host of its own */
  async serve(listener: RequestListener, address = '127.0.0.1'): Promise<string> {
    const server = createServer(listener)
    this.#servers.push(server)
    await new Promise<void>((resolve) => {
      server.listen(0, address, resolve)
    })
    return `http://${address}:${(server.address() as AddressInfo).port}`
  }

  /** Has the PLC directory say where a repo is. `more` replaces parts of the document. */
  register(did: string, pds: string, more: Record<string, unknown> = {}): void {
    const document = {
      id: did,
      alsoKnownAs: ['at://somebody.example'],
      verificationMethod: [
        {
          id: `${did}#atproto`,
          type: 'Multikey',
          controller: did,
          publicKeyMultibase: this.key.did().replace('did:key:', ''),
        },
      ],
      service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: pds }],
      ...more,
    }
    this.#documents.set(did, JSON.stringify(document))
  }

  tombstone(did: string): void {
    this.#tombstoned.add(did)
  }

  close(): void {
    for (const server of this.#servers) {
      server.closeAllConnections()
      server.close()
    }
  }
}
