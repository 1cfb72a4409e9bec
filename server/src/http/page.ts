/** What all pages have around their content. */
import { html } from 'hono/html'

/** Pages run no script and load nothing. */
export const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

/** @param url the page's own address, where link cards may name it */
export const page = (title: string, description: string, body: unknown, url?: string) =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <meta name="description" content="${description}" />
        <meta property="og:type" content="website" />
        <meta property="og:site_name" content="pollz" />
        <meta property="og:title" content="${title}" />
        <meta property="og:description" content="${description}" />
        ${url ? html`<meta property="og:url" content="${url}" /><link rel="canonical" href="${url}" />` : ''}
        <style>
          body {
            font:
              16px/1.5 system-ui,
              sans-serif;
            color-scheme: light dark;
            max-width: 36em;
            margin: 10vh auto;
            padding: 0 16px;
            overflow-wrap: anywhere;
          }
          ul {
            list-style: none;
            padding: 0;
          }
          meter {
            display: block;
            width: 100%;
          }
        </style>
      </head>
      <body>
        ${body}
      </body>
    </html>`
