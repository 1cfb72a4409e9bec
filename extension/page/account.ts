/** The account that the page is using. */
import { signal as createSignal } from '@preact/signals'
import type { PageAccount } from '@pollz/shared/engine'

const DID = /^did:[a-z]+:[a-zA-Z0-9._:%-]+$/
const STORAGE = 'BSKY_STORAGE'

let seen: string | null | undefined

/** bsky.app's current account, as of the last `lookAtAccount`. */
export const account = createSignal<PageAccount | undefined>(undefined)

/** Reads it again. bsky.app tells nobody in its own tab when it changes, so this is called whenever it matters. */
export function lookAtAccount(): void {
  const text = localStorage.getItem(STORAGE)
  if (text === seen) return
  seen = text
  const current = readAccount(text)
  if (current?.did !== account.peek()?.did || current?.handle !== account.peek()?.handle)
    account.value = current
}

/** Follows what other tabs do, and what happened while nobody looked. */
export function followAccount(signal: AbortSignal): void {
  lookAtAccount()
  addEventListener('storage', lookAtAccount, { signal })
  addEventListener('focus', lookAtAccount, { signal })
  document.addEventListener('visibilitychange', lookAtAccount, { signal })
}

/** DID and handle, and nothing else: the tokens beside them are bsky.app's own. */
function readAccount(text: string | null): PageAccount | undefined {
  try {
    const storage = JSON.parse(text ?? '{}') as {
      session?: { currentAccount?: { did?: unknown }; accounts?: { did?: unknown; handle?: unknown }[] }
    }
    const did = storage.session?.currentAccount?.did
    if (typeof did !== 'string' || !DID.test(did)) return undefined
    const handle = storage.session?.accounts?.find((it) => it.did === did)?.handle
    return { did, ...(typeof handle === 'string' ? { handle } : {}) }
  } catch {
    return undefined
  }
}
