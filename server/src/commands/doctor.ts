/** `npm run doctor`: looks at every part that the environment names, and says in words what to change. */
import { readConfig, ConfigError } from '../config.ts'
import { reasonOf } from '../log.ts'
import { examine } from '../doctor/examine.ts'

try {
  const config = readConfig(process.env)
  let bad = 0
  for await (const { part, state, words } of examine(config)) {
    if (state === 'bad') bad++
    console.log(`${{ good: '✓', bad: '✗', unknown: '?' }[state]} ${part}: ${words}`)
  }
  console.log(bad === 0 ? 'nothing to change' : `${bad} to change`)
  process.exit(bad === 0 ? 0 : 1)
} catch (error) {
  console.error(`✗ ${reasonOf(error)}`)
  process.exit(error instanceof ConfigError ? 1 : 2)
}
