/** What the extension, and this server's own pages, sign in with: the client's metadata, and the page that a PDS sends people back to. */
import { buildAtprotoLoopbackClientMetadata, type OAuthClientMetadataInput } from '@atproto/oauth-types'
import { isLoopback } from '@pollz/shared/links'
import { OAUTH_SCOPE } from '@pollz/shared/oauth'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { site } from '@pollz/site/built'
import type { createAnswer } from './pages.ts'

export function clientMetadata(publicUrl: string): OAuthClientMetadataInput {
  const redirect = `${publicUrl}/oauth/callback`
  // A PDS can't fetch metadata from a loopback address: atproto has a client id of its own for it.
  if (isLoopback(new URL(publicUrl).hostname))
    return buildAtprotoLoopbackClientMetadata({
      scope: OAUTH_SCOPE,
      redirect_uris: [redirect as `http://127.0.0.1/${string}`],
    })
  return {
    client_id: `${publicUrl}/oauth/client-metadata.json`,
    client_name: 'pollz',
    client_uri: publicUrl,
    application_type: 'web',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [redirect as `https://${string}`],
    scope: OAUTH_SCOPE,
    token_endpoint_auth_method: 'none',
    dpop_bound_access_tokens: true,
  }
}

export function createOAuth(publicUrl: string, answer: ReturnType<typeof createAnswer>): Hono {
  const oauth = new Hono()
  oauth.get('/client-metadata.json', cors(), (c) => c.json(clientMetadata(publicUrl)))
  // The answer is in the fragment, which whoever began the sign-in reads from the address and no server ever sees.
  oauth.get('/callback', (c) => answer(c, site.callback))
  return oauth
}
