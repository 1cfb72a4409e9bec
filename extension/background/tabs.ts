/** The open pages, and which polls each of them shows. */
import type { ToContent } from '../messages.ts'

/** As much of a runtime port as is needed. */
export type Port = { postMessage: (message: ToContent) => void }

type Page = { uris: Set<string>; tab: number | undefined }

export class Tabs {
  #pages = new Map<Port, Page>()

  /** @param tab undefined: the extension's own pages */
  add(port: Port, tab: number | undefined): void {
    this.#pages.set(port, { uris: new Set(), tab })
  }

  remove(port: Port): void {
    this.#pages.delete(port)
  }

  shown(port: Port): Set<string> {
    return this.#pages.get(port)?.uris ?? new Set()
  }

  tabOf(port: Port): number | undefined {
    return this.#pages.get(port)?.tab
  }

  /** Every poll that some page shows. */
  all(): string[] {
    return [...new Set([...this.#pages.values()].flatMap(({ uris }) => [...uris]))]
  }

  shows(uri: string): boolean {
    return [...this.#pages.values()].some(({ uris }) => uris.has(uri))
  }

  /** To the pages that show a poll. */
  send(message: ToContent & { uri: string }): void {
    for (const [port, { uris }] of this.#pages) if (uris.has(message.uri)) this.post(port, message)
  }

  /** To the pages of one tab that show a poll: what only they have asked for. */
  sendTab(tab: number | undefined, message: ToContent & { uri: string }): void {
    for (const [port, page] of this.#pages)
      if (page.tab === tab && page.uris.has(message.uri)) this.post(port, message)
  }

  /** @param make the message for one tab */
  broadcast(make: (tab: number | undefined) => ToContent): void {
    for (const [port, { tab }] of this.#pages) this.post(port, make(tab))
  }

  /** A page may be gone before its disconnection is heard of: then nobody else misses anything. */
  post(port: Port, message: ToContent): void {
    try {
      port.postMessage(message)
    } catch (error) {
      console.debug('pollz: a page is gone', error)
    }
  }
}
