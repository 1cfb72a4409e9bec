/** The commands beside the server, as an operator calls them. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '../..')

/** Runs a command: `hide`, `move`, … @returns its exit code and what it printed */
export function runCommand(
  command: string,
  args: string[],
  env: Record<string, string | undefined>,
): Promise<{ code: number; text: string }> {
  return promisify(execFile)('node', [`server/src/commands/${command}.ts`, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, text: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      text: error.stdout + error.stderr,
    }),
  )
}
