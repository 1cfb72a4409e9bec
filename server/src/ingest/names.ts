/** What a record is called here: by its at-uri with a DID, whatever name somebody used. */
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { LRUCache } from 'lru-cache'
import type { Budget } from './budget.ts'
import { isDid } from './events.ts'
import { tooMany, type Read } from './announced.ts'
import type { Repos } from './repos.ts'

export type Named =
  | { ok: true; uri: string; repo: string }
  | { ok: false; error: 'InvalidRequest'; message: string }
  | Extract<Read<never>, { ok: false }>

/** For how long a handle is known to lead to a DID, in ms, and how many are. */
const KEEP = 300_000
const MAX_KEPT = 10_000

export class Names {
  #repos: Repos
  #resolved = new LRUCache<string, string>({ max: MAX_KEPT, ttl: KEEP })
  #known: (handle: string) => Promise<string | undefined>

  /** @param known the DID that a handle leads to, where that costs nobody a request */
  constructor(repos: Repos, known: (handle: string) => Promise<string | undefined>) {
    this.#repos = repos
    this.#known = known
  }

  /**
   * @param uri at-uri by DID or handle
   * @param collections of which the record has to be
   */
  async canonical(uri: string, collections: ReadonlyMap<string, unknown>, budget: Budget): Promise<Named> {
    const parts = parseAtUri(uri)
    if (!parts || !collections.has(parts.collection)) {
      const expected = [...collections.keys()].map((nsid) => `at://REPO/${nsid}/RKEY`).join(' or ')
      return { ok: false, error: 'InvalidRequest', message: `uri: expected ${expected}` }
    }
    const { repo: named } = parts
    const handle = named.toLowerCase()
    if (isDid(named)) return { ok: true, uri, repo: named }
    let repo = this.#resolved.get(handle) ?? (await this.#known(handle))
    if (repo === undefined) {
      if (!(await budget.take(1))) return tooMany
      const resolved = await this.#repos.resolveRepo({ repo: handle, budget })
      if (!resolved.ok) return resolved
      repo = resolved.value
      this.#resolved.set(handle, repo)
    }
    return { ok: true, uri: formatAtUri({ ...parts, repo }), repo }
  }
}
