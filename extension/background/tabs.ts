/** The open tabs, and which polls each of them shows. */
import type { Browser } from 'wxt/browser'
import type { ToContent } from '../messages.ts'

export type Port = Browser.runtime.Port

export class Tabs {
  #ports = new Map<Port, Set<string>>()

  add(port: Port): void {
    this.#ports.set(port, new Set())
  }

  remove(port: Port): void {
    this.#ports.delete(port)
  }

  shown(port: Port): Set<string> {
    return this.#ports.get(port) ?? new Set()
  }

  /** Every poll that some tab shows. */
  all(): string[] {
    return [...new Set([...this.#ports.values()].flatMap((uris) => [...uris]))]
  }

  shows(uri: string): boolean {
    return [...this.#ports.values()].some((uris) => uris.has(uri))
  }

  /** To the tabs that show a poll. */
  send(uri: string, message: ToContent): void {
    for (const [port, uris] of this.#ports) if (uris.has(uri)) port.postMessage(message)
  }

  broadcast(message: ToContent): void {
    for (const port of this.#ports.keys()) port.postMessage(message)
  }
}
