/** Puts a note under links to polls that can't be counted here: one in a post, below the card if there is one. */
import { createHost, NOTE } from './host.ts'
import { placeOf, type Place } from './selectors.ts'

type Note = {
  host: HTMLElement
  /** What it is about. */
  anchor: HTMLAnchorElement
  link: string
  hasCard: boolean
  /** Disposes of what was drawn. */
  end: () => void
}

/** Draws a note about a link into a shadow root. Returns a dispose function. */
type DrawNote = (root: ShadowRoot, link: string) => () => void

export class Notes {
  #draw: DrawNote
  #byPost = new Map<Element, Note>()

  constructor(draw: DrawNote, signal: AbortSignal) {
    this.#draw = draw
    signal.addEventListener('abort', () => {
      for (const post of this.#byPost.keys()) this.#remove(post)
    })
  }

  /** @param link what the anchor links to now; undefined: no such poll (any more) */
  link(anchor: HTMLAnchorElement, link: string | undefined): void {
    for (const [post, note] of this.#byPost)
      if (note.anchor === anchor && note.link !== link) this.#remove(post)
    const place = link === undefined ? undefined : placeOf(anchor)
    if (!place) return
    const there = this.#byPost.get(place.post)
    if (there?.host.isConnected && there.anchor.isConnected && (there.hasCard || !place.card)) return
    this.#remove(place.post)
    this.#put(anchor, link!, place)
  }

  /** Removes the notes whose link has left the document. */
  sweep(): void {
    for (const [post, { host, anchor }] of this.#byPost)
      if (!host.isConnected || !anchor.isConnected) this.#remove(post)
  }

  #put(anchor: HTMLAnchorElement, link: string, { post, card, text, sample }: Place): void {
    const host = createHost(NOTE)
    // People scale the text of posts; nothing else around it tells by how much.
    if (sample) host.style.setProperty('--text-size', getComputedStyle(sample).fontSize)
    const below = card ?? text!.parentElement ?? text!
    below.after(host)
    const end = this.#draw(host.attachShadow({ mode: 'open' }), link)
    this.#byPost.set(post, { host, anchor, link, hasCard: card !== undefined, end })
  }

  #remove(post: Element): void {
    const note = this.#byPost.get(post)
    if (!note) return
    this.#byPost.delete(post)
    note.end()
    note.host.remove()
  }
}
