/** Small pictures of people, each from that person's own server, drawn anew: nothing of a stranger's file gets into a page. */
import { formatAtUri } from '@pollz/shared/at-uri'
import { readAtMost } from '@pollz/shared/read-at-most'
import type { Repos } from './repos.ts'

const COLLECTION = 'app.bsky.actor.profile'
/** Bytes: what the lexicon allows for an avatar. */
const MAX_AVATAR = 1_000_000
/** Side of a picture, in px: shown at a third of it, for screens with more pixels. */
const SIZE = 48
const TIMEOUT = 10_000

/** @returns a data URL; undefined: they have none, or it can't be had or drawn here */
export async function faceOf(repos: Repos, did: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)])
    const profile = await repos.read(
      formatAtUri({ repo: did, collection: COLLECTION, rkey: 'self' }),
      limited,
    )
    const cid = cidOf((profile?.value as { avatar?: { ref?: unknown } } | undefined)?.avatar?.ref)
    if (cid === undefined) return undefined
    const { pds } = await repos.resolve(did)
    const url = new URL('/xrpc/com.atproto.sync.getBlob', pds)
    url.search = new URLSearchParams({ did, cid }).toString()
    const response = await fetch(url, { signal: limited, credentials: 'omit' })
    const bytes = response.ok ? await readAtMost(response, MAX_AVATAR) : undefined
    return bytes && (await drawn(new Blob([bytes])))
  } catch {
    return undefined
  }
}

/** A blob's CID, as the API's client has it or as JSON does. */
function cidOf(ref: unknown): string | undefined {
  if (typeof ref !== 'object' || ref === null) return undefined
  return '$link' in ref ? String(ref.$link) : String(ref)
}

async function drawn(file: Blob): Promise<string> {
  const bitmap = await createImageBitmap(file, { resizeWidth: SIZE, resizeHeight: SIZE })
  const canvas = new OffscreenCanvas(SIZE, SIZE)
  canvas.getContext('2d')!.drawImage(bitmap, 0, 0)
  bitmap.close()
  const blob = await canvas.convertToBlob({ type: 'image/webp' })
  const bytes = new Uint8Array(await blob.arrayBuffer())
  return `data:${blob.type};base64,${btoa(String.fromCharCode(...bytes))}`
}
