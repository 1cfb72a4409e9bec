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
  /** paragraphs and the texts in them; `from`: where in the text one begins */
  nodes: { node: Node; from: number }[]
}

function read(root: Node): Written {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT)
  const nodes: Written['nodes'] = []
  let text = ''
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const { nodeName, previousSibling, nextSibling } = node
    // The last break in a paragraph is only there to give it a height.
    if ((nodeName === 'P' && previousSibling) || (nodeName === 'BR' && nextSibling)) text += '\n'
    if (nodeName === 'P' || node instanceof Text) nodes.push({ node, from: text.length })
    if (node instanceof Text) text += node.data
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
    const text = textOf(editor)
    const at = text.indexOf(link)
    if (isSwapped) {
      stop.abort()
      // As text alone: a pasted link would have its card again, which somebody has just removed.
      if (at === -1) replace(editor, [text.length, text.length], /\S$/.test(text) ? ` ${link}` : link)
      return
    }
    let [from, to] = [at, at + link.length]
    // Somebody has made another one of it, or has taken it out.
    if (at === -1 || /\S/.test(text.charAt(to))) return stop.abort()
    if (/[^\S\n]/.test(text.charAt(from - 1))) from--
    else if (/[^\S\n]/.test(text.charAt(to))) to++
    isSwapped = replace(editor, [from, to], '')
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

/** Where in a text something begins and ends; of a caret both are the same. */
type Part = [from: number, to: number]

/**
 * Replaces a part of a text. The focus and the caret stay where the person is.
 *
 * @returns whether it was done: a dialog over the composer may not let the focus go
 */
function replace(editor: HTMLElement, [from, to]: Part, text: string): boolean {
  let focused = document.activeElement
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement
  const caret = focused === editor ? selected(editor) : undefined
  editor.focus({ preventScroll: true })
  select(editor, [from, to])
  const done =
    document.activeElement === editor &&
    (text === '' ? document.execCommand('delete') : document.execCommand('insertText', false, text))
  tellSelection()
  const moved = (at: number) => (at <= from ? at : Math.max(from, at - to + from) + text.length)
  if (caret) select(editor, [moved(caret[0]), moved(caret[1])])
  else if (focused instanceof HTMLElement) focused.focus({ preventScroll: true })
  return done
}

function selected(editor: HTMLElement): Part | undefined {
  const { anchorNode, anchorOffset, focusNode, focusOffset } = getSelection()!
  if (!anchorNode || !focusNode) return undefined
  const lengthTo = (node: Node, at: number) => {
    const before = document.createRange()
    before.setStart(editor, 0)
    before.setEnd(node, at)
    return read(before.cloneContents()).text.length
  }
  return [lengthTo(anchorNode, anchorOffset), lengthTo(focusNode, focusOffset)]
}

function select(editor: HTMLElement, [from, to]: Part): void {
  const { nodes } = read(editor)
  const point = (at: number) => {
    const last = nodes.findLast((it) => it.from <= at) ?? { node: editor, from: at }
    return [last.node, last.node instanceof Text ? Math.min(at - last.from, last.node.length) : 0] as const
  }
  getSelection()!.setBaseAndExtent(...point(from), ...point(to))
  tellSelection()
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
