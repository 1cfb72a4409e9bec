/** Why something was not done, in the words that a person is told. */
import { XRPCError } from '@atproto/api'
import { OAuthResolverError, OAuthResponseError } from '@atproto/oauth-client'
import type { Reason } from '@pollz/shared/engine'

/** The companion server could not be asked for what a sign-in needs of it. */
export class ServerAway extends Error {}

/** By now, nobody expects any more that it is done. */
export class TooLate extends Error {}

/** A poll's record, which a vote has to name, could not be read. */
export class PollNotRead extends Error {
  /** There is none, or its author's account is not there; else nobody could say. */
  readonly isGone: boolean

  /** @param cause what its author's PDS answered; undefined: there is none */
  constructor(uri: string, cause?: unknown) {
    super(`${uri} could not be read`, { cause })
    this.isGone = cause === undefined || (cause instanceof XRPCError && cause.status === 400)
  }
}

export function reasonOf(error: unknown): Reason {
  if (error instanceof PollNotRead && error.isGone) return { name: 'noPoll' }
  if (error instanceof PollNotRead)
    return navigator.onLine !== false ? { name: 'authorUnreachable' } : { name: 'offline' }
  if (error instanceof ServerAway)
    return navigator.onLine !== false ? { name: 'serverAway' } : { name: 'offline' }
  if (error instanceof TooLate) return { name: 'tooLate' }
  // What fetch throws where there is no answer says nothing of use to a person; the clients wrap it.
  for (let it: unknown = error; it instanceof Error; it = it.cause)
    if (isNoAnswer(it)) return navigator.onLine !== false ? { name: 'unreachable' } : { name: 'offline' }
  // A handle that leads nowhere, a PDS that does not want this client: nothing of ours is wrong.
  if (error instanceof OAuthResolverError || error instanceof OAuthResponseError)
    return { name: 'signInFailed', detail: error.message }
  if (error instanceof XRPCError && error.error === 'ScopeMissingError') return { name: 'noScope' }
  if (error instanceof XRPCError)
    return error.status >= 500
      ? { name: 'unreachable' }
      : { name: 'refused', detail: error.message || error.error }
  return { name: 'fault', detail: error instanceof Error ? error.message : String(error) }
}

const isNoAnswer = (error: Error) =>
  error.name === 'TimeoutError' || (error instanceof TypeError && /fetch|network/i.test(error.message))
