/**
 * Everything that is known of bsky.app's DOM. Test ids have been there since 2023; class names are generated and
 * labels translated, so none of them is used but the one label that stays English.
 */

/** A post on any surface, innermost first by `closest`: feeds, threads, search, and quotes inside other posts. */
export const POST = [
  // feeds, profiles, lists; in notifications without role, around a root as in search
  'div[data-testid^="feedItem-by-"]',
  // threads: replies and parents, and the opened post
  'div[data-testid^="postThreadItem-by-"]',
  // search, hashtags, quotes of a post, saved posts: no test id; and quoted posts, labelled "Post by …"
  'div[role="link"]',
].join(', ')

/** The text of a post: `postText` everywhere but in threads and quotes. */
export const POST_TEXT = '[data-testid="postText"], [data-word-wrap="1"]'

/** A link card's anchor. A link in text has neither a label nor a tab index. */
export const CARD = 'a[role="link"][target="_blank"][tabindex="0"][aria-label]'

/** Where people write: no widget in here, neither in the text nor in the preview of a card. */
export const COMPOSER = '[data-testid="composePostView"], .ProseMirror, [contenteditable="true"]'
