import { home } from '@pollz/shared/families'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { cidOf } from '../test/cid.ts'
import { PdsStandIn } from '../test/pds-standin.ts'
import { voteRecord } from '../test/vote-record.ts'
import { Repos } from './repos.ts'

let pds: PdsStandIn
let repos: Repos

beforeEach(async () => {
  pds = await PdsStandIn.start()
  onTestFinished(() => pds.stop())
  repos = new Repos({ plc: pds.url, handleResolver: pds.url, allowHttp: true })
})

test('a PDS that lists records of others, or of another collection, is not believed', async () => {
  const [alice, bob] = pds.people.map(({ did }) => did)
  const vote = voteRecord({ subject: 'at://a', option: 0, createdAt: '2026-11-25T00:00:00.000Z' })
  const record = (did: string, collection: string) => ({
    uri: `at://${did}/${collection}/3kabc`,
    cid: cidOf(vote),
    value: vote,
  })
  const listed = [record(bob!, home.vote), record(alice!, home.vote), record(alice!, home.poll)]
  pds.answers['GET com.atproto.repo.listRecords'] = () => ({ records: listed, cursor: '3kabc' })
  expect(await repos.list(alice!, home.vote, { limit: 100 })).toMatchObject({
    records: [{ uri: listed[1]!.uri }],
    cursor: '3kabc',
  })
})
