/** `npm run doctor` against a real tap, as its operator has set it, well or badly. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tapEnvironment } from '@pollz/tap/settings'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, startTestNetwork, type Account, type Network } from './network.ts'
import { answers, start, until } from './processes.ts'

const tap = process.env['POLLZ_TAP']
const root = join(import.meta.dirname, '..')

describe.skipIf(!tap)('the doctor', () => {
  const stop = new AbortController()
  let network: Network
  let alice: Account
  let bob: Account

  beforeAll(async () => {
    const started = await startTestNetwork(stop.signal, 'alice', 'bob')
    network = started.network
    ;[alice, bob] = started.accounts
    const poll = await bob.makePoll('Tea or coffee?', ['Tea', 'Coffee'])
    await alice.post('Something else than a vote', undefined, 'text')
    await alice.vote(poll, 1)
    await until('the vote', async () => {
      const response = await fetch(`${network.serverUrl}/api/polls/${encodeURIComponent(poll)}`)
      return ((await response.json()) as { total?: number }).total === 1
    })
  })

  afterAll(async () => {
    stop.abort()
    await network?.done
  })

  /** @returns its exit code and its lines */
  async function doctor(env: Record<string, string> = {}) {
    const { plcUrl, pdsUrl, serverUrl, tapUrl, folder } = network
    const running = promisify(execFile)('node', ['server/src/commands/doctor.ts'], {
      cwd: root,
      env: {
        ...process.env,
        PUBLIC_URL: serverUrl,
        DATABASE_URL: `file:${join(folder, 'pollz.db')}`,
        TAP_URL: tapUrl,
        PLC_URL: plcUrl,
        HANDLE_RESOLVER_URL: pdsUrl,
        ...env,
      },
    })
    const { code, stdout, stderr } = await running.then(
      (it) => ({ ...it, code: 0 }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    )
    return { code, lines: (stdout + stderr).trim().split('\n') }
  }

  /** Another tap on the same network. @returns its address */
  async function startTap(name: string, settings: Record<string, string>): Promise<string> {
    const port = await freePort(0)
    const { plcUrl, pdsUrl, folder } = network
    const bind = `127.0.0.1:${port}`
    const databaseUrl = `sqlite://${join(folder, `${name}.db`)}`
    start(
      [...(JSON.parse(tap!) as string[]), 'run'],
      { ...tapEnvironment({ relayUrl: pdsUrl, plcUrl, bind, databaseUrl }), ...settings },
      join(folder, `${name}.log`),
      stop.signal,
    )
    const password = settings['TAP_ADMIN_PASSWORD']
    if (password === undefined) await until(name, () => answers(`http://${bind}/health`))
    else await until(name, async () => (await fetch(`http://${bind}/health`)).status === 401)
    return `http://${bind}`
  }

  test('while the server runs: all is well, and what can’t be seen then is said', async () => {
    const { code, lines } = await doctor()
    expect(lines).toEqual([
      expect.stringMatching(/^✓ environment/),
      expect.stringMatching(/^✓ DATABASE_URL: can be written; 1 polls, 1 votes$/),
      expect.stringMatching(/^✓ PUBLIC_URL: .* its OAuth client is its own$/),
      '✓ the server: is ready',
      expect.stringMatching(/^✓ the clock/),
      expect.stringMatching(/^\? JETSTREAM_URL: names none: who votes with other apps is counted late/),
      expect.stringMatching(/^\? RELAY_URL: names none/),
      expect.stringMatching(/^✓ TAP_URL .*: answers$/),
      expect.stringMatching(/^\? TAP_URL .*: acks and filters are seen only while the server is stopped/),
      'nothing to change',
    ])
    expect(code).toBe(0)
  })

  test('what is wrong is said in words: addresses, database, variables', async () => {
    const { code, lines } = await doctor({
      PUBLIC_URL: 'http://127.0.0.1:9',
      DATABASE_URL: 'file:/proc/none/x.db',
      JETSTREAM_URL: 'ws://127.0.0.1:9',
      // A PDS does not say it.
      RELAY_URL: network.pdsUrl,
      TAP_URL: 'http://127.0.0.1:9',
    })
    expect(code).toBe(1)
    expect(lines.filter((line) => line.startsWith('✗'))).toEqual([
      expect.stringMatching(/DATABASE_URL: .*may this user write it/),
      expect.stringMatching(/PUBLIC_URL: .*can't be reached .*Does the server run/),
      expect.stringMatching(/JETSTREAM_URL: none can be listened to .*is the address right/),
      expect.stringMatching(/RELAY_URL: does not say who has voted .*not every relay can/),
      expect.stringMatching(/TAP_URL .*can't be reached .*does it run/),
    ])
    expect(lines.join('\n')).not.toMatch(/\n\s+at /)
    expect(await doctor({ PORT: 'x' })).toMatchObject({
      code: 1,
      lines: [expect.stringContaining('✗ PORT:')],
    })
    // The PDS is something else than this server.
    const other = await doctor({ PUBLIC_URL: network.pdsUrl.replace('localhost', '127.0.0.1') })
    expect(other.lines.join('\n')).toMatch(/✗ PUBLIC_URL: .*says something else for client_id/)
  })

  test('with the server stopped: acks and filters, as they are', async () => {
    await network.killServer()
    const [good, noAcks, late, noFilter, tooFew, locked] = await Promise.all([
      doctor(),
      startTap('no-acks', { TAP_DISABLE_ACKS: 'true' }).then((TAP_URL) => doctor({ TAP_URL })),
      startTap('late', { TAP_RETRY_TIMEOUT: '60s' }).then((TAP_URL) => doctor({ TAP_URL })),
      startTap('no-filter', { TAP_COLLECTION_FILTERS: '' }).then((TAP_URL) => doctor({ TAP_URL })),
      startTap('too-few', { TAP_COLLECTION_FILTERS: 'tech.waow.poll' }).then((TAP_URL) =>
        doctor({ TAP_URL }),
      ),
      startTap('locked', { TAP_ADMIN_PASSWORD: 'secret' }).then((TAP_URL) =>
        doctor({ TAP_URL, TAP_ADMIN_PASSWORD: 'wrong' }),
      ),
    ])
    const ofTap = ({ lines }: { lines: string[] }) =>
      lines.filter((line) => line.includes('TAP_URL')).map((line) => line.replace(/TAP_URL \S+: /, ''))
    expect(ofTap(good)).toEqual([
      '✓ answers',
      '✓ waits for acks',
      expect.stringMatching(/^✓ sends tech\.waow\.(poll|vote), tech\.waow\.(poll|vote)$/),
    ])
    expect(ofTap(noAcks)).toContainEqual(expect.stringMatching(/^✗ does not wait for acks.*TAP_DISABLE_ACKS/))
    expect(ofTap(late)).toContainEqual(expect.stringMatching(/^✗ waits for acks, but .*TAP_RETRY_TIMEOUT=3s/))
    expect(ofTap(noFilter)).toContainEqual(
      expect.stringMatching(
        /^✗ sends .*app\.bsky\.feed\.post.* too: set TAP_COLLECTION_FILTERS=tech\.waow\.poll,/,
      ),
    )
    expect(ofTap(tooFew)).toContainEqual(expect.stringMatching(/^✗ does not send tech\.waow\.vote: set/))
    expect(ofTap(locked)).toEqual([expect.stringMatching(/^✗ wants another password/)])
    expect(locked.lines.join('\n')).not.toContain('wrong')

    // Nothing of this has cost a vote.
    await network.startServer()
    await bob.vote((await firstPoll()).uri, 0)
    await until('both votes', async () => (await firstPoll()).voteCount === 2)
  }, 120_000)

  const firstPoll = async () => {
    const list = (await (await fetch(`${network.serverUrl}/api/polls`)).json()) as {
      uri: string
      voteCount: number
    }[]
    return list[0]!
  }
})
