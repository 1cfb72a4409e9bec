/** Finds poll links and composers, in what is there and in what is added, and looks at nothing else. */
import { parsePollLink, type PollHosts } from '@pollz/shared/links'
import { MEDIA_BUTTON } from './selectors.ts'

const LINKS = 'a[href*="/poll/"]'

/** One search for both: what is added is looked at once. */
const WANTED = `${LINKS}, ${MEDIA_BUTTON}`

export type Found = {
  /**
   * Called with each anchor that links to a poll, in document order, and again with what a known one has become; `uri` is
   * undefined where that is no poll.
   */
  link: (anchor: HTMLAnchorElement, uri: string | undefined) => void
  /** Called with a button of each composer's toolbar, and again when that is drawn anew. */
  composer: (mediaButton: HTMLElement) => void
  /** Called after elements have left the document, once for all that left together, after what came with that change. */
  removed: () => void
}

export function findInPage(hosts: PollHosts, found: Found, signal: AbortSignal): void {
  const known = new WeakMap<Element, string>()
  const look = (anchor: HTMLAnchorElement) => {
    const uri = parsePollLink(anchor.href, hosts)
    if (uri === undefined && !known.has(anchor)) return
    if (uri === undefined) known.delete(anchor)
    else known.set(anchor, uri)
    found.link(anchor, uri)
  }
  const take = (element: HTMLElement) => {
    if (element instanceof HTMLAnchorElement) look(element)
    else found.composer(element)
  }
  const search = (root: Element) => {
    if (root.matches(WANTED)) take(root as HTMLElement)
    for (const element of root.querySelectorAll<HTMLElement>(WANTED)) take(element)
  }
  search(document.documentElement)
  const observer = new MutationObserver((records) => {
    let removed = false
    for (const { type, target, addedNodes, removedNodes } of records) {
      removed ||= removedNodes.length > 0
      // React may give an element that is already there another link.
      if (type === 'attributes' && (known.has(target as Element) || (target as Element).matches(LINKS)))
        look(target as HTMLAnchorElement)
      for (const node of addedNodes)
        if (node.nodeType === Node.ELEMENT_NODE && node.isConnected) search(node as Element)
    }
    // What was moved, or drawn anew in another place, is known by now.
    if (removed) found.removed()
  })
  observer.observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ['href'] })
  signal.addEventListener('abort', () => observer.disconnect())
}
