/** CARs of as many bytes as we read, made to cost as much as they can: the server goes on meanwhile. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { Secp256k1Keypair } from '@atproto/crypto'
import { cidForCbor } from '@atproto/lex'
import type { BlockMap } from '@atproto/repo'
import { home } from '@pollz/shared/families'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { entry, makeProof } from '../../test/pds-standin.ts'
import { ReadFailure } from './outbound.ts'
import { createVerifier, type Verifier } from './verifier.ts'

const MAX = 128 * 1024
const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
const at = { did, collection: home.vote, rkey: 'x' }
const path = `${home.vote}/x`
const stop = new AbortController()
const forever = new AbortController().signal
let key: Secp256k1Keypair
let verify: Verifier

beforeAll(async () => {
  key = await Secp256k1Keypair.create()
  verify = createVerifier(stop.signal)
  // The threads start with the first proof.
  await verify(await honest(), forever)
})

afterAll(() => stop.abort())

async function honest() {
  const car = await makeProof({ did, key }, async (add) =>
    add({ l: null, e: [entry(path, await add({ option: 1 }))] }),
  )
  return { car, at, key: key.did() }
}

/** A record of `size` bytes: `{a: [[[…]]]}` */
async function nested(blocks: BlockMap, size: number) {
  const bytes = new Uint8Array(size).fill(0x81)
  bytes.set([0xa1, 0x61, 0x61])
  bytes[size - 1] = 0x80
  const cid = await cidForCbor(bytes)
  blocks.set(cid, bytes)
  return cid
}

type Make = Parameters<typeof makeProof>[1]

const cases: [string, 'refused' | 'read', Make][] = [
  [
    'arrays as deep as there is room',
    'refused',
    async (add, blocks) => add({ l: null, e: [entry(path, await nested(blocks, 120_000))] }),
  ],
  [
    'an array as wide as there is room',
    'read',
    async (add) =>
      add({ l: null, e: [entry(path, await add({ a: Array.from({ length: 120_000 }, () => 0) }))] }),
  ],
  [
    'an array of empty maps',
    'read',
    async (add) =>
      add({ l: null, e: [entry(path, await add({ a: Array.from({ length: 120_000 }, () => ({})) }))] }),
  ],
  [
    'as many keys as there is room',
    'read',
    async (add) => {
      const keys = Array.from({ length: 20_000 }, (_, i) => [i.toString(36), 0])
      return add({ l: null, e: [entry(path, await add(Object.fromEntries(keys)))] })
    },
  ],
  [
    'thousands of tiny blocks',
    'read',
    async (add) => {
      for (let i = 0; i < 3_000; i++) await add(i)
      return add({ l: null, e: [entry(path, await add({ a: 1 }))] })
    },
  ],
  [
    'a tree as deep as there is room',
    'read',
    async (add) => {
      let tree = await add({ l: null, e: [entry(path, await add({ a: 1 }))] })
      for (let i = 0; i < 1_200; i++) tree = await add({ l: tree, e: [] })
      return tree
    },
  ],
  [
    // Walking it all takes 2 to the power of 1000 steps.
    'nodes that share their subtrees',
    'read',
    async (add) => {
      const value = await add({ a: 1 })
      let tree = await add({ l: null, e: [entry(path, value)] })
      for (let i = 0; i < 700; i++) tree = await add({ l: tree, e: [entry(`z/${i}`, value, tree)] })
      return tree
    },
  ],
  [
    'a node of long keys that take few bytes',
    'read',
    async (add) => {
      const value = await add({ a: 1 })
      const long = `a/${'b'.repeat(1000)}`
      return add({
        l: null,
        e: [entry(long, value), ...Array.from({ length: 1_900 }, () => entry('c', value, null, long.length))],
      })
    },
  ],
]

describe('a CAR of', () => {
  test.each(cases)('%s is %s, and the server goes on meanwhile', async (name, outcome, makeTree) => {
    const car = await makeProof({ did, key }, makeTree)
    expect(car.length).toBeLessThanOrEqual(MAX)
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const state = { ended: false }
    const began = performance.now()
    const verified = verify({ car, at, key: key.did() }, forever)
      .catch((error: unknown) => error)
      .finally(() => (state.ended = true))
    // Other work, as long as it takes.
    let turns = 0
    while (!state.ended) {
      await setImmediate()
      turns++
    }
    const ms = performance.now() - began
    delay.disable()
    console.log(
      `${name}: ${car.length} bytes, ${ms.toFixed(0)} ms, ${turns} turns of the loop, at most ${(delay.max / 1e6).toFixed(1)} ms apart`,
    )
    const result = await verified
    const expected = {
      refused: { error: 'InvalidProof' },
      read: { ...at, rev: expect.any(String) as string },
    }
    expect(result).toMatchObject(expected[outcome])
    expect(turns).toBeGreaterThan(1)
    expect(await verify(await honest(), forever)).toMatchObject({ record: { option: 1 } })
  })
})

describe('a thread that never ends', () => {
  const endless = { car: new Uint8Array([0]), at, key: '' }
  const ends = { car: new Uint8Array([1]), at, key: '' }
  const create = () => createVerifier(stop.signal, new URL('../../test/endless-worker.mjs', import.meta.url))

  test('is given up, and those that wait get their turn', async () => {
    const verify = create()
    const both = [verify(endless, forever), verify(endless, forever)].map((it) =>
      it.then(
        () => 'proved',
        (error: Error) => error.message,
      ),
    )
    const ended: string[] = []
    void both[0]!.then(() => ended.push('endless'))
    await verify(ends, forever).then(() => ended.push('next'))
    expect(ended).toEqual(['endless', 'next'])
    expect(await Promise.all(both)).toEqual([
      'took longer than 2000 ms to verify',
      'took longer than 2000 ms to verify',
    ])
  })

  test('is given up when nobody waits for it any more', async () => {
    const verify = create()
    const gone = new AbortController()
    const error = (proof: Promise<unknown>) => proof.catch((it: { error: string }) => it.error)
    const left = [verify(endless, gone.signal), verify(endless, gone.signal)].map(error)
    const next = Array.from({ length: 4 }, () => verify(ends, forever).catch((it: Error) => it.message))
    // They are under way.
    await setImmediate()
    gone.abort()
    expect(await Promise.all(left)).toEqual(['UpstreamFailure', 'UpstreamFailure'])
    expect(await Promise.all(next)).toMatchObject([at, at, at, at])
  })
})

test('how long a thread takes to start is not charged to the proof that waits for it', async () => {
  const worker = new URL('../../test/slow-worker.mjs', import.meta.url)
  const verify = createVerifier(stop.signal, worker, 100)
  expect(await verify(await honest(), forever)).toMatchObject(at)
})

test('threads that cannot start refuse a proof and end nothing else', async () => {
  const broken = createVerifier(stop.signal, new URL('../../test/broken-worker.mjs', import.meta.url))
  // The second starts them anew.
  for (let i = 0; i < 2; i++) {
    const error = await broken(await honest(), forever).catch((it: Error) => it)
    expect(error).toBeInstanceOf(ReadFailure)
    expect(error).not.toMatchObject({ message: expect.stringMatching('took longer') as string })
  }
  expect(await verify(await honest(), forever)).toMatchObject({ record: { option: 1 } })
})
