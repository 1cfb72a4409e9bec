/**
 * What the `remote` project runs on: libSQL's own server where there is a `sqld` on the PATH, else a stand-in for it.
 * TEST_DATABASE_URL overrides that: `sqld`, `standin`, or the address of a server (with TEST_DATABASE_AUTH_TOKEN), whose
 * tables are dropped.
 */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const hasSqld = (process.env['PATH'] ?? '').split(delimiter).some((dir) => existsSync(join(dir, 'sqld')))

export const remoteDatabase: string = process.env['TEST_DATABASE_URL'] ?? (hasSqld ? 'sqld' : 'standin')

if (remoteDatabase === 'sqld' && !hasSqld) throw new Error('TEST_DATABASE_URL=sqld: no sqld on the PATH')

/** What a test starts that needs a libSQL server of its own. */
export const libsqlServer: 'sqld' | 'standin' = hasSqld && remoteDatabase !== 'standin' ? 'sqld' : 'standin'

/** A server at a given address has one set of tables: one file at a time can use it. */
export const isShared = remoteDatabase.includes(':')

export const remoteName: string =
  remoteDatabase === 'sqld'
    ? "sqld, libSQL's own server"
    : remoteDatabase === 'standin'
      ? 'a stand-in for a libSQL server (no sqld on the PATH, or TEST_DATABASE_URL=standin)'
      : `the libSQL server at ${URL.parse(remoteDatabase)?.host ?? 'TEST_DATABASE_URL'}`

/** Vitest's global setup of the `remote` project. */
export default function announce(): void {
  console.log(`remote: the server's tests run on ${remoteName}`)
}
