/** The open pages, and which polls each of them shows. */
import type { ActMessage, PollMessage, ToPage } from '@pollz/shared/engine'

/** As much of a browser's port as is needed. */
export type Port = { postMessage: (message: ToPage) => void }

/** What the pages of another engine may have to hear: `page`: only one of them. */
type News = { message: PollMessage } | { page: number; message: ActMessage }

type Page = { uris: Set<string>; id: number | undefined }

export class Pages {
  #pages = new Map<Port, Page>()
  /** Hears what is sent to the pages that show a poll. */
  onSend: (message: PollMessage) => void = () => {}
  /** The server's own pages each have an engine, which may do what was begun in another. */
  #others: BroadcastChannel | undefined

  /**
   * Whose acts and votes are in one database hear of them, whichever engine does them.
   *
   * @param name of the database
   */
  share(name: string, signal: AbortSignal): void {
    const channel = new BroadcastChannel(name)
    channel.onmessage = ({ data }: MessageEvent<News>) => {
      if ('page' in data) this.#sendPage(data.page, data.message)
      else this.#send(data.message)
    }
    this.#others = channel
    signal.addEventListener('abort', () => {
      channel.close()
      if (this.#others === channel) this.#others = undefined
    })
  }

  #tellOthers(news: News): void {
    this.#others?.postMessage(news)
  }

  /** @param id of the tab; undefined: the extension's own pages */
  add(port: Port, id: number | undefined): void {
    this.#pages.set(port, { uris: new Set(), id })
  }

  remove(port: Port): void {
    this.#pages.delete(port)
  }

  shown(port: Port): Set<string> {
    return this.#pages.get(port)?.uris ?? new Set()
  }

  pageOf(port: Port): number | undefined {
    return this.#pages.get(port)?.id
  }

  /** Every poll that some page shows. */
  all(): string[] {
    return [...new Set([...this.#pages.values()].flatMap(({ uris }) => [...uris]))]
  }

  shows(uri: string): boolean {
    return [...this.#pages.values()].some(({ uris }) => uris.has(uri))
  }

  /** To the pages that show a poll. */
  send(message: PollMessage): void {
    this.#send(message)
    if (message.type === 'own' || message.type === 'counted') this.#tellOthers({ message })
  }

  #send(message: PollMessage): void {
    for (const [port, { uris }] of this.#pages) if (uris.has(message.uri)) this.post(port, message)
    this.onSend(message)
  }

  /** To the pages of one tab: what only they have asked for. */
  sendPage(id: number | undefined, message: ActMessage): void {
    this.#sendPage(id, message)
    if (id !== undefined) this.#tellOthers({ page: id, message })
  }

  #sendPage(id: number | undefined, message: ActMessage): void {
    for (const [port, page] of this.#pages) if (page.id === id) this.post(port, message)
  }

  /** @param make the message for one tab */
  broadcast(make: (id: number | undefined) => ToPage): void {
    for (const [port, { id }] of this.#pages) this.post(port, make(id))
  }

  /** A page may be gone before its disconnection is heard of: then nobody else misses anything. */
  post(port: Port, message: ToPage): void {
    try {
      port.postMessage(message)
    } catch (error) {
      console.debug('pollz: a page is gone', error)
    }
  }
}
