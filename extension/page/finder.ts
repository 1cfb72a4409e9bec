/** Finds poll links, in what is there and in what is added, and looks at nothing else. */
import { parsePollLink, type PollHosts } from '@pollz/shared/links'

const LINKS = 'a[href*="/poll/"]'

/**
 * @param found called with each anchor that links to a poll, in document order
 */
export function findPollLinks(
  hosts: PollHosts,
  found: (anchor: HTMLAnchorElement, uri: string) => void,
  signal: AbortSignal,
): void {
  const look = (anchor: HTMLAnchorElement) => {
    const uri = parsePollLink(anchor.href, hosts)
    if (uri !== undefined) found(anchor, uri)
  }
  const search = (root: Element) => {
    if (root.matches(LINKS)) look(root as HTMLAnchorElement)
    for (const anchor of root.querySelectorAll<HTMLAnchorElement>(LINKS)) look(anchor)
  }
  search(document.documentElement)
  const observer = new MutationObserver((records) => {
    for (const { addedNodes } of records)
      for (const node of addedNodes)
        if (node.nodeType === Node.ELEMENT_NODE && node.isConnected) search(node as Element)
  })
  observer.observe(document.documentElement, { childList: true, subtree: true })
  signal.addEventListener('abort', () => observer.disconnect())
}
