/** Taking over a database can be killed at any moment. Of a database file: it is the server's own process that is killed. */
import { spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { contentsOf, loadRelease, newFile, releases } from '../../test/database.ts'
import { SCHEMA } from './migrations.ts'
import { recount } from './recount.ts'
import { Writer } from '../writer.ts'

const folderOf = (url: string) => dirname(url.slice('file:'.length))

/** Takes it over, killed before statement `n`. @returns that statement, or undefined where it came to its end */
function takeOver(url: string, n: number): string | undefined {
  const script = join(import.meta.dirname, '../../test/take-over.ts')
  const { signal, status, stdout, stderr } = spawnSync('node', [script, url, String(n)], { encoding: 'utf8' })
  if (signal === 'SIGKILL') return stdout
  expect({ status, stderr }).toMatchObject({ status: 0 })
  return undefined
}

/** 0 where there is nothing yet. */
async function schemaOf(url: string): Promise<number> {
  const { migrations = [] } = (await contentsOf({ url, authToken: undefined })).tables as {
    migrations?: { n: bigint }[]
  }
  return Math.max(0, ...migrations.map(({ n }) => Number(n)))
}

describe.each([...releases, 'nothing'])('from %s', (release) => {
  test(
    'killed before each of its statements, it goes on as if it had not been',
    { timeout: 120_000 },
    async () => {
      const old = newFile()
      if (release !== 'nothing') await loadRelease(release, { url: old, authToken: undefined })
      const copy = () => {
        const url = newFile()
        cpSync(folderOf(old), folderOf(url), { recursive: true })
        return url
      }
      const takenOver = copy()
      expect(takeOver(takenOver, Infinity)).toBeUndefined()
      const options = (url: string) => ({ url, authToken: undefined })
      const expected = await contentsOf(options(takenOver))
      expect(expected.integrity).toEqual([{ integrity_check: 'ok' }])
      expect(await schemaOf(takenOver)).toBe(SCHEMA)

      /** Of each kill: the schema that it left behind. */
      const schemas: number[] = []
      for (let n = 0; ; n++) {
        const url = copy()
        const statement = takeOver(url, n)
        if (statement === undefined) break
        schemas.push(await schemaOf(url))
        const store = await Writer.open({ url, authToken: undefined })
        expect(await recount(store.reader)).toEqual([])
        await store.close()
        expect(await contentsOf(options(url)), `killed before: ${statement}`).toEqual(expected)
      }
      // It was killed before and inside of each migration that it has to make.
      const from = await schemaOf(old)
      const each = Array.from({ length: SCHEMA - from }, (_, i) => from + i)
      expect([...new Set(schemas)]).toEqual(expect.arrayContaining(each))
      console.log(`from ${release}: killed ${schemas.length} times, at schemas ${[...new Set(schemas)]}`)
    },
  )
})
