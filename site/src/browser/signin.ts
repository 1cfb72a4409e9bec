/** Signing in without a second tab: this one goes to the PDS and comes back. */
import type { OpenSignIn } from '@pollz/engine/accounts'

/** Of this tab alone: number by which its sign-in is known, and where it began. */
const KEY = 'pollz sign-in'

/** Of this tab alone: what its page is known by, before and after it has left to sign in. */
const PAGE_KEY = 'pollz page'

const randomKey = () => Math.floor(Math.random() * 2 ** 52)

export function pageOfTab(): number {
  const page = Number(sessionStorage.getItem(PAGE_KEY) ?? randomKey())
  sessionStorage.setItem(PAGE_KEY, String(page))
  return page
}

type SignIn = { key: number; from: string }

export function signInOfTab(): SignIn | undefined {
  const text = sessionStorage.getItem(KEY)
  return text === null ? undefined : (JSON.parse(text) as SignIn)
}

export function forgetSignIn(): void {
  sessionStorage.removeItem(KEY)
}

export const openHere: OpenSignIn = async (url, keep) => {
  const signIn: SignIn = { key: randomKey(), from: location.href }
  await keep(signIn.key)
  sessionStorage.setItem(KEY, JSON.stringify(signIn))
  location.assign(url)
}
