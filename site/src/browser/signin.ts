/** Signing in without a second tab: this one goes to the PDS and comes back. */
import type { OpenSignIn } from '@pollz/engine/accounts'

/** Of this tab alone: number by which its sign-in is known, and where it began. */
const KEY = 'pollz sign-in'

type SignIn = { key: number; from: string }

export function signInOfTab(): SignIn | undefined {
  const text = sessionStorage.getItem(KEY)
  return text === null ? undefined : (JSON.parse(text) as SignIn)
}

export function forgetSignIn(): void {
  sessionStorage.removeItem(KEY)
}

export const openHere: OpenSignIn = async (url, keep) => {
  const signIn: SignIn = { key: Math.floor(Math.random() * 2 ** 52), from: location.href }
  await keep(signIn.key)
  sessionStorage.setItem(KEY, JSON.stringify(signIn))
  location.assign(url)
}
