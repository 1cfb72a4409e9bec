/**
 * The text of a post that is being written. bsky.app's editor keeps it in a state of its own and follows what a person does:
 * so it is changed by selecting, pasting and deleting, and can be undone.
 */
import { cardOf, WRITING } from './selectors.ts'

const LINK = /https?:\/\/\S+/g

/** @returns what a text asks or says: its links are left out */
export function wordsOf(text: string): string {
  const lines = text.split('\n').map((line) => line.replaceAll(/\s*https?:\/\/\S+/g, '').trim())
  return lines
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()
}

type Written = {
  /** its paragraphs are lines */
  text: string
  /** `from`: where in the text a node begins */
  nodes: { node: Text; from: number }[]
}

function read(editor: Element): Written {
  const walker = document.createTreeWalker(editor, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT)
  const nodes: Written['nodes'] = []
  let text = ''
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node instanceof Text) {
      nodes.push({ node, from: text.length })
      text += node.data
    } else if (node.nodeName === 'P' && node.previousSibling) text += '\n'
    // The last one in a paragraph is only there to give it a height.
    else if (node.nodeName === 'BR' && node.nextSibling) text += '\n'
  }
  return { text, nodes }
}

export const textOf = (editor: Element): string => read(editor).text

/**
 * Puts a link at the end of a text, or in the place of all of its words: other links stay.
 *
 * @returns whether the editor took it
 */
export function putLink(editor: HTMLElement, link: string, insteadOfWords: boolean): boolean {
  const text = textOf(editor)
  editor.focus()
  const selection = getSelection()!
  selection.selectAllChildren(editor)
  if (!insteadOfWords) selection.collapseToEnd()
  tellSelection()
  // Of the links that are pasted the first one gets the card.
  if (insteadOfWords) paste(editor, [link, ...(text.match(LINK) ?? [])].join(' '))
  else paste(editor, /\S$/.test(text) ? ` ${link}` : link)
  if (textOf(editor).includes(link)) return true
  selection.collapseToEnd()
  return false
}

/**
 * Takes a link out of the text of a post once bsky.app has made its card, which stays. When the card goes, as it does for a
 * picture, the link is put back, since nobody would find the poll. What the person does to the link, undoing too, is left
 * alone.
 *
 * @param post with its editor and, later, the card
 * @returns a dispose function
 */
export function swapForCard(post: Element, link: string): () => void {
  const stop = new AbortController()
  let isSwapped = false
  let isComposing = false

  const look = () => {
    const editor = post.querySelector<HTMLElement>(WRITING)
    if (!editor || isComposing || (cardOf(post, link) !== null) === isSwapped) return
    const { text, nodes } = read(editor)
    const at = text.indexOf(link)
    if (isSwapped) {
      stop.abort()
      if (at === -1) asPerson(editor, () => insertAtEnd(editor, /\S$/.test(text) ? ` ${link}` : link))
      return
    }
    let [from, to] = [at, at + link.length]
    // Somebody has made another one of it, or has taken it out.
    if (at === -1 || /\S/.test(text.charAt(to))) return stop.abort()
    if (/[^\S\n]/.test(text.charAt(from - 1))) from--
    else if (/[^\S\n]/.test(text.charAt(to))) to++
    const start = nodes.findLast((it) => it.from <= from)!
    const end = nodes.findLast((it) => it.from < to)!
    asPerson(editor, () => {
      getSelection()!.setBaseAndExtent(start.node, from - start.from, end.node, to - end.from)
      tellSelection()
      // A dialog over the composer may have taken the focus back: it is tried again later.
      if (document.activeElement === editor) isSwapped = document.execCommand('delete')
    })
  }

  const observer = new MutationObserver(look)
  observer.observe(post, { childList: true, subtree: true, attributeFilter: ['href'] })
  stop.signal.addEventListener('abort', () => observer.disconnect())
  const compose = ({ type }: Event) => {
    isComposing = type === 'compositionstart'
    look()
  }
  for (const type of ['compositionstart', 'compositionend'])
    post.addEventListener(type, compose, { signal: stop.signal })
  look()
  return () => stop.abort()
}

/** Does something in an editor, and gives the focus and the caret back to where the person is. */
function asPerson(editor: HTMLElement, act: () => void): void {
  const selection = getSelection()!
  // It goes along with what is changed before it.
  const caret = selection.rangeCount > 0 ? selection.getRangeAt(0).cloneRange() : undefined
  let focused = document.activeElement
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement
  editor.focus({ preventScroll: true })
  act()
  if (focused !== editor) (focused as HTMLElement | null)?.focus({ preventScroll: true })
  else if (caret) {
    const { startContainer, startOffset, endContainer, endOffset } = caret
    selection.setBaseAndExtent(startContainer, startOffset, endContainer, endOffset)
  }
}

/** Without making a card of it, which has just gone. */
function insertAtEnd(editor: HTMLElement, text: string): void {
  const selection = getSelection()!
  selection.selectAllChildren(editor)
  selection.collapseToEnd()
  tellSelection()
  if (document.activeElement === editor) document.execCommand('insertText', false, text)
}

/** The browser does it later, and the editor would use the selection that it knows. */
const tellSelection = () => document.dispatchEvent(new Event('selectionchange'))

/** In Firefox, the page's own globals: what a content script makes with its own, the page may not read. */
type PageGlobals = Pick<typeof globalThis, 'ClipboardEvent' | 'DataTransfer' | 'Object'>
const page = (globalThis as { wrappedJSObject?: PageGlobals }).wrappedJSObject ?? globalThis

/** As somebody does it: bsky.app makes a link of it, and its card. */
function paste(editor: HTMLElement, data: string): void {
  const clipboardData = new page.DataTransfer()
  clipboardData.setData('text/plain', data)
  const init = new page.Object() as ClipboardEventInit
  // Chromium takes the one, Firefox the other.
  Object.assign(init, { bubbles: true, cancelable: true, clipboardData, data, dataType: 'text/plain' })
  editor.dispatchEvent(new page.ClipboardEvent('paste', init))
}
