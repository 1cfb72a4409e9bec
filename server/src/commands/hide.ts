/**
 * `npm run hide -- SUBJECT [REASON]`: shows a poll, or all of an account's, no longer. `npm run show -- SUBJECT` undoes
 * it. Without a subject: what is hidden. A server that runs takes it up within a second or two.
 */
import type { Client } from '@libsql/client'
import { formatAtUri, parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll, pollHosts } from '@pollz/shared/families'
import { readPollLink } from '@pollz/shared/links'
import { isDid, isHandle } from '../ingest/events.ts'
import { hiddenAfter, setHidden } from '../store/hidden.ts'
import { runCommand } from './open.ts'

const show = process.argv[2] === '--show'

await runCommand(async (client, { publicUrl }, args) => {
  const [named, ...words] = args.filter((it) => it !== '--show')
  // Of each subject the last row stands.
  const newest = new Map((await hiddenAfter(client, 0)).map((row) => [row.subject, row]))
  if (named === undefined) {
    const hidden = [...newest.values()].filter((row) => row.hidden)
    for (const { subject, reason, at } of hidden) console.log(`${at}  ${subject}  ${reason}`)
    console.log(`${hidden.length} hidden`)
    return 0
  }
  const subject = await subjectOf(client, named, publicUrl)
  const before = newest.get(subject)
  const hidden = before?.hidden ? before : undefined
  const reason = words.join(' ')
  const changesNothing = show ? !hidden : hidden && (reason === '' || reason === hidden.reason)
  if (changesNothing) {
    console.log(`${subject} was ${show ? 'not hidden' : 'hidden already'}`)
    return 0
  }
  await setHidden(client, subject, !show, reason)
  if (show) console.log(`${subject} is shown again`)
  else console.log(`${subject} ${hidden ? 'was hidden already, now for another reason' : 'is hidden'}`)
  return 0
})

/** @returns at-uri of a poll with its author's DID, or an account's DID */
async function subjectOf(client: Client, named: string, publicUrl: string): Promise<string> {
  const uri = readPollLink(named, pollHosts(publicUrl))?.uri ?? named
  const parts = parseAtUri(uri)
  if (parts && familyOfPoll.has(parts.collection))
    return formatAtUri({ ...parts, repo: await didOf(client, parts.repo) })
  if (isDid(named) || isHandle(named)) return didOf(client, named)
  throw new Error(`expected the link or at-uri of a poll, or the DID or handle of an account, got "${named}"`)
}

async function didOf(client: Client, repo: string): Promise<string> {
  if (isDid(repo)) return repo
  const { rows } = await client.execute({
    sql: 'SELECT did FROM accounts WHERE handle = ? COLLATE NOCASE',
    args: [repo],
  })
  if (rows.length === 1) return String(rows[0]!['did'])
  throw new Error(`no account is known by the handle ${repo} here: name its DID`)
}
