/** What a person lets pollz do, and nothing else: read facts of the account, write polls and votes. */
import { familyOfVote, home } from './families.ts'

/** @param collection NSID: `repo:tech.waow.*` would be dropped in silence */
const writing = (collection: string) => `repo:${collection}`

/** Scopes, separated by spaces. */
export const OAUTH_SCOPE = ['atproto', ...[...familyOfVote.keys(), home.poll].map(writing)].join(' ')

/** @param scope that was granted @param collection NSID */
export const mayWrite = (scope: string, collection: string) => scope.split(' ').includes(writing(collection))
