import { expect, test } from 'vitest'
import { isOwnPage } from './sender.ts'

const own = 'chrome-extension://abcdefghijklmnop/'

test.each(['popup.html', 'options.html?x#y', 'new.html'])('its own page %s may ask', (page) => {
  expect(isOwnPage({ url: own + page }, own)).toBe(true)
})

test.each([
  ['a page that it shows polls on', { url: 'https://bsky.app/' }],
  ['an address that has the extension’s in it', { url: `https://bsky.app/${own}popup.html` }],
  ['another extension', { url: 'chrome-extension://ponmlkjihgfedcba/popup.html' }],
  ['another whose name begins with ours', { url: 'chrome-extension://abcdefghijklmnopq/popup.html' }],
  ['the same name in another browser’s scheme', { url: 'moz-extension://abcdefghijklmnop/popup.html' }],
  ['a sender without an address', {}],
  ['nobody', undefined],
])('%s may not', (_, sender) => {
  expect(isOwnPage(sender, own)).toBe(false)
})
