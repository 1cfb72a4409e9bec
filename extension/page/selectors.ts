/**
 * Everything that is known of bsky.app's DOM. Test ids have been there since 2023; class names are generated and
 * labels translated, so none of them is used but the one label that stays English.
 */
import type { ShownPost } from '@pollz/widget/model'

const TESTED_POST = [
  // feeds, profiles, lists; in notifications without role, around a root as in search
  'div[data-testid^="feedItem-by-"]',
  // threads: replies and parents, and the opened post
  'div[data-testid^="postThreadItem-by-"]',
].join(', ')

/**
 * What may be a post on any surface, innermost first by `closest`. Without a test id: in search, under hashtags, among
 * quotes of a post and saved posts; and quoted posts, labelled "Post by …".
 */
const POST = `${TESTED_POST}, div[role="link"]`

const QUOTE = '[aria-label^="Post by "]'
/** The post that a thread was opened at: it can't be pressed, and has no link to itself. */
const OPENED_POST = 'div[data-testid^="postThreadItem-by-"]:not([role])'

/** A link to the post itself; links in texts have no tooltip. */
const PERMALINK = 'a[data-tooltip][href*="/post/"]'

/** The text of a post: `postText` everywhere but in threads and quotes. */
const POST_TEXT = '[data-testid="postText"], [data-word-wrap="1"]'

/** A link card's anchor. A link in text has neither a label nor a tab index; one that is no web address opens no tab. */
const CARD = ['[target="_blank"]', '[href^="at://"]']
  .map((kind) => `a[role="link"][tabindex="0"][aria-label]${kind}`)
  .join(', ')

/** Where people write: no widget in here, neither in the text nor in the preview of a card. */
const COMPOSER = '[data-testid="composePostView"], .ProseMirror, [contenteditable="true"]'

/**
 * What a post has besides its text: a button to like it, and a link to itself. No place is found by these alone, so they
 * tell a post whose DOM has changed from a text that was never one.
 */
const SIGNS = ['[data-testid="likeBtn"]', 'a[href*="/profile/"][href*="/post/"]']

/** What people say about themselves, above their posts. */
const PROFILE = '[data-testid^="profileHeader"]'

/** One of the composer's buttons for media; its parent is the toolbar. */
export const MEDIA_BUTTON = '[data-testid="openGifBtn"]'

/** Keeps the focus inside: what is to be used with the composer has to be in it. */
export const DIALOG = '[role="dialog"]'

/** Where the text of a post is written; a thread that is being written has several. */
export const WRITING = '.ProseMirror'

/** One post that is being written: its text and what is attached to it. */
export const WRITTEN_POST = '[data-testid="composePostView"]'

/** The card that a link in it has become; while that is loading, or has failed, there is none. */
export const cardOf = (post: Element, link: string): Element | null =>
  post.querySelector(`a[role="link"][href="${CSS.escape(link)}"]`)

/** Where a link to a poll stands. */
export type Place = {
  post: Element
  /** the link's card; undefined: the link is in the text */
  card: HTMLElement | undefined
  text: Element | null
  /** the post's own text, whose size its poll has; null: it has none */
  sample: Element | null
}

/** @returns undefined: it is not in a post, and stays a link */
export function placeOf(anchor: HTMLAnchorElement): Place | undefined {
  if (anchor.closest(COMPOSER)) return undefined
  const card = anchor.matches(CARD) ? anchor : undefined
  const text = anchor.closest(POST_TEXT)
  if (!card && !text) return undefined
  const post = anchor.parentElement?.closest(POST)
  if (!post || !isPost(post)) return undefined
  return { post, card, text, sample: text ?? post.querySelector(POST_TEXT) }
}

/**
 * A post that is in view: a screen that was left keeps the post that it was opened at, but the page's address is another's.
 *
 * @returns undefined where nothing tells which post it is, as of a quoted one
 */
export function readPost({ post, sample }: Place): Omit<ShownPost, 'asks'> | undefined {
  const permalink = post.querySelector<HTMLAnchorElement>(PERMALINK)
  const pathname = permalink?.pathname ?? (post.matches(OPENED_POST) ? location.pathname : '')
  const [, rkey] = /^\/profile\/[^/]+\/post\/([^/]+)/.exec(pathname) ?? []
  return rkey === undefined ? undefined : { rkey, text: sample?.textContent ?? '' }
}

/** Whether a link that no place was found for is in a post all the same: bsky.app has changed. */
export function isInPost(anchor: HTMLAnchorElement): boolean {
  if (anchor.closest(`${COMPOSER}, ${PROFILE}`)) return false
  for (let around = anchor.parentElement; around && around !== document.body; around = around.parentElement) {
    const found = SIGNS.map((sign) => around!.querySelectorAll(sign).length)
    // Several of a kind are those of a list of posts.
    if (found.some((count) => count > 0)) return found.includes(1)
  }
  return false
}

/** Other things can be pressed too: feeds, lists, people. */
function isPost(root: Element): boolean {
  return root.matches(`${TESTED_POST}, ${QUOTE}`) || root.querySelector(PERMALINK) !== null
}
