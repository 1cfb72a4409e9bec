/** Elements of ours in bsky.app's page. */

/** Events the post (opens its thread) or page (shortcuts) would act on; they must not leave our element. */
const SWALLOWED = [
  'click',
  'auxclick',
  'dblclick',
  'contextmenu',
  'mousedown',
  'mouseup',
  'pointerdown',
  'pointerup',
  'touchstart',
  'touchend',
  'keydown',
  'keyup',
  'keypress',
  'dragstart',
]

/**
 * The attributes by which they are known: of a poll, with its at-uri; of a note; in the composer, of its button and its
 * editor.
 */
export const POLL = 'data-pollz'
export const NOTE = 'data-pollz-note'
export const BUTTON = 'data-pollz-button'
export const EDITOR = 'data-pollz-editor'

/**
 * Removes what an older version's script has left, and shows the cards that were hidden for it: Firefox ends such a script
 * without a word.
 */
export function removeRemains(): void {
  for (const host of document.querySelectorAll(`[${POLL}], [${NOTE}], [${BUTTON}], [${EDITOR}]`)) {
    if (host.matches(`[${POLL}]`))
      (host.nextElementSibling as HTMLElement | null)?.style.removeProperty('display')
    host.remove()
  }
}

/** @param name of the attribute by which it is known */
export function createHost(name: string, value = ''): HTMLElement {
  const host = document.createElement('div')
  host.setAttribute(name, value)
  for (const type of SWALLOWED) host.addEventListener(type, (event) => event.stopPropagation())
  return host
}
