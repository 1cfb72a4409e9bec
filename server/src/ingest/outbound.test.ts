/** What is shared among those who read: places, and what is known of accounts. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createIdentities } from './identities.ts'
import { Places, ReadFailure, type Fetch, type Outbound } from './outbound.ts'

const never = () => new Promise<never>(() => {})
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => (error instanceof ReadFailure ? error.error : error),
  )

test('a task that heeds no signal loses its place when its time is over', async () => {
  const places = new Places(() => ({ running: 1, waiting: 1 }))
  const [first, second] = [new AbortController(), new AbortController()]
  const hung = failure(places.run('a', first.signal, never))
  const next = failure(places.run('a', second.signal, never))
  // One is under way and one waits: a third is refused, but for another name all is free.
  expect(await failure(places.run('a', new AbortController().signal, never))).toBe('Busy')
  expect(await places.run('b', new AbortController().signal, async () => 'done')).toBe('done')
  second.abort()
  expect(await next).toBe('Busy')
  first.abort()
  expect(await hung).toBe('UpstreamFailure')
  await setImmediate()
  expect(await places.run('a', new AbortController().signal, async () => 'done')).toBe('done')
  expect(places.size).toBe(0)
})

test('a name that nobody uses takes no memory', async () => {
  const places = new Places(() => ({ running: 1, waiting: 1 }))
  const over = AbortSignal.abort()
  for (let i = 0; i < 1000; i++) {
    await places.run(`${i}`, new AbortController().signal, async () => i)
    await failure(places.run(`${i}`, over, async () => i))
    await failure(places.run(`${i}`, new AbortController().signal, () => Promise.reject(new Error('no'))))
  }
  expect(places.size).toBe(0)
})

function identities(fetch: Fetch, handleResolverUrl?: string) {
  const outbound: Outbound = {
    read: never,
    contact: (_host, _signal, task) => task(),
    fetchAtMost: () => fetch,
    deadline: () => new AbortController().signal,
  }
  return createIdentities({ plcUrl: 'http://plc', handleResolverUrl, outbound })
}

const didIn = (url: string | URL) => decodeURIComponent(new URL(url).pathname.slice(1))
const { signal } = new AbortController()

test('thousands of big DID documents stay under 32 MB', { timeout: 30_000 }, async () => {
  const name = `at://${'x'.repeat(60_000)}`
  const known = identities(async (url) => Response.json({ id: didIn(url), alsoKnownAs: [name] }))
  let most = 0
  for (let i = 0; i < 2_000; i++) {
    const did = `did:plc:${i}`
    expect(await known.withDocument(did, signal, async ({ id }) => id)).toBe(did)
    most = Math.max(most, known.bytes)
  }
  console.log(`2,000 documents of 60 kB: at most ${(most / 1024 / 1024).toFixed(1)} MB kept`)
  expect(most).toBeLessThanOrEqual(32 * 1024 * 1024)
  // It is a cache all the same.
  expect(known.bytes).toBeGreaterThan(31 * 1024 * 1024)
})

test('all who ask for a document at once wait for one request, and one that fails is not kept', async () => {
  let asked = 0
  let fails = true
  const known = identities(async (url) => {
    asked++
    await setImmediate()
    if (fails) throw new ReadFailure('UpstreamFailure', 'away')
    return Response.json({ id: didIn(url) })
  })
  const ask = () => failure(known.withDocument('did:plc:a', signal, async () => 'read'))
  expect(await Promise.all([ask(), ask(), ask()])).toEqual(Array(3).fill('UpstreamFailure'))
  expect(asked).toBe(1)
  fails = false
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([undefined, undefined, undefined])
  await ask()
  expect(asked).toBe(2)
})

test('a document that fails is used again only if it says something else now', async () => {
  let version = 0
  const known = identities(async (url) => Response.json({ id: didIn(url), alsoKnownAs: [`at://${version}`] }))
  const used: unknown[] = []
  const use = (error: 'InvalidProof' | 'Busy' | undefined) =>
    failure(
      known.withDocument('did:plc:a', signal, async ({ alsoKnownAs }) => {
        used.push(alsoKnownAs![0])
        if (error) throw new ReadFailure(error, 'no')
      }),
    )
  await use(undefined)
  version = 1
  expect(await use('Busy')).toBe('Busy')
  expect(used.splice(0)).toEqual(['at://0', 'at://0'])
  expect(await use('InvalidProof')).toBe('InvalidProof')
  expect(used.splice(0)).toEqual(['at://0', 'at://1'])
  expect(await use('InvalidProof')).toBe('InvalidProof')
  expect(used).toEqual(['at://1'])
})

test('a handle is asked for once, also one that is nobody’s, but not one that there was no time for', async () => {
  const answers: (Response | ReadFailure)[] = [
    new ReadFailure('Busy', 'no place'),
    Response.json({ error: 'HandleNotFound' }, { status: 400 }),
    Response.json({ did: 'did:plc:a' }),
  ]
  const known = identities(async () => {
    const answer = answers.shift()!
    if (answer instanceof ReadFailure) throw answer
    return answer
  }, 'http://resolver')
  expect(await failure(known.didOf('nobody.example'))).toBe('Busy')
  expect(await known.didOf('nobody.example')).toBeUndefined()
  expect(await known.didOf('nobody.example')).toBeUndefined()
  expect(await known.didOf('alice.example')).toBe('did:plc:a')
  expect(await known.didOf('alice.example')).toBe('did:plc:a')
  expect(answers).toEqual([])
})
