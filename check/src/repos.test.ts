import { afterEach, expect, test, vi } from 'vitest'
import { createRepos } from './repos.ts'

const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
const uri = `at://${did}/tech.waow.vote/3kaaaaaaaaaa2`
const { signal } = new AbortController()

const documentOf = (serviceEndpoint: string) => ({
  '@context': ['https://www.w3.org/ns/did/v1'],
  id: did,
  verificationMethod: [
    {
      id: `${did}#atproto`,
      type: 'Multikey',
      controller: did,
      publicKeyMultibase: 'zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169',
    },
  ],
  service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint }],
})

/** @param pds where the document says that it is @param answer of the PDS */
function network(pds: string, answer: () => Response): string[] {
  const asked: string[] = []
  vi.stubGlobal('fetch', async (input: URL | string) => {
    const url = new URL(input)
    asked.push(url.origin)
    return url.host === 'plc.example' ? Response.json(documentOf(pds)) : answer()
  })
  return asked
}

afterEach(() => vi.unstubAllGlobals())

test.each(['http://192.168.1.1', 'http://pds.example'])('%s is asked for nothing', async (pds) => {
  const asked = network(pds, () => new Response('never'))
  const repos = createRepos({ plc: 'https://plc.example', signal })
  expect(await repos.read(uri)).toEqual({ ok: false, why: 'unreachable' })
  expect(asked).toEqual(['https://plc.example'])
})

test('of a proof that has no end only so much is read', async () => {
  let sent = 0
  const endless = () =>
    new ReadableStream({
      pull: (controller) => {
        sent += 65_536
        controller.enqueue(new Uint8Array(65_536))
      },
    })
  network('https://pds.example', () => new Response(endless()))
  const repos = createRepos({ plc: 'https://plc.example', signal })
  expect(await repos.read(uri)).toEqual({ ok: false, why: 'noProof' })
  expect(sent).toBeLessThan(1_000_000)
})

test('a host that has failed six times is asked no more', async () => {
  const asked = network('https://pds.example', () => new Response('no', { status: 500 }))
  const repos = createRepos({ plc: 'https://plc.example', signal })
  for (let i = 0; i < 10; i++)
    expect(await repos.read(`${uri}${i}`)).toEqual({ ok: false, why: 'unreachable' })
  expect(asked.filter((it) => it === 'https://pds.example')).toHaveLength(6)
})

test('an account that is not active is named as that', async () => {
  network('https://pds.example', () => Response.json({ error: 'RepoDeactivated' }, { status: 400 }))
  expect(await createRepos({ plc: 'https://plc.example', signal }).read(uri)).toEqual({
    ok: false,
    why: 'inactive',
  })
})
