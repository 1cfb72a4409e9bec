/** What commands beside the server have in common: the same environment, the same database, an end with a code. */
import { existsSync } from 'node:fs'
import type { Client } from '@libsql/client'
import { readConfig, type Config } from '../config.ts'
import { about, reasonOf } from '../log.ts'
import { filePath, openDatabase } from '../store/database.ts'
import { checkSchema } from '../store/migrations.ts'

/**
 * Runs a command on the server's database, while the server runs or not. It changes no schema: only the server does,
 * so that a backup before an upgrade is one that the old release understands.
 *
 * @param command returns the exit code
 */
export async function runCommand(
  command: (client: Client, config: Config, args: string[]) => Promise<number>,
): Promise<never> {
  try {
    const config = readConfig(process.env)
    const path = filePath(config.databaseUrl)
    // Opening it would make one, and another server might be started on it.
    if (path && !existsSync(path)) throw new Error(`DATABASE_URL: there is no database at ${path}`)
    const options = { url: config.databaseUrl, authToken: config.databaseAuthToken }
    const client = await about('DATABASE_URL', openDatabase(options))
    await about('DATABASE_URL', checkSchema(client))
    const code = await command(client, config, process.argv.slice(2))
    client.close()
    process.exit(code)
  } catch (error) {
    console.error(reasonOf(error))
    process.exit(2)
  }
}
