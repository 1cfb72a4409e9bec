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

/** @param name of the attribute by which it is known */
export function createHost(name: string, value = ''): HTMLElement {
  const host = document.createElement('div')
  host.setAttribute(name, value)
  for (const type of SWALLOWED) host.addEventListener(type, (event) => event.stopPropagation())
  return host
}
