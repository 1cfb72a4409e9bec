/** Pictures of polls, kept while they are true, or nearly. */
import { createHash } from 'node:crypto'
import type { PollView } from '@pollz/shared/wire'
import { LRUCache } from 'lru-cache'
import type { Budget } from '../ingest/budget.ts'

/** Bytes of all pictures that are kept: some forty kilobytes each. */
const MAX_KEPT = 32 * 1024 * 1024
/** A poll's picture is drawn at most this often, in ms, however fast its votes come. */
const REDRAW = 5_000
/** Drawings under way or waiting; each takes a core for some tens of ms. */
const MAX_DRAWINGS = 100

export const THEMES = ['light', 'dark'] as const

/** `language`: BCP 47. `facts`: what stands below the options, in that language; undefined: in English */
export type Style = { theme: (typeof THEMES)[number]; language: string; facts?: string }

/** What link cards show. */
const plain: Style = { theme: 'light', language: 'en' }

/** @returns PNG */
export type Draw = (drawn: { poll: PollView; style: Style }) => Promise<Uint8Array<ArrayBuffer>>

/** `tag`: another one for another picture */
export type Card = { tag: string; png: Uint8Array<ArrayBuffer> }

/** A question that is the text of a post comes and changes while the version stays. */
const tagOf = ({ version, text }: PollView, { theme, language }: Style) =>
  createHash('sha256').update(`${version} ${theme} ${language} ${text}`).digest('base64url').slice(0, 22)

export class Cards {
  #kept = new LRUCache<string, Card & { at: number }>({
    maxSize: MAX_KEPT,
    sizeCalculation: ({ png }) => png.byteLength,
  })
  #drawings = new Map<string, Promise<Card>>()
  #draw: Draw

  constructor(draw: Draw) {
    this.#draw = draw
  }

  /**
   * @param budget for a drawing
   * @returns undefined: too many are waiting to be drawn, or this one may not have more
   */
  async of(poll: PollView, budget: Budget, style = plain): Promise<Card | undefined> {
    const key = `${poll.uri} ${style.theme} ${style.language}`
    const kept = this.#kept.get(key)
    if (kept && (kept.tag === tagOf(poll, style) || Date.now() - kept.at < REDRAW)) return kept
    const drawing = this.#drawings.get(key)
    if (drawing) return drawing
    if (this.#drawings.size >= MAX_DRAWINGS || !(await budget.take(1))) return undefined
    // Others may have asked for it, or for many, meanwhile.
    return (
      this.#drawings.get(key) ??
      (this.#drawings.size < MAX_DRAWINGS ? this.#start(key, poll, style) : undefined)
    )
  }

  #start(key: string, poll: PollView, style: Style): Promise<Card> {
    const drawing = this.#drawOnce(key, poll, style).finally(() => this.#drawings.delete(key))
    this.#drawings.set(key, drawing)
    return drawing
  }

  async #drawOnce(key: string, poll: PollView, style: Style): Promise<Card> {
    const card = { tag: tagOf(poll, style), at: Date.now(), png: await this.#draw({ poll, style }) }
    this.#kept.set(key, card)
    return card
  }
}
