/** The focus stays in a widget when what had it goes: a person who uses the keyboard would begin at the page's top again. */

const FOCUSABLE = 'a[href], button, input, select, textarea, [tabindex]'

const isPresent = (it: HTMLElement) => it.isConnected && !it.matches(':disabled') && !it.closest('[inert]')

/** What Tab reaches, in its order. */
export const tabbable = (root: ParentNode): HTMLElement[] =>
  [...root.querySelectorAll<HTMLElement>(FOCUSABLE)].filter((it) => it.tabIndex >= 0 && isPresent(it))

/**
 * Moves the focus to the nearest neighbour when the element that has it is removed: to one before it, else to one after
 * it. Costs nothing while the focus is elsewhere.
 *
 * @returns a dispose function
 */
export function keepFocus(root: ShadowRoot): () => void {
  let focused: HTMLElement | undefined
  /** As it was while the focused element was there. */
  let order: HTMLElement[] = []

  const forget = () => {
    focused = undefined
    order = []
    observer.disconnect()
  }
  const observer = new MutationObserver(() => {
    if (!focused) return
    if (focused.isConnected) {
      order = tabbable(root)
      return
    }
    const { activeElement } = document
    // Somebody else has taken it meanwhile.
    if (root.activeElement || (activeElement && activeElement !== document.body)) return forget()
    const at = order.indexOf(focused)
    const neighbours = [...order.slice(0, Math.max(0, at)).toReversed(), ...order.slice(at + 1)]
    const near = neighbours.find(isPresent) ?? tabbable(root)[0] ?? whole(root)
    // Into a group by the radio that Tab goes to.
    const group = near?.closest('[role=radiogroup]')
    const next = (group && tabbable(group)[0]) ?? near
    next?.focus({ preventScroll: true })
  })
  const onFocus = ({ target }: Event) => {
    focused = target as HTMLElement
    order = tabbable(root)
    observer.observe(root, { childList: true, subtree: true })
  }
  const onBlur = () => {
    // Of an element that is removed some browsers say that it loses the focus: wait until it is seen which it was.
    queueMicrotask(() => {
      if (focused?.isConnected && root.activeElement !== focused) forget()
    })
  }
  root.addEventListener('focusin', onFocus)
  root.addEventListener('focusout', onBlur)
  return () => {
    forget()
    root.removeEventListener('focusin', onFocus)
    root.removeEventListener('focusout', onBlur)
  }
}

/** Where there is nothing to act on, as while a poll is loading. */
function whole(root: ShadowRoot): HTMLElement | undefined {
  const all = root.firstElementChild as HTMLElement | null
  if (all) all.tabIndex = -1
  return all ?? undefined
}
