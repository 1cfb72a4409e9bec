/** Back from a PDS. Where it was the extension that had sent somebody there, it sees this page's address itself. */
import { createEngine } from '@pollz/engine/engine'
import { Pages } from '@pollz/engine/pages'
import { forgetSignIn, openHere, signInOfTab } from './signin.ts'
import { state } from './state.ts'

const signIn = signInOfTab()
if (signIn) {
  const { accounts, acts } = createEngine({
    server: state.publicUrl,
    network: state.network,
    pages: new Pages(),
    openSignIn: openHere,
    voted: () => {},
    signal: new AbortController().signal,
  })
  const waiting = await acts.waitingFor(signIn.key)
  if (waiting) await accounts.keepResult(signIn.key, await accounts.finish(location.href, waiting.voter?.did))
  else forgetSignIn()
  // The answer in the address is used up, and not for anybody's history.
  location.replace(signIn.from)
}
