/** Puts widgets into posts: in a card's place, else below the text; one per poll and post. */
import type { PollLink } from '@pollz/shared/links'
import type { ShownPost } from '@pollz/widget/model'
import { createHost, POLL } from './host.ts'
import { isInPost, placeOf, readPost, type Place } from './selectors.ts'

/** Widgets this far outside of the window are already shown, so that none is seen loading. */
const MARGIN = '600px'

/** More polls of one post stay links: three hundred of them fit into its text, and each is as high as a post. */
const MAX_IN_POST = 4

/** About as high as a poll: what is below stays where it is when the poll is drawn. */
const HEIGHT_BEFORE = '230px'

type Widget = {
  uri: string
  /** Its link surely leads to a poll; else it stays as it is until one is found. */
  sure: boolean
  /** The post asks its question, most likely. */
  asked: boolean
  /** How many there are, as far as its link says so. */
  options: number | undefined
  place: Place
  link: HTMLAnchorElement
  /** undefined: it is not in the page yet */
  host: HTMLElement | undefined
  /** The card that is hidden for it. */
  card: HTMLElement | undefined
  /** Whose way to the window is observed: that of its host, and before there is one that of its link. */
  observed: Element | undefined
  near: boolean
  /** Disposes of what was drawn; undefined: nothing is drawn yet. */
  end: (() => void) | undefined
  /** Ends waiting for its poll to be found. */
  unfollow: (() => void) | undefined
}

export type Draw = {
  /**
   * Draws a poll into a shadow root. Returns a dispose function.
   *
   * @param options how many it probably has
   * @param post that it stands in
   */
  draw: (
    root: ShadowRoot,
    uri: string,
    known: { options: number | undefined; post: ShownPost | undefined },
  ) => () => void
  /**
   * Called when a link that may lead to a poll comes near the window.
   *
   * @param told called with whether there is such a poll, as far as is known: at once, and whenever that changes
   * @returns a dispose function
   */
  follow: (uri: string, told: (found: boolean) => void) => () => void
  /** Told whenever a drawn widget, or a followed link, comes near the window or leaves it, also by leaving the page. */
  visible: (uri: string, element: Element, visible: boolean) => void
  /** Told when the last drawn widget or followed link of a poll has left the page. */
  left: (uri: string) => void
}

export class Mounts {
  #draw: Draw
  #byPost = new WeakMap<Element, Map<string, Widget>>()
  /** By what is observed. */
  #widgets = new Map<Element, Widget>()
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
        for (const [element, near] of latest) this.#moved(element, near)
      },
      { rootMargin: MARGIN },
    )
    signal.addEventListener('abort', () => {
      this.#observer.disconnect()
      for (const widget of this.#widgets.values()) this.#remove(widget)
    })
  }

  /** @param link what the anchor leads to now; undefined: no poll (any more) */
  link(anchor: HTMLAnchorElement, link: PollLink | undefined): void {
    const before = this.#byAnchor.get(anchor)
    if (before && before.uri !== link?.uri) this.#remove(before)
    this.#unplaced.delete(anchor)
    if (!link) return
    const { uri, sure } = link
    const place = placeOf(anchor)
    if (!place) {
      // Of others nobody has asked whether they are polls.
      if (sure && isInPost(anchor)) this.#unplaced.set(anchor, uri)
      return
    }

    const widgets = this.#byPost.get(place.post) ?? new Map<string, Widget>()
    this.#byPost.set(place.post, widgets)
    const there = widgets.get(uri)
    // A card is the better place; and what React has drawn anew has lost its widget.
    const isPlaced = there && isThere(there) && (!place.card || there.place.card?.isConnected)
    if (isPlaced && (there.sure || !sure)) return
    if (!there && [...widgets.values()].filter(isThere).length >= MAX_IN_POST) return

    const widget = there ?? create(anchor, link, place)
    widgets.set(uri, widget)
    this.#byAnchor.set(anchor, widget)
    widget.sure ||= sure
    if (!isPlaced) Object.assign(widget, { place, link: anchor })
    if (widget.sure || widget.host) this.#put(widget)
    else this.#observe(widget, anchor)
  }

  /**
   * Forgets what has left the document. An observer of intersections says nothing of what leaves it while out of view, and
   * what was drawn would be kept, with its post. bsky.app keeps what it may show again in the document: the rest will not
   * come back.
   */
  sweep(): void {
    for (const widget of this.#widgets.values()) if (!isThere(widget)) this.#remove(widget)
    for (const anchor of this.#unplaced.keys()) if (!anchor.isConnected) this.#unplaced.delete(anchor)
  }

  /** How many polls on this page could not be shown, because posts are not what they were known to be. */
  get unplaced(): number {
    const shown = new Set([...this.#widgets.values()].flatMap(({ host, uri }) => (host ? [uri] : [])))
    return new Set(this.#unplaced.values()).difference(shown).size
  }

  #put(widget: Widget): void {
    const { uri, place } = widget
    widget.host ??= createHostOf(uri, place)
    put(widget.host, widget, place)
    this.#observe(widget, widget.host)
    // Nobody has to wait for what was found, and less than a poll is never seen in its place.
    if (widget.near) this.#show(widget)
  }

  /** Puts a link back, which leads to no poll after all. */
  #takeBack(widget: Widget): void {
    const { host, link } = widget
    showCard(widget)
    this.#observe(widget, link)
    widget.end?.()
    widget.end = undefined
    host?.remove()
    widget.host = undefined
  }

  #observe(widget: Widget, element: Element): void {
    const { uri, observed, near } = widget
    if (observed === element) return
    widget.observed = element
    this.#widgets.set(element, widget)
    this.#observer.observe(element)
    // In this order: a poll that nothing shows for a moment would be asked for again.
    if (near) this.#draw.visible(uri, element, true)
    if (observed) this.#forget(widget, observed)
  }

  #forget({ uri, end, unfollow }: Widget, observed: Element): void {
    this.#observer.unobserve(observed)
    this.#widgets.delete(observed)
    if (end || unfollow) this.#draw.visible(uri, observed, false)
  }

  #moved(element: Element, near: boolean): void {
    const widget = this.#widgets.get(element)
    if (!widget) return
    widget.near = near
    if (near) this.#show(widget)
    // By now it may be another element that is observed.
    if (widget.end || widget.unfollow) this.#draw.visible(widget.uri, widget.observed!, near)
  }

  #show(widget: Widget): void {
    const { uri, host, options, asked, place } = widget
    if (host) {
      if (widget.end) return
      const post = readPost(place)
      const root = host.attachShadow({ mode: 'open' })
      widget.end = this.#draw.draw(root, uri, { options, post: post && { ...post, asks: asked } })
      host.style.minHeight = ''
    } else
      widget.unfollow ??= this.#draw.follow(uri, (found) => {
        if (found && !widget.host && isThere(widget)) this.#put(widget)
        if (!found && widget.host && !widget.sure) this.#takeBack(widget)
      })
  }

  #remove(widget: Widget): void {
    const { uri, place, host, observed, end, unfollow } = widget
    unfollow?.()
    if (observed) this.#forget(widget, observed)
    if (this.#byPost.get(place.post)?.get(uri) === widget) this.#byPost.get(place.post)?.delete(uri)
    end?.()
    const isLast = !this.#widgets.values().some((it) => it.uri === uri && (it.end || it.unfollow))
    if ((end || unfollow) && isLast) this.#draw.left(uri)
    showCard(widget)
    host?.remove()
  }
}

const create = (link: HTMLAnchorElement, { uri, sure, asked }: PollLink, place: Place): Widget => ({
  uri,
  sure,
  asked,
  options: optionsIn(link.href),
  place,
  link,
  host: undefined,
  card: undefined,
  observed: undefined,
  near: false,
  end: undefined,
  unfollow: undefined,
})

const isThere = ({ host, link }: Widget) => (host ?? link).isConnected

function createHostOf(uri: string, { sample }: Place): HTMLElement {
  const host = createHost(POLL, uri)
  // People scale the text of posts; nothing else around it tells by how much.
  if (sample) host.style.setProperty('--text-size', getComputedStyle(sample).fontSize)
  host.style.minHeight = HEIGHT_BEFORE
  return host
}

function put(host: HTMLElement, widget: Widget, { card, text }: Place): void {
  showCard(widget)
  widget.card = card
  if (card) {
    card.style.setProperty('display', 'none', 'important')
    card.before(host)
  } else {
    // Polls of one text stand in the order of its links.
    let last: Element = text!.parentElement ?? text!
    for (let next: Element | null = last; next; next = pollAfter(next)) last = next
    last.after(host)
  }
}

function showCard(widget: Widget): void {
  widget.card?.style.removeProperty('display')
  widget.card = undefined
}

function pollAfter({ nextElementSibling: next }: Element): Element | null {
  return next?.hasAttribute(POLL) ? next : null
}

/** A link may say how many options its poll has: `?options=4`. It is only a hint. */
function optionsIn(href: string): number | undefined {
  const [, query] = /\?([^#]*)/.exec(href) ?? []
  const options = Number(new URLSearchParams(query).get('options'))
  return Number.isInteger(options) && options >= 2 && options <= 10 ? options : undefined
}
