/** The page behind a poll's link: readable without JavaScript, described for link cards. */
import { home } from '@pollz/shared/families'
import { Hono } from 'hono'
import { html } from 'hono/html'
import type { Lookup } from '../live/lookup.ts'
import { notFound } from './api.ts'
import { PAGE_POLICY, page } from './page.ts'

export function createPages(lookup: Lookup, publicUrl: string): Hono {
  const pages = new Hono()
  pages.get('/poll/:repo/:rkey', async (c) => {
    const { repo, rkey } = c.req.param()
    const found = await lookup.find(`at://${repo}/${home.poll}/${rkey}`)
    c.header('Vary', 'Accept')
    const wantsJson = c.req.header('Accept')?.includes('application/json') ?? false
    if (wantsJson) return found.ok ? c.json(found.poll) : notFound(c, found)

    c.header('Content-Security-Policy', PAGE_POLICY)
    if (!found.ok) {
      const { status } = notFound(c, found)
      const title = status === 410 ? 'This poll’s account is not active' : 'No such poll'
      c.status(status as 400)
      return c.html(
        page(
          title,
          found.message,
          html`<h1>${title}</h1>
            <p>${found.message}</p>`,
        ),
      )
    }
    const { poll } = found
    const shares = poll.options.map(({ count }) => Math.round((count / (poll.total || 1)) * 100))
    const votes = poll.total === 1 ? '1 vote' : `${poll.total} votes`
    const description = `${poll.options.map((option) => option.text).join(' · ')} (${votes})`
    return c.html(
      page(
        poll.text,
        description,
        html`<h1 dir="auto">${poll.text}</h1>
          <ul>
            ${poll.options.map(
              ({ text, count }, i) =>
                html`<li dir="auto">
                  <span>${text}</span> <b>${shares[i]} %</b> <small>${count}</small>
                  <meter min="0" max="100" value="${shares[i]}"></meter>
                </li>`,
            )}
          </ul>
          <p>
            ${votes} · by ${poll.handle ? `@${poll.handle}` : poll.repo}
            ${poll.edited ? '· edited after the first vote' : ''}
          </p>`,
        `${publicUrl}/poll/${poll.repo}/${poll.rkey}`,
      ),
    )
  })
  return pages
}
