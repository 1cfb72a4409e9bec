/** Back from a PDS. Where it was the extension that had sent somebody there, it sees this page's address itself. */
import { createParts } from '@pollz/client/parts'
import { Pages } from '@pollz/client/pages'
import { forgetSignIn, openHere, signInOfTab } from './signin.ts'
import { state } from './state.ts'

const signIn = signInOfTab()
if (signIn) {
  const { signal } = new AbortController()
  const { accounts } = createParts(state.publicUrl, state.network, new Pages(), openHere, () => {}, signal)
  const kept = await accounts.take(signIn.key)
  if (kept) await accounts.keep(signIn.key, kept.intent, await accounts.finish(location.href, kept.intent))
  else forgetSignIn()
  // The answer in the address is used up, and not for anybody's history.
  location.replace(signIn.from)
}
