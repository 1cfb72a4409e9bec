/** Where the pages lead. */

export const CHROME_STORE = 'https://chromewebstore.google.com/search/pollz%20bluesky'
/** By the add-on's own id, as its manifest has it. */
export const FIREFOX_STORE = 'https://addons.mozilla.org/firefox/addon/pollz@waow.tech/'
