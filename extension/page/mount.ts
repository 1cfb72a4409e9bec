/** Puts widgets into posts: in a card's place, else below the text; one per poll and post. */
import { CARD, COMPOSER, POST, POST_TEXT } from './selectors.ts'

/** A post handles these itself, by opening the thread or by a shortcut; inside a widget they are the widget's. */
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

/** Widgets this far outside of the window are already shown, so that none is seen loading. */
const MARGIN = '300px'

const HOST = 'data-pollz'

type Widget = { host: HTMLElement; card: HTMLElement | undefined; end: () => void }

/** Draws a poll into a shadow root. Returns what ends it. */
export type Draw = (root: ShadowRoot, uri: string) => () => void

export class Mounts {
  #draw: Draw
  #visible: (uri: string, host: Element, visible: boolean) => void
  #byPost = new WeakMap<Element, Map<string, Widget>>()
  #byHost = new Map<Element, { uri: string; post: Element; widget: Widget }>()
  #observer: IntersectionObserver

  /** @param visible told whenever a widget comes near the window or leaves it, also by leaving the page */
  constructor(
    draw: Draw,
    visible: (uri: string, host: Element, visible: boolean) => void,
    signal: AbortSignal,
  ) {
    this.#draw = draw
    this.#visible = visible
    this.#observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) this.#moved(target, isIntersecting)
      },
      { rootMargin: MARGIN },
    )
    signal.addEventListener('abort', () => {
      this.#observer.disconnect()
      for (const host of this.#byHost.keys()) this.#remove(host)
    })
  }

  /** @param anchor a link to the poll `uri` */
  add(anchor: HTMLAnchorElement, uri: string): void {
    if (anchor.closest(COMPOSER)) return
    const card = anchor.matches(CARD) ? anchor : undefined
    const post = (anchor.parentElement ?? anchor).closest(POST)
    const text = anchor.closest(POST_TEXT)
    if (!post || !(card || text)) return

    const widgets = this.#byPost.get(post) ?? new Map<string, Widget>()
    this.#byPost.set(post, widgets)
    const there = widgets.get(uri)
    // A card is the better place; and what React has drawn anew has lost its widget.
    if (there && there.host.isConnected && (!card || there.card?.isConnected)) return

    const widget = there ?? this.#create(uri, post, text ?? post)
    widgets.set(uri, widget)
    place(widget, card, text)
  }

  #create(uri: string, post: Element, sample: Element): Widget {
    const host = document.createElement('div')
    host.setAttribute(HOST, uri)
    host.style.setProperty('--text-size', getComputedStyle(sample).fontSize)
    for (const type of SWALLOWED) host.addEventListener(type, (event) => event.stopPropagation())
    const widget: Widget = {
      host,
      card: undefined,
      end: this.#draw(host.attachShadow({ mode: 'open' }), uri),
    }
    this.#byHost.set(host, { uri, post, widget })
    this.#observer.observe(host)
    return widget
  }

  #moved(host: Element, visible: boolean): void {
    const mounted = this.#byHost.get(host)
    if (!mounted) return
    this.#visible(mounted.uri, host, visible)
    // bsky.app keeps what it may show again in the document: what is out of it will not come back.
    if (!host.isConnected) this.#remove(host)
  }

  #remove(host: Element): void {
    const mounted = this.#byHost.get(host)
    if (!mounted) return
    const { uri, post, widget } = mounted
    this.#observer.unobserve(host)
    this.#byHost.delete(host)
    this.#byPost.get(post)?.delete(uri)
    widget.end()
    widget.card?.style.removeProperty('display')
    host.remove()
  }
}

function place(widget: Widget, card: HTMLElement | undefined, text: Element | null): void {
  widget.card?.style.removeProperty('display')
  widget.card = card
  if (card) {
    card.style.setProperty('display', 'none', 'important')
    card.before(widget.host)
  } else {
    const wrapper = text!.parentElement
    ;(wrapper ?? text!).after(widget.host)
  }
}
