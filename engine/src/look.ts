/** Asks the server for a poll once, as a page that shows it does. */
import { isGone } from '@pollz/shared/missing'
import type { PollView } from '@pollz/shared/wire'
import type { Live } from './live.ts'
import type { Pages, Port } from './pages.ts'

/** After so many ms the server is taken to be away. */
const MAX_WAIT = 15_000

/**
 * `now`: the server's clock, in ms since 1970; `gone`: there is no such poll (any more); `away`: nobody can say now.
 */
export type Look = { poll: PollView; now: number } | 'gone' | 'away'

/** @param uri at-uri by DID */
export function look({ live, pages }: { live: Live; pages: Pages }, uri: string): Promise<Look> {
  return new Promise((resolve) => {
    /** What is known already is posted before. */
    let isAsked = false
    const port: Port = {
      postMessage: (message) => {
        if (message.type === 'missing') end(isGone(message.error) ? 'gone' : 'away')
        else if (message.type === 'poll' && message.tally === 'live' && isAsked)
          end({ poll: message.poll, now: Date.now() + (live.connection?.ahead ?? 0) })
      },
    }
    const timer = setTimeout(() => end('away'), MAX_WAIT)
    const end = (it: Look) => {
      clearTimeout(timer)
      live.forget(port)
      pages.remove(port)
      resolve(it)
    }
    pages.add(port, undefined)
    live.watch(port, uri)
    isAsked = true
  })
}
