/** What somebody does with an account of theirs: as whom, signing in first where that is needed, and how it went. */
import { XRPCError } from '@atproto/api'
import type { Act, Reason, ToBackground } from '@pollz/widget/messages'
import type { Accounts, Intent, Outcome } from './accounts.ts'
import type { Pages, Port } from './pages.ts'

/** Does one kind of thing. @returns at-uri of the poll it was done to @throws with the PDS's reason */
export type Doer<T extends Act['type']> = (did: string, act: Act & { type: T }) => Promise<string>

export type Doers = { [T in Exclude<Act['type'], 'signIn'>]: Doer<T> }

export class Acts {
  #accounts: Accounts
  #pages: Pages
  #doers: Doers

  constructor(accounts: Accounts, pages: Pages, doers: Doers) {
    this.#accounts = accounts
    this.#pages = pages
    this.#doers = doers
  }

  async act(port: Port, message: ToBackground & { type: 'act' }): Promise<void> {
    const { act, account, identifier } = message
    const intent: Intent = { act, voter: account?.did, page: this.#pages.pageOf(port) }
    try {
      const known = account ?? (await this.#accounts.lastUsed())
      const person = identifier === undefined ? known : undefined
      if (person && (await this.#accounts.isSignedIn(person.did)) && (await this.#do(person.did, intent)))
        return
      const as = person?.did ?? identifier
      if (as === undefined) {
        this.#pages.sendPage(intent.page, { type: 'whoAreYou', act })
        return
      }
      this.#pages.sendPage(intent.page, { type: 'signingIn', act, as: person?.handle ?? as })
      await this.#accounts.signIn(as, intent)
    } catch (error) {
      this.#refuse(intent, reasonOf(error))
    }
  }

  /** Goes on with what a sign-in was for. */
  async settle(intent: Intent, outcome: Outcome): Promise<void> {
    if ('failed' in outcome) return this.#refuse(intent, outcome.failed)
    try {
      if (!(await this.#do(outcome.did, intent)))
        this.#refuse(intent, { name: 'signInFailed', detail: 'the session ended at once' })
    } catch (error) {
      this.#refuse(intent, reasonOf(error))
    }
  }

  /** @returns false where the session turned out to be over */
  async #do(did: string, { act, page }: Intent): Promise<boolean> {
    if (act.type === 'signIn') return true
    let uri: string
    try {
      uri = await this.#perform(did, act)
    } catch (error) {
      // The client forgets a session that is revoked or expired.
      if (!(await this.#accounts.isSignedIn(did))) return false
      throw error
    }
    this.#pages.sendPage(page, { type: 'done', act, uri })
    await this.#accounts.used(did)
    return true
  }

  #perform(did: string, act: Act & { type: keyof Doers }): Promise<string> {
    switch (act.type) {
      case 'vote':
        return this.#doers.vote(did, act)
      case 'publish':
        return this.#doers.publish(did, act)
      case 'delete':
        return this.#doers.delete(did, act)
      default:
        return act satisfies never
    }
  }

  #refuse({ act, page }: Intent, reason: Reason): void {
    this.#pages.sendPage(page, { type: 'refused', act, reason })
  }
}

export function reasonOf(error: unknown): Reason {
  // What fetch throws where there is no answer says nothing of use to a person; the clients wrap it.
  for (let it: unknown = error; it instanceof Error; it = it.cause)
    if (it instanceof TypeError || it.name === 'TimeoutError') return { name: 'unreachable' }
  if (error instanceof XRPCError) return { name: 'refused', detail: error.message || error.error }
  return { name: 'refused', detail: error instanceof Error ? error.message : String(error) }
}
