/** The account that the page is using. */

const DID = /^did:[a-z]+:[a-zA-Z0-9._:%-]+$/

/** DID of bsky.app's current account. The tokens beside it are bsky.app's own and are not looked at. */
export function currentAccount(): string | undefined {
  try {
    const storage = JSON.parse(localStorage.getItem('BSKY_STORAGE') ?? '{}') as {
      session?: { currentAccount?: { did?: unknown } }
    }
    const did = storage.session?.currentAccount?.did
    return typeof did === 'string' && DID.test(did) ? did : undefined
  } catch {
    return undefined
  }
}
