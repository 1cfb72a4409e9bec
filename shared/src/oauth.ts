/** What a person lets pollz do, and nothing else: read facts of the account, write polls and votes. */
import { families } from './families.ts'

/** `repo:tech.waow.*` would be dropped in silence: each collection is named. */
export const OAUTH_SCOPE = [
  'atproto',
  ...families.map((family) => `repo:${family.vote}`),
  ...families.slice(0, 1).map((family) => `repo:${family.poll}`),
].join(' ')
