/** Puts widgets into posts: in a card's place, else below the text; one per poll and post. */
import { createHost, POLL } from './host.ts'
import { isInPost, placeOf, type Place } from './selectors.ts'

/** Widgets this far outside of the window are already shown, so that none is seen loading. */
const MARGIN = '600px'

/** More polls of one post stay links: three hundred of them fit into its text, and each is as high as a post. */
const MAX_IN_POST = 4

/** About as high as a poll: what is below stays where it is when the poll is drawn. */
const HEIGHT_BEFORE = '230px'

type Widget = {
  uri: string
  /** How many there are, as far as its link says so. */
  options: number | undefined
  post: Element
  host: HTMLElement
  card: HTMLElement | undefined
  /** Disposes of what was drawn; undefined: nothing is drawn yet. */
  end: (() => void) | undefined
}

export type Draw = {
  /** Draws a poll into a shadow root. Returns a dispose function. */
  draw: (root: ShadowRoot, uri: string, options: number | undefined) => () => void
  /** Told whenever a drawn widget comes near the window or leaves it, also by leaving the page. */
  visible: (uri: string, host: Element, visible: boolean) => void
  /** Told when the last drawn widget of a poll has left the page. */
  left: (uri: string) => void
}

export class Mounts {
  #draw: Draw
  #byPost = new WeakMap<Element, Map<string, Widget>>()
  #byHost = new Map<Element, Widget>()
  #byAnchor = new WeakMap<Element, Widget>()
  /** Links in posts that no place was found for, with their polls. */
  #unplaced = new Map<HTMLAnchorElement, string>()
  #observer: IntersectionObserver

  constructor(draw: Draw, signal: AbortSignal) {
    this.#draw = draw
    this.#observer = new IntersectionObserver(
      (entries) => {
        // Of several changes of one widget only the last is still true.
        const latest = new Map(entries.map((entry) => [entry.target, entry.isIntersecting]))
        for (const [host, visible] of latest) this.#moved(host, visible)
      },
      { rootMargin: MARGIN },
    )
    signal.addEventListener('abort', () => {
      this.#observer.disconnect()
      for (const widget of this.#byHost.values()) this.#remove(widget)
    })
  }

  /** @param uri the poll that the link means now; undefined: none (any more) */
  link(anchor: HTMLAnchorElement, uri: string | undefined): void {
    const before = this.#byAnchor.get(anchor)
    if (before && before.uri !== uri) this.#remove(before)
    this.#unplaced.delete(anchor)
    if (uri === undefined) return
    const place = placeOf(anchor)
    if (!place) {
      if (isInPost(anchor)) this.#unplaced.set(anchor, uri)
      return
    }

    const widgets = this.#byPost.get(place.post) ?? new Map<string, Widget>()
    this.#byPost.set(place.post, widgets)
    const there = widgets.get(uri)
    // A card is the better place; and what React has drawn anew has lost its widget.
    if (there && there.host.isConnected && (!place.card || there.card?.isConnected)) return
    if (!there && [...widgets.values()].filter(({ host }) => host.isConnected).length >= MAX_IN_POST) return

    const widget = there ?? this.#create(uri, optionsIn(anchor.href), place)
    widgets.set(uri, widget)
    this.#byAnchor.set(anchor, widget)
    put(widget, place)
  }

  /**
   * Forgets what has left the document. An observer of intersections says nothing of what leaves it while out of view, and
   * what was drawn would be kept, with its post. bsky.app keeps what it may show again in the document: the rest will not
   * come back.
   */
  sweep(): void {
    for (const widget of this.#byHost.values()) if (!widget.host.isConnected) this.#remove(widget)
    for (const anchor of this.#unplaced.keys()) if (!anchor.isConnected) this.#unplaced.delete(anchor)
  }

  /** How many polls on this page could not be shown, because posts are not what they were known to be. */
  get unplaced(): number {
    const shown = new Set([...this.#byHost.values()].map(({ uri }) => uri))
    return new Set(this.#unplaced.values()).difference(shown).size
  }

  #create(uri: string, options: number | undefined, { post, sample }: Place): Widget {
    const host = createHost(POLL, uri)
    // People scale the text of posts; nothing else around it tells by how much.
    if (sample) host.style.setProperty('--text-size', getComputedStyle(sample).fontSize)
    host.style.minHeight = HEIGHT_BEFORE
    const widget: Widget = { uri, options, post, host, card: undefined, end: undefined }
    this.#byHost.set(host, widget)
    this.#observer.observe(host)
    return widget
  }

  #moved(host: Element, visible: boolean): void {
    const widget = this.#byHost.get(host)
    if (!widget) return
    if (visible && !widget.end) {
      widget.end = this.#draw.draw(host.attachShadow({ mode: 'open' }), widget.uri, widget.options)
      widget.host.style.minHeight = ''
    }
    if (widget.end) this.#draw.visible(widget.uri, host, visible)
  }

  #remove(widget: Widget): void {
    const { uri, post, host, card, end } = widget
    this.#observer.unobserve(host)
    this.#byHost.delete(host)
    if (this.#byPost.get(post)?.get(uri) === widget) this.#byPost.get(post)?.delete(uri)
    if (end) {
      this.#draw.visible(uri, host, false)
      end()
      if (!this.#byHost.values().some((it) => it.uri === uri && it.end)) this.#draw.left(uri)
    }
    card?.style.removeProperty('display')
    host.remove()
  }
}

function put(widget: Widget, { card, text }: Place): void {
  widget.card?.style.removeProperty('display')
  widget.card = card
  if (card) {
    card.style.setProperty('display', 'none', 'important')
    card.before(widget.host)
  } else {
    // Polls of one text stand in the order of its links.
    let last: Element = text!.parentElement ?? text!
    for (let next: Element | null = last; next; next = pollAfter(next)) last = next
    last.after(widget.host)
  }
}

function pollAfter({ nextElementSibling: next }: Element): Element | null {
  return next?.hasAttribute(POLL) ? next : null
}

/** A link may say how many options its poll has: `?options=4`. It is only a hint. */
function optionsIn(href: string): number | undefined {
  const options = Number(new URL(href).searchParams.get('options'))
  return Number.isInteger(options) && options >= 2 && options <= 10 ? options : undefined
}
