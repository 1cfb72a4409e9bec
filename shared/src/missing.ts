/** Why a poll can't be had, by the error that a server names. */

/** There is no such poll, and not only no answer. */
export const isGone = (error: string) =>
  ['PollNotFound', 'RepoNotFound', 'RepoInactive', 'Hidden'].includes(error)
