/** Works for the page as the background does for others: loaded after what is seen. */
import { createEngine } from '@pollz/engine/engine'
import type { Made } from '@pollz/engine/authored'
import { Pages } from '@pollz/engine/pages'
import { reasonOf } from '@pollz/engine/reasons'
import type { PageAccount, ToEngine, ToPage } from '@pollz/shared/engine'
import { runCheck } from './check.ts'
import { forgetSignIn, openHere, pageOfTab, signInOfTab } from './signin.ts'
import { state } from './state.ts'

export type PageEngine = {
  receive: (message: ToEngine) => void
  signOut: (did: string) => Promise<void>
  /** What an account made, and whether it was posted: read from its own repo. */
  made: (did: string) => Promise<Made[]>
}

/**
 * @param hear is told what pages are told
 * @param use is told which account the page has, whenever that changes
 */
export async function startEngine(
  hear: (message: ToPage) => void,
  use: (account: PageAccount | undefined) => void,
  signal: AbortSignal,
): Promise<PageEngine> {
  const pages = new Pages()
  const refresh = async () => use(await accounts.lastUsed())
  const port = {
    postMessage: (message: ToPage) => {
      hear(message)
      if (message.type === 'done') void refresh()
    },
  }
  pages.add(port, pageOfTab())
  const { accounts, acts, authored, index, receive } = createEngine({
    server: location.origin,
    network: state.network,
    pages,
    openSignIn: openHere,
    voted: () => {},
    runCheck,
    signal,
  })
  await refresh()
  const comeBack = async () => {
    const signIn = signInOfTab()
    if (!signIn) return
    forgetSignIn()
    // Without a result somebody has come back on their own.
    const result = (await accounts.takeResult(signIn.key)) ?? { failed: { name: 'notFinished' } as const }
    void acts.signedIn(signIn.key, result)
  }
  await comeBack()
  // From the back-forward cache a page comes back as it was left: still waiting.
  addEventListener('pageshow', ({ persisted }) => persisted && void comeBack(), { signal })
  return {
    receive: (message) => receive(port, message),
    made: async (did) => (await authored.mine(did, state.hosts)).made,
    signOut: async (did) => {
      // It is forgotten here, whatever its PDS answers.
      await accounts.signOut(did).catch((error: unknown) => console.warn('pollz:', reasonOf(error)))
      await index.forget(did)
      await refresh()
    },
  }
}
