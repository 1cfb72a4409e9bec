/** Polls of sites that don't keep their votes on atproto: they can't be counted here, and that is said. */

/** What a link to one of poll.blue begins with. */
const POLL_BLUE = 'https://poll.blue/p/'

/** @param href absolute URL @returns the link again, if it is one to a poll that can't be counted here */
export const uncountedPoll = (href: string): string | undefined =>
  href.startsWith(POLL_BLUE) && /^[^/?#]/.test(href.slice(POLL_BLUE.length)) ? href : undefined
