/** Serves the stand-in as https://bsky.app/, or as a site like it, in a browser context, with posts read from the local PDS. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RichText } from '@atproto/api'
import { SITE } from '@pollz/shared/network'
import type { BrowserContext } from 'playwright-core'
import type { Account } from '../network.ts'

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8')

/**
 * @param accounts whose posts the feed has, and who can be logged in
 * @param site origin
 */
export async function standInForBsky(
  context: BrowserContext,
  accounts: Account[],
  site: string = SITE,
): Promise<void> {
  await context.route(`${site}/**`, async (route) =>
    route.fulfill(await standInPage(accounts, new URL(route.request().url()))),
  )
}

/** What bsky.app answers. */
export async function standInPage(accounts: Account[], { pathname, searchParams }: URL) {
  const contentType = 'text/html; charset=utf-8'
  if (pathname === '/favicon.ico') return { status: 404, contentType, body: '' }
  if (pathname === '/v1/extract') {
    // What a link's card says, which bsky.app asks a service of its own for.
    const body = JSON.stringify({ title: searchParams.get('url'), description: '' })
    return { status: 200, contentType: 'application/json', body }
  }
  if (pathname === '/v1/post') {
    const author = accounts.find(({ did }) => did === searchParams.get('did'))!
    const body = JSON.stringify(await write(author, searchParams.get('text')!, searchParams.get('link')!))
    return { status: 200, contentType: 'application/json', body }
  }
  const data = {
    accounts: accounts.map(({ did, handle }) => ({ did, handle })),
    posts: await posts(accounts),
  }
  return {
    status: 200,
    contentType,
    body: `<!doctype html><html lang="en"><head><title>Stand-in for bsky.app</title><style>${read('bsky-standin.css')}</style></head>
<body><div id="standin-bar"></div><div id="root"></div>
<script id="data" type="application/json">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>
<script>${read('bsky-standin.js')}</script></body></html>`,
  }
}

/** Posts, with a link's card where there is one. */
async function write({ agent, did, handle }: Account, text: string, link: string) {
  const richText = new RichText({ text })
  richText.detectFacetsWithoutResolution()
  const record = {
    $type: 'app.bsky.feed.post',
    text,
    createdAt: new Date().toISOString(),
    ...(richText.facets ? { facets: richText.facets } : {}),
    ...(link === ''
      ? {}
      : {
          embed: {
            $type: 'app.bsky.embed.external',
            external: { uri: link, title: 'Poll', description: '' },
          },
        }),
  }
  const { data } = await agent.com.atproto.repo.createRecord({
    repo: did,
    collection: 'app.bsky.feed.post',
    record,
  })
  return shown(record, data.uri, handle)
}

const shown = <T extends object>(record: T, uri: string, handle: string) => ({
  ...record,
  uri,
  handle,
  displayName: handle.split('.')[0],
})

async function posts(accounts: Account[]) {
  const all = await Promise.all(
    accounts.map(async ({ agent, did, handle }) => {
      const { data } = await agent.com.atproto.repo.listRecords({
        repo: did,
        collection: 'app.bsky.feed.post',
        limit: 100,
      })
      return data.records.map(({ uri, value }) => shown(value as { createdAt: string }, uri, handle))
    }),
  )
  return all.flat().toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))
}
