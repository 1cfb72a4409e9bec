/** `npm test`: format, lint, types, then every test. Ends with one line of totals, and with what was skipped and why. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { remoteName } from '../server/test/remote.ts'

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

function run(...command: [string, ...string[]]): boolean {
  const [file, ...args] = command
  return spawnSync(file, args, { cwd: root, stdio: 'inherit' }).status === 0
}

function end(passed: number, failed: number, skipped: string[]): never {
  if (skipped.length > 0) {
    console.log(`\nskipped: ${missing.join('; ') || 'see above'}`)
    for (const name of skipped) console.log(`  - ${name}`)
  }
  console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`)
  process.exit(failed > 0 ? 1 : 0)
}

if (inCi && missing.length > 0) {
  console.error(`✗ in CI everything must be there: ${missing.join('; ')}`)
  end(0, 1, [])
}

const steps = ['check:format', 'check:lint', 'types', 'check:types']
for (const step of steps) {
  console.log(`▸ ${step}`)
  const where = step === 'types' ? ['-w', 'extension'] : []
  if (!run('npm', 'run', '--silent', step, ...where)) {
    console.error(`✗ ${step} failed`)
    end(0, 1, [])
  }
}

const file = join(tmpdir(), `pollz-tests-${process.pid}.json`)
console.log('▸ tests')
const ok = run(
  'vitest',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${file}`,
  ...process.argv.slice(2),
)
console.log(`\nthe project 'remote' ran on ${remoteName}`)
const results = JSON.parse(readFileSync(file, 'utf8')) as Results
const skipped = results.testResults.flatMap(({ assertionResults }) =>
  assertionResults
    .filter(({ status }) => status === 'skipped' || status === 'pending')
    .map(({ fullName }) => fullName),
)
// A file that fails before its first test has no failed test of its own.
const failed = results.numFailedTests || (ok ? 0 : 1)
end(results.numPassedTests, failed, skipped)
