/** Works for the page as the background does for others: loaded after what is seen. */
import { reasonOf } from '@pollz/client/acts'
import { Pages } from '@pollz/client/pages'
import { createParts } from '@pollz/client/parts'
import type { PageAccount, ToBackground, ToContent } from '@pollz/widget/messages'
import { forgetSignIn, openHere, signInOfTab } from './signin.ts'
import { state } from './state.ts'

export type Engine = {
  receive: (message: ToBackground) => void
  signOut: (did: string) => Promise<void>
}

/**
 * @param hear is told what pages are told
 * @param use is told which account the page has, whenever that changes
 */
export async function startEngine(
  hear: (message: ToContent) => void,
  use: (account: PageAccount | undefined) => void,
  signal: AbortSignal,
): Promise<Engine> {
  const pages = new Pages()
  const refresh = async () => use(await accounts.lastUsed())
  const port = {
    postMessage: (message: ToContent) => {
      hear(message)
      if (message.type === 'done') void refresh()
    },
  }
  pages.add(port, undefined)
  const { accounts, acts, receive } = createParts(
    location.origin,
    state.network,
    pages,
    openHere,
    () => {},
    signal,
  )
  await refresh()
  const signIn = signInOfTab()
  if (signIn) {
    forgetSignIn()
    const kept = await accounts.take(signIn.key)
    // Without an outcome somebody has come back on their own.
    if (kept) void acts.settle(kept.intent, kept.outcome ?? { failed: { name: 'notFinished' } })
  }
  return {
    receive: (message) => receive(port, message),
    signOut: async (did) => {
      // It is forgotten here, whatever its PDS answers.
      await accounts.signOut(did).catch((error: unknown) => console.warn('pollz:', reasonOf(error)))
      await refresh()
    },
  }
}
