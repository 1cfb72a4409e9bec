/** Polls in the page, as the server drew them or new ones: taken over, and watched while they are in view. */
import { drawPoll } from '@pollz/widget/draw.tsx'
import type { Polls } from '@pollz/widget/polls'
import type { Texts } from '@pollz/widget/texts'
import { state } from './state.ts'

const HOST = 'data-pollz'

export function mountPolls(polls: Polls, texts: Texts) {
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries)
      polls.known(target.getAttribute(HOST)!)?.visible(target, isIntersecting)
  })
  const mount = (host: HTMLElement, options?: number) => {
    const uri = host.getAttribute(HOST)!
    const model = polls.model(uri, options)
    const poll = state.polls[uri]
    if (poll && !model.poll.value) model.receive({ type: 'poll', uri, poll, tally: 'live' })
    drawPoll(host.shadowRoot ?? host.attachShadow({ mode: 'open' }), model, texts)
    observer.observe(host)
  }
  for (const host of document.querySelectorAll<HTMLElement>(`[${HOST}]`)) mount(host)
  return {
    /** An element for a poll that was not in the page. */
    create(uri: string, options: number): HTMLElement {
      const host = document.createElement('div')
      host.setAttribute(HOST, uri)
      host.setAttribute('data-theme', 'auto')
      mount(host, options)
      return host
    },
    /** No longer in the page. */
    forget(host: Element): void {
      observer.unobserve(host)
      polls.known(host.getAttribute(HOST)!)?.visible(host, false)
    },
  }
}
