/** Who says which votes there are: nothing of it is believed, each is proved. */
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { check } from '@pollz/shared/check'
import { familyOfPoll } from '@pollz/shared/families'
import { apiError, countedVotes, type CountedVotes } from '@pollz/shared/wire'
import * as v from 'valibot'

/** For a list of any size, in ms. */
const TIMEOUT = 120_000
/** Constellation's largest page. */
const PER_PAGE = 100
/** An index may go on for ever. */
const MAX_PAGES = 20_000

/** A server that was asked did not answer as one does. */
export class SourceFailed extends Error {}

/** What a companion server counts, and all that it says for it. @throws SourceFailed */
export async function readServer(server: string, poll: string, signal: AbortSignal): Promise<CountedVotes> {
  const url = new URL(`/api/polls/${encodeURIComponent(poll)}/votes.json`, server)
  const response = await get(url, signal)
  const body: unknown = await response.json().catch(() => undefined)
  if (!response.ok) {
    const said = check(apiError, body)
    throw new SourceFailed(`${server}: ${said.ok ? said.value.message : `it answered ${response.status}`}`)
  }
  const read = check(countedVotes, body)
  if (!read.ok) throw new SourceFailed(`${server}: ${read.reason}`)
  if (read.value.poll.uri !== poll) throw new SourceFailed(`${server}: it answered of ${read.value.poll.uri}`)
  return read.value
}

const backlinks = v.object({
  records: v.array(v.object({ did: v.string(), collection: v.string(), rkey: v.string() })),
  cursor: v.nullish(v.string()),
})

/**
 * at-uris of the votes that somebody else knows of: another companion server, or an index of links (Constellation).
 *
 * @throws SourceFailed
 */
export async function readSecond(source: string, poll: string, signal: AbortSignal): Promise<string[]> {
  if (!URL.canParse(source)) throw new SourceFailed(`${source}: expected the address of a server`)
  const asServer = await readServer(source, poll, signal).catch((error: unknown) => error)
  if (!(asServer instanceof Error)) return (asServer as CountedVotes).votes.map(({ uri }) => uri)
  const family = familyOfPoll.get(parseAtUri(poll)!.collection)!
  const uris: string[] = []
  for (const { nsid } of family.votes) {
    let cursor: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const url = new URL('/xrpc/blue.microcosm.links.getBacklinks', source)
      url.search = new URLSearchParams({
        subject: poll,
        source: `${nsid}:${family.subjectPath}`,
        limit: String(PER_PAGE),
        ...(cursor === undefined ? {} : { cursor }),
      }).toString()
      const response = await get(url, signal)
      const read = v.safeParse(
        backlinks,
        response.ok ? await response.json().catch(() => undefined) : undefined,
      )
      if (!read.success)
        throw new SourceFailed(`${source}: it is neither a companion server nor an index of links`)
      for (const { did: repo, collection, rkey } of read.output.records)
        uris.push(formatAtUri({ repo, collection, rkey }))
      cursor = read.output.cursor ?? undefined
      if (cursor === undefined || read.output.records.length === 0) break
    }
  }
  return uris
}

async function get(url: URL, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]) })
  } catch (cause) {
    signal.throwIfAborted()
    throw new SourceFailed(`${url.origin} does not answer`, { cause })
  }
}

/** "This record is as it is now: go and read it." A server that has not heard of a change yet is right after that. */
export async function announce(server: string, uri: string, signal: AbortSignal): Promise<void> {
  await fetch(new URL('/api/votes', server), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
  }).catch(() => signal.throwIfAborted())
}
