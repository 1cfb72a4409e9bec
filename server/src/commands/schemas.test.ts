/**
 * The commands on a database of another release. They bring none to the newest schema: a backup taken before an upgrade
 * is one that the old release understands, and so is the database itself until the new server has started.
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { createClient } from '@libsql/client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runCommand } from '../../test/command.ts'
import { contentsOf, emptyDatabase, loadRelease, newFile, type TestDatabase } from '../../test/database.ts'
import { LibsqlServer } from '../../test/libsql-server.ts'
import { pollUri } from '../../test/records.ts'
import { openDatabase, type DatabaseOptions } from '../store/database.ts'
import { SCHEMA, migrate } from '../store/migrations.ts'

const tea = pollUri('did:plc:alice', '3kaaaaaaaaaa2')
const nobody = 'http://127.0.0.1:9'

let database: TestDatabase

beforeEach(async () => (database = await emptyDatabase()))
afterEach(() => database.close())

const run = (command: string, args: string[] = [], { url, authToken }: DatabaseOptions = database) =>
  runCommand(command, args, {
    DATABASE_URL: url,
    DATABASE_AUTH_TOKEN: authToken,
    FROM_AUTH_TOKEN: authToken,
    PUBLIC_URL: nobody,
    PLC_URL: nobody,
    TAP_URL: '',
  })

const newPath = () => join(mkdtempSync(join(tmpdir(), 'pollz-backup-')), 'backup.db')
const file = (url: string): DatabaseOptions => ({ url, authToken: undefined })

/** What a release knows a database by: its tables and indices, without the comments in them. */
const withoutComments = ({ schema }: Awaited<ReturnType<typeof contentsOf>>) =>
  schema.map(({ name, sql }) => [name, String(sql).replaceAll(/--.*$/gm, '').replaceAll(/\s+/g, ' ')])

/** What the doctor says of a database that the server will take over. */
const brings = (from: number) =>
  new RegExp(`^✓ DATABASE_URL: .* schema ${from}, .* brings to ${SCHEMA} when it starts$`, 'm')

describe.each([
  { release: 'release-0.2.0-of-any-time.sql', schema: 2, polls: 15 },
  // 0.4 has the same.
  { release: 'release-0.3.0.sql', schema: 3, polls: 10 },
])('on a database of $release', ({ release, schema: from, polls }) => {
  let before: Awaited<ReturnType<typeof contentsOf>>

  beforeEach(async () => {
    await loadRelease(release, database)
    before = await contentsOf(database)
  })

  test('doctor and recount change nothing; the doctor says what the new server will', async () => {
    const { code, text } = await run('doctor')
    expect(code).toBe(1)
    expect(text).toMatch(brings(from))
    expect(await run('recount')).toMatchObject({ code: 0, text: expect.stringContaining(' 0 differences') })
    expect(await contentsOf(database)).toEqual(before)
  })

  test('hide and show add what was said, and nothing else', async () => {
    const steps = [
      await run('hide', [tea, 'spam']),
      await run('hide'),
      await run('hide', ['--show', tea]),
      await run('hide', ['bob.example']),
    ]
    expect(steps.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expect(steps[1]!.text).toMatch(new RegExp(`${tea}  spam\n2 hidden`))
    const { schema, tables } = await contentsOf(database)
    expect(schema).toEqual(before.schema)
    expect(tables['hidden']!.slice(before.tables['hidden']!.length)).toMatchObject([
      { subject: tea, hidden: 1n, reason: 'spam' },
      { subject: tea, hidden: 0n },
      { subject: 'did:plc:bob', hidden: 1n },
    ])
    expect({ ...tables, hidden: [] }).toEqual({ ...before.tables, hidden: [] })
  })

  test('a backup is one of that release, with all of it', async () => {
    const path = newPath()
    expect(await run('backup', [path])).toMatchObject({
      code: 0,
      text: expect.stringMatching(new RegExp(`"polls":${polls},.* 0 differences`)),
    })
    const backup = await contentsOf(file(`file:${path}`))
    expect(withoutComments(backup)).toEqual(withoutComments(before))
    expect(backup.tables).toEqual(before.tables)
    expect(backup.integrity).toEqual([{ integrity_check: 'ok' }])
    expect(await contentsOf(database)).toEqual(before)
    // It is counted like any other, and put back: into a file and into a libSQL server.
    expect((await run('recount', [], file(`file:${path}`))).code).toBe(0)
    const server = await LibsqlServer.start()
    const moved = newFile()
    expect(await run('move', [`file:${path}`, moved], file(`file:${path}`))).toMatchObject({ code: 0 })
    const there = await runCommand('move', [`file:${path}`, server.url], { TO_AUTH_TOKEN: server.authToken })
    expect(there).toMatchObject({ code: 0 })
    for (const copy of [await contentsOf(file(moved)), await contentsOf(server)]) {
      expect(withoutComments(copy)).toEqual(withoutComments(before))
      expect(copy.tables).toEqual(before.tables)
    }
    await server.close()
  })

  test('moved, it stays one of that release, and so does what it is moved from', async () => {
    const to = newFile()
    expect(await run('move', [database.url, to])).toMatchObject({ code: 0 })
    const moved = await contentsOf(file(to))
    expect(withoutComments(moved)).toEqual(withoutComments(before))
    expect(moved.tables).toEqual(before.tables)
    expect(await contentsOf(database)).toEqual(before)
  })
})

describe('where they do not understand it they say what to do, and change nothing', () => {
  const path = newPath()
  const commands: [string, string[]][] = [
    ['recount', []],
    ['hide', []],
    ['hide', [tea]],
    ['hide', ['--show', tea]],
    ['backup', [path]],
  ]

  async function everyCommand() {
    const before = await contentsOf(database)
    const said: { command: string; code: number; text: string }[] = []
    for (const [command, args] of [...commands, ['move', [database.url, newFile()]] as const])
      said.push({ command, ...(await run(command, [...args])) })
    const doctor = await run('doctor')
    const isAsBefore = isDeepStrictEqual(await contentsOf(database), before)
    return { said, doctor, isAsBefore }
  }

  const answers = (words: string, doctor: RegExp) => ({
    said: [...commands.map(([command]) => command), 'move'].map((command) => ({
      command,
      code: 2,
      text: `${command === 'move' ? 'FROM' : 'DATABASE_URL'}: ${words}\n`,
    })),
    doctor: { code: 1, text: expect.stringMatching(doctor) },
    isAsBefore: true,
  })

  test('one of release 0.1.0', async () => {
    await loadRelease('release-0.1.0.sql', database)
    expect(await everyCommand()).toEqual(
      answers(
        'the database has schema 1, from a release before 0.2: start the server once, which upgrades it',
        brings(1),
      ),
    )
  })

  test('an empty one', async () => {
    // A file has to be there.
    ;(await openDatabase(database)).close()
    expect(await everyCommand()).toEqual(
      answers(
        'the database is empty: start the server once',
        /^\? DATABASE_URL: is empty: the server fills it/m,
      ),
    )
  })

  test('one of a newer release', async () => {
    const { url, authToken } = database
    const client = createClient({ url, ...(authToken === undefined ? {} : { authToken }) })
    await migrate(client)
    await client.execute({ sql: 'INSERT INTO migrations VALUES (?)', args: [SCHEMA + 1] })
    client.close()
    const words = `the database has schema ${SCHEMA + 1}, this program knows ${SCHEMA}: run a newer one`
    expect(await everyCommand()).toEqual(answers(words, new RegExp(`^✗ DATABASE_URL: ${words}$`, 'm')))
  })

  test('nothing is moved into a newer one', async () => {
    await loadRelease('release-0.2.0-of-any-time.sql', database)
    const to = newFile()
    const client = createClient({ url: to })
    await migrate(client)
    client.close()
    expect(await run('move', [database.url, to])).toMatchObject({
      code: 2,
      text: expect.stringContaining('the target has a newer schema than the source'),
    })
  })
})
