/** Finds poll links and composers, in what is there and in what is added, and looks at nothing else. */
import { readPollLink, type PollHosts, type PollLink } from '@pollz/shared/links'
import { MEDIA_BUTTON } from './selectors.ts'
import { uncountedPoll } from './uncounted.ts'

/** Most links of the page are to its own paths. Asking more of a link here costs more than reading it. */
const LINKS = 'a[href*="://"]'

/** One search for all: what is added is looked at once. */
const WANTED = `${LINKS}, ${MEDIA_BUTTON}`

export type Found = {
  /**
   * Called with each anchor that links to a poll, or may do so, in document order, and again with what a known one has
   * become; `link` is undefined where that is no poll.
   */
  link: (anchor: HTMLAnchorElement, link: PollLink | undefined) => void
  /** The same of links to polls that can't be counted here. */
  uncounted: (anchor: HTMLAnchorElement, link: string | undefined) => void
  /** Called with a button of each composer's toolbar, and again when that is drawn anew. */
  composer: (mediaButton: HTMLElement) => void
  /** Called after elements have left the document, once for all that left together, after what came with that change. */
  removed: () => void
}

export function findInPage(hosts: PollHosts, found: Found, signal: AbortSignal): void {
  const polls = new WeakSet<Element>()
  const uncounted = new WeakSet<Element>()
  /** @param known the anchors that have been told of @param meant what this one means now */
  const tell = <Meant>(
    known: WeakSet<Element>,
    anchor: HTMLAnchorElement,
    meant: Meant | undefined,
    told: (anchor: HTMLAnchorElement, meant: Meant | undefined) => void,
  ) => {
    if (meant === undefined && !known.delete(anchor)) return
    if (meant !== undefined) known.add(anchor)
    told(anchor, meant)
  }
  const look = (anchor: HTMLAnchorElement) => {
    // The property would be a URL that is made for every link.
    const href = anchor.getAttribute('href') ?? ''
    tell(polls, anchor, readPollLink(href, hosts), found.link)
    tell(uncounted, anchor, uncountedPoll(href), found.uncounted)
  }
  const isKnown = (element: Element) => polls.has(element) || uncounted.has(element)
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
      if (type === 'attributes' && (isKnown(target as Element) || (target as Element).matches(LINKS)))
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
