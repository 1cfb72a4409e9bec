/** The open pages, and which polls each of them shows. */
import type { PollMessage, ToPage } from '@pollz/shared/engine'

/** As much of a browser's port as is needed. */
export type Port = { postMessage: (message: ToPage) => void }

type Page = { uris: Set<string>; id: number | undefined }

export class Pages {
  #pages = new Map<Port, Page>()
  /** Hears what is sent to the pages that show a poll. */
  onSend: (message: PollMessage) => void = () => {}

  /** @param id of the tab; undefined: the extension's own pages, or the only page there is */
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
    for (const [port, { uris }] of this.#pages) if (uris.has(message.uri)) this.post(port, message)
    this.onSend(message)
  }

  /** To the pages of one tab: what only they have asked for. */
  sendPage(id: number | undefined, message: ToPage): void {
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
