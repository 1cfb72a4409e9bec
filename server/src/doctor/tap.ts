/**
 * Whether a tap does what the server needs. It says nothing of its own settings, so they are seen by what it does: an
 * account that is known here is taken from it and given back, which makes it send all of that account's records; they
 * are taken and not acked. What it sends shows its filters; that it sends them again shows that it waits for acks.
 */
import { setTimeout } from 'node:timers/promises'
import { formatAdminAuthHeader } from '@atproto/tap'
import { WebSocket } from 'ws'
import { reasonOf } from '../log.ts'
import type { Finding } from './examine.ts'

const TIMEOUT = 10_000
/** Ms without a further event after which all have come. */
const QUIET = 3_000
const MAX_WAIT = 25_000
/** It forgets what was acked, or needs no ack, every ten seconds: by then it has, in ms. */
const FORGETS_AFTER = 12_000

const OUTBOX = '/stats/outbox-buffer'

/** @returns how many events wait to be acked, as a tap answers it; undefined: it is another answer */
async function waitingIn(response: Response): Promise<number | undefined> {
  const body: unknown = await response.json().catch(() => undefined)
  const waiting =
    typeof body === 'object' && body !== null && 'outbox_buffer' in body ? body.outbox_buffer : undefined
  return typeof waiting === 'number' ? waiting : undefined
}

type Known = {
  /** Whether the running server is connected to it: then it is not tried, for events would be shared. */
  serverHasTap: boolean
  /** collection to a DID that has a record of it */
  accounts: ReadonlyMap<string, string>
  collections: readonly string[]
}

export async function* examineTap(
  url: string,
  password: string | undefined,
  { serverHasTap, accounts, collections }: Known,
): AsyncGenerator<Finding> {
  const part = `TAP_URL ${url}`
  const headers = {
    'content-type': 'application/json',
    ...(password === undefined ? {} : { authorization: formatAdminAuthHeader(password) }),
  }
  const ask = (path: string, dids?: string[]) =>
    fetch(new URL(path, url), {
      signal: AbortSignal.timeout(TIMEOUT),
      headers,
      ...(dids ? { method: 'POST', body: JSON.stringify({ dids }) } : {}),
    })
  const tell = async (path: string, dids: string[]) => {
    const response = await ask(path, dids)
    if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`)
  }

  let answer: Response
  try {
    // Its /health says no more than anybody's.
    answer = await ask(OUTBOX)
  } catch (error) {
    const words = `can't be reached (${reasonOf(error)}): does it run, and is the address right?`
    yield { part, state: 'bad', words }
    return
  }
  if (answer.status === 401 || answer.status === 403) {
    const words = 'wants another password: set TAP_ADMIN_PASSWORD to what its own is'
    yield { part, state: 'bad', words }
    return
  }
  if ((await waitingIn(answer)) === undefined) {
    const words = `is no tap, by what it answers to ${OUTBOX} (HTTP ${answer.status}): is the address right?`
    yield { part, state: 'bad', words }
    return
  }
  yield { part, state: 'good', words: 'answers' }
  if (serverHasTap) {
    const words = 'acks and filters are seen only while the server is stopped: stop it and run this again'
    yield { part, state: 'unknown', words }
    return
  }
  if (accounts.size === 0) {
    const words = 'acks and filters are seen by the records of somebody who voted, and nobody has yet'
    yield { part, state: 'unknown', words }
    return
  }

  const dids = [...new Set(accounts.values())]
  const socket = new WebSocket(new URL('/channel', url.replace(/^http/, 'ws')), { headers })
  const seen = new Set<string>()
  const ids = new Set<number>()
  const sentAgain = new Set<number>()
  let last = Date.now()
  socket.on('message', (data) => {
    const { id, record } = JSON.parse(String(data)) as { id: number; record?: { collection?: string } }
    if (ids.has(id)) sentAgain.add(id)
    else last = Date.now()
    ids.add(id)
    if (record?.collection) seen.add(record.collection)
  })
  try {
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    await tell('/repos/remove', dids)
    await tell('/repos/add', dids)
    const began = Date.now()
    while (Date.now() - began < MAX_WAIT && (seen.size === 0 || Date.now() - last < QUIET))
      await setTimeout(100)
    const quiet = Date.now()
    while (sentAgain.size === 0 && ids.size > 0 && Date.now() - quiet < FORGETS_AFTER) await setTimeout(100)
    const again = sentAgain.size > 0
    const keeps = again || (ids.size > 0 && ((await waitingIn(await ask(OUTBOX))) ?? 0) > 0)
    if (ids.size === 0) {
      const words = `sent nothing for ${dids.join(', ')}: can it reach their PDS, and are TAP_RELAY_URL and TAP_PLC_URL right?`
      yield { part, state: 'bad', words }
      return
    }
    yield {
      part,
      state: keeps && again ? 'good' : 'bad',
      words: !keeps
        ? 'does not wait for acks, so a crash loses votes: TAP_DISABLE_ACKS has to be false'
        : again
          ? 'waits for acks'
          : 'waits for acks, but sends again late what got lost with a connection: set TAP_RETRY_TIMEOUT=3s',
    }
    const missing = [...accounts.keys()].filter((collection) => !seen.has(collection))
    const foreign = [...seen].filter((collection) => !collections.includes(collection))
    yield missing.length === 0 && foreign.length === 0
      ? { part, state: 'good', words: `sends ${[...seen].join(', ')}` }
      : {
          part,
          state: 'bad',
          words: `${missing.length > 0 ? `does not send ${missing.join(', ')}` : `sends ${foreign.join(', ')} too`}: set TAP_COLLECTION_FILTERS=${collections.join(',')}`,
        }
  } catch (error) {
    yield { part, state: 'bad', words: `acks and filters could not be seen: ${reasonOf(error)}` }
  } finally {
    socket.close()
  }
}
