#!/usr/bin/env node
/** `npx pollz-check URL`: counts a poll from the signed votes, and says whether its server is right. */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parseAtUri } from '@pollz/shared/at-uri'
import { familyOfPoll, pollHosts } from '@pollz/shared/families'
import { parsePollLink } from '@pollz/shared/links'
import { PLC_URL } from '@pollz/shared/network'
import { fromArchive, toArchive } from './archive.ts'
import { checkPoll, type Checked } from './check.ts'
import type { Proof } from './repos.ts'
import { wordsOf } from './words.ts'

const USAGE = `usage: pollz-check URL [options]       checks the poll behind a link to a pollz server
       pollz-check AT-URI --second URL [options]   counts a poll that no server is asked about
       pollz-check --from FILE [--json]     counts an archive again, offline

  --second URL   where else to ask who has voted: another pollz server, or a Constellation index
  --save FILE    keeps every proof
  --json         prints all that was found as JSON
  --plc URL      the directory of DIDs (${PLC_URL})

It ends with 0 where the result is right, 1 where it is not, 2 where it could not tell.`

/** Somebody asked for something that can't be done. */
class Misuse extends Error {}

const CODES = { right: 0, wrong: 1, unknown: 2 } as const

try {
  const checked = await run()
  process.exitCode =
    checked.secondFailed === undefined ? CODES[checked.verdict] : CODES[checked.verdict] || CODES.unknown
} catch (error) {
  console.error(`pollz-check: ${error instanceof Error ? error.message : String(error)}`)
  if (error instanceof Misuse) console.error(USAGE)
  process.exitCode = 2
}

async function run(): Promise<Checked> {
  const { values, positionals } = readArguments()
  const checked = values.from === undefined ? await checkNow() : await fromArchive(readJson(values.from))
  console.log(values.json ? JSON.stringify(withoutRecords(checked), null, 2) : wordsOf(checked))
  return checked

  async function checkNow(): Promise<Checked> {
    const [link, ...more] = positionals
    if (link === undefined || more.length > 0) throw new Misuse('URL: expected one')
    for (const name of ['second', 'plc'] as const)
      if (values[name] !== undefined && !URL.canParse(values[name]))
        throw new Misuse(`--${name}: expected a URL, got "${values[name]}"`)
    const { server, poll } = await pollOf(link)
    if (server === undefined && values.second === undefined)
      throw new Misuse('--second: an at-uri names no server that could be asked for the votes')
    const proofs = new Map<string, Proof>()
    const found = await checkPoll({
      poll,
      server,
      second: values.second,
      plc: values.plc ?? PLC_URL,
      signal: AbortSignal.any([]),
      ...(values.save === undefined ? {} : { onProof: (uri, proof) => proofs.set(uri, proof) }),
      ...(process.stderr.isTTY ? { onProgress: showProgress } : {}),
    })
    if (values.save !== undefined) writeFileSync(values.save, `${JSON.stringify(toArchive(found, proofs))}\n`)
    return found
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        second: { type: 'string' },
        plc: { type: 'string' },
        save: { type: 'string' },
        from: { type: 'string' },
        json: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new Misuse(error instanceof Error ? error.message : String(error))
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** The poll that a link or an at-uri means, by its author's DID. */
async function pollOf(link: string): Promise<{ server: string | undefined; poll: string }> {
  const uri = parseAtUri(link)
  if (uri && !familyOfPoll.has(uri.collection)) throw new Misuse(`URL: ${link} is not the at-uri of a poll`)
  if (uri?.repo.startsWith('did:')) return { server: undefined, poll: link }
  const server = URL.canParse(link) ? new URL(link).origin : undefined
  const named = server === undefined ? undefined : parsePollLink(link, pollHosts(server))
  if (server === undefined || named === undefined)
    throw new Misuse(
      `URL: expected https://SERVER/poll/REPO/RKEY or the at-uri of a poll by DID, got "${link}"`,
    )
  if (parseAtUri(named)!.repo.startsWith('did:')) return { server, poll: named }
  // Which poll it is, the server may say: what it says of it is checked.
  const response = await fetch(new URL(`/api/polls/${encodeURIComponent(named)}`, server))
  const found = (await response.json()) as { uri?: string; message?: string }
  if (!response.ok || found.uri === undefined)
    throw new Error(`${server}: ${found.message ?? response.status}`)
  return { server, poll: found.uri }
}

function showProgress(done: number, of: number): void {
  process.stderr.write(`\r${done} of ${of} records${done === of ? '\n' : ''}`)
}

/** What was listed is as long as the poll has votes, and can be had from the server. */
function withoutRecords({ asked, ...checked }: Checked) {
  return { ...checked, poll: asked.poll, content: checked.poll }
}
