/**
 * Answers that are the same for all until something changes. Each has a tag by which browsers, and a CDN in front, ask whether
 * theirs is still true: that costs neither a look into the database nor the body.
 */
import { hash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import type { Context } from 'hono'
import { accepts } from 'hono/accepts'

/** For how many seconds whoever keeps an answer need not ask: nobody sees a tally that is much older. */
const MAX_AGE = 1
/** Bytes of all that is kept, about. */
const MAX_KEPT = 32 * 1024 * 1024
/** A body that is smaller is sent as it is. */
const MIN_COMPRESSED = 1024

/** `tag`: another one for another body */
type Answer = { tag: string; body: string; compressed?: Uint8Array<ArrayBuffer> }

export const tagOf = (body: string | Uint8Array) => hash('sha1', body, 'base64url')

/** RFC 9110, 13.1.2: by weak comparison, for a compressed body is the same to whoever asks. */
function isKnown(c: Context, tag: string): boolean {
  const known = c.req.header('If-None-Match')
  if (known === undefined) return false
  return known === '*' || known.split(',').some((it) => it.trim().replace(/^W\//, '') === `"${tag}"`)
}

/** @returns the answer to whoever has the body already; undefined: they have not */
export function unlessKnown(c: Context, tag: string, maxAge = MAX_AGE): Response | undefined {
  c.header('ETag', `W/"${tag}"`)
  c.header('Cache-Control', `public, max-age=${maxAge}`)
  return isKnown(c, tag) ? c.body(null, 304) : undefined
}

/** JSON that is true for all. */
export function shared(c: Context, json: string, tag = tagOf(json)): Response {
  return unlessKnown(c, tag) ?? c.body(json, 200, { 'content-type': 'application/json' })
}

/** HTML that is made once. */
export class Pages {
  #kept = new LRUCache<string, Answer>({
    maxSize: MAX_KEPT,
    sizeCalculation: ({ body, compressed }, key) =>
      500 + 2 * (key.length + body.length) + (compressed?.length ?? Math.ceil(body.length / 4)),
  })

  /**
   * @param key says everything that the page is made from
   * @param make is called where it is not kept
   */
  answer(c: Context, key: string, make: () => string): Response {
    let kept = this.#kept.get(key)
    if (!kept) {
      // What is made may be a String.
      const body = String(make())
      kept = { tag: tagOf(body), body }
      this.#kept.set(key, kept)
    }
    c.header('Vary', 'Accept-Encoding', { append: true })
    const known = unlessKnown(c, kept.tag)
    if (known) return known
    const compresses =
      kept.body.length >= MIN_COMPRESSED &&
      accepts(c, { header: 'Accept-Encoding', supports: ['gzip'], default: '' }) === 'gzip'
    if (!compresses) return c.html(kept.body)
    c.header('Content-Encoding', 'gzip')
    kept.compressed ??= new Uint8Array(gzipSync(kept.body))
    return c.body(kept.compressed, 200, { 'content-type': 'text/html; charset=UTF-8' })
  }
}

/** What of a page changes with the time alone: how long a poll still goes on, as its texts say it. */
export function timeOf(endsAt: string | undefined, now: number): string {
  if (endsAt === undefined) return ''
  const left = Date.parse(endsAt) - now
  if (!(left > 0)) return 'ended'
  return left < 60_000 ? `${Math.floor(left / 1000)} s` : `${Math.floor(left / 60_000)} min`
}
