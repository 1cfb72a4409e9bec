/** Requests to the companion server. */
import { apiError, pollView, type PollView } from '@pollz/shared/wire'

const TIMEOUT = 15_000

/** The server answered with an error. */
class ServerRefused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export class Api {
  #server: string

  /** @param server its base URL */
  constructor(server: string) {
    this.#server = server
  }

  /**
   * @param path with a leading slash
   * @param body sent by POST; undefined: GET
   * @returns the answer, and the cursor of the page after it
   * @throws where it can't be reached or answers with an error
   */
  async ask(path: string, body?: unknown): Promise<{ body: unknown; next: string | undefined }> {
    const response = await fetch(new URL(path, this.#server), {
      signal: AbortSignal.timeout(TIMEOUT),
      ...(body === undefined
        ? {}
        : {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(body),
          }),
    })
    const answer: unknown = await response.json().catch(() => undefined)
    if (response.ok) {
      const next = /[?&]cursor=([^&>]+)/.exec(response.headers.get('link') ?? '')?.[1]
      return { body: answer, next: next && decodeURIComponent(next) }
    }
    const error = apiError.safeParse(answer)
    const message = error.success ? error.value.message : `the server answered ${response.status}`
    throw new ServerRefused(response.status, message)
  }

  /**
   * "This record exists now", or no longer: the server reads it, and tells everybody who watches its poll.
   *
   * @param uri at-uri of a vote or a poll
   * @returns the poll with it in its tally; `none`: the server says that there is none; `away`: it can't say now
   */
  async announce(what: 'votes' | 'polls', uri: string): Promise<PollView | 'none' | 'away'> {
    try {
      const { body } = await this.ask(`/api/${what}`, { uri })
      const poll = pollView.safeParse(body)
      return poll.success ? poll.value : 'none'
    } catch (error) {
      return error instanceof ServerRefused && error.status < 500 && error.status !== 429 ? 'none' : 'away'
    }
  }
}

export const pollPath = (uri: string) => `/api/polls/${encodeURIComponent(uri)}`
