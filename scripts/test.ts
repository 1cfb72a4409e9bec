/**
 * `npm test`: format, lint, types, then every test. Ends with one line of totals, with what was skipped and why, and with
 * what was left in the temporary directory, which is a failure.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { remoteName } from '../server/test/remote.ts'
import { leftBehind, removeTemporaryDirectory, useTemporaryDirectory } from './temporary.ts'

type Results = {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  testResults: { name: string; status: string; assertionResults: { status: string; fullName: string }[] }[]
}

const root = join(import.meta.dirname, '..')
const inCi = process.env['CI'] === 'true'
/** Why something is skipped. */
const missing = ['POLLZ_TAP_MISSING', 'POLLZ_FIREFOX_MISSING', 'POLLZ_LANGUAGES_MISSING'].flatMap(
  (name) => process.env[name] ?? [],
)

const realTemporary = tmpdir()
const temporary = useTemporaryDirectory()

let running: ChildProcess | undefined
// Ctrl-C reaches what runs by itself; this process outlives it, to tidy up.
process.on('SIGINT', () => {})
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => running?.kill(signal))

/** @returns whether it succeeded */
function run(...command: [string, ...string[]]): Promise<boolean> {
  const [file, ...args] = command
  const child = spawn(file, args, { cwd: root, stdio: 'inherit' })
  running = child
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code === 0))
  })
}

function end(passed: number, failed: number, skipped: string[]): never {
  if (skipped.length > 0) {
    console.log(`\nskipped: ${missing.join('; ') || 'see above'}`)
    for (const name of skipped) console.log(`  - ${name}`)
  }
  removeTemporaryDirectory(temporary)
  const left = leftBehind(readdirSync(realTemporary), temporary)
  if (left.length > 0) console.error(`\n✗ left in ${realTemporary}: ${left.join(', ')}`)
  const failures = failed + (left.length > 0 ? 1 : 0)
  console.log(`\n${passed} passed, ${failures} failed, ${skipped.length} skipped`)
  process.exit(failures > 0 ? 1 : 0)
}

if (inCi && missing.length > 0) {
  console.error(`✗ in CI everything must be there: ${missing.join('; ')}`)
  end(0, 1, [])
}

const steps = ['check:format', 'check:lint', 'types', 'check:types']
for (const step of steps) {
  console.log(`▸ ${step}`)
  const where = step === 'types' ? ['-w', 'extension'] : []
  if (!(await run('npm', 'run', '--silent', step, ...where))) {
    console.error(`✗ ${step} failed`)
    end(0, 1, [])
  }
}

const file = join(temporary, 'results.json')
console.log('▸ tests')
const ok = await run(
  'vitest',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${file}`,
  ...process.argv.slice(2),
)
console.log(`\nthe project 'remote' ran on ${remoteName}`)
const results = readResults()
if (!results) end(0, 1, [])
const skipped = results.testResults.flatMap(({ assertionResults }) =>
  assertionResults
    .filter(({ status }) => status === 'skipped' || status === 'pending')
    .map(({ fullName }) => fullName),
)
// A file that fails before its first test has no failed test of its own.
const failed = results.numFailedTests || (ok ? 0 : 1)
end(results.numPassedTests, failed, skipped)

/** @returns nothing where Vitest was interrupted */
function readResults(): Results | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Results
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
