/** What a record is called here: by its at-uri with a DID, whatever name somebody used. */
import type { Budget } from './budget.ts'
import { isDid, parseAtUri } from './events.ts'
import { tooMany, type Read } from './announced.ts'
import type { Repos } from './repos.ts'

export type Named =
  | { ok: true; uri: string; repo: string }
  | { ok: false; error: 'InvalidRequest'; message: string }
  | Extract<Read<never>, { ok: false }>

export class Names {
  #repos: Repos
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
    if (isDid(parts.repo)) return { ok: true, uri, repo: parts.repo }
    let repo = await this.#known(parts.repo)
    if (repo === undefined) {
      if (!(await budget.take(1))) return tooMany
      const resolved = await this.#repos.resolveRepo({ repo: parts.repo, budget })
      if (!resolved.ok) return resolved
      repo = resolved.value
    }
    return { ok: true, uri: `at://${repo}/${parts.collection}/${parts.rkey}`, repo }
  }
}
