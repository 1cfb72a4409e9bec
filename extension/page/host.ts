/** Elements of ours in bsky.app's page. */

/** What is around handles these itself, a post by opening the thread, and the page by shortcuts: inside of ours they are ours. */
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

/** @param name of the attribute by which it is known */
export function createHost(name: string, value = ''): HTMLElement {
  const host = document.createElement('div')
  host.setAttribute(name, value)
  for (const type of SWALLOWED) host.addEventListener(type, (event) => event.stopPropagation())
  return host
}
