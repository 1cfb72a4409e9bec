/** A PDS with its OAuth server, a PLC directory, and a companion server's client metadata: as much as signing in needs. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buildAtprotoLoopbackClientMetadata } from '@atproto/oauth-client'
import { OAUTH_SCOPE } from '@pollz/shared/oauth'

/** `pds`: where it is, if not here */
export type Person = { did: string; handle: string; pds?: string }

type Token = { did: string; scope: string; valid: boolean }

export class PdsStandIn {
  readonly people: Person[] = [
    { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', handle: 'alice.test' },
    { did: 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb', handle: 'bob.test' },
  ]
  /** What the companion server's metadata says. */
  clientScope = OAUTH_SCOPE
  /** What it grants of what is asked for. */
  grant = (asked: string) => asked
  /** For how long an access token is valid, in s. */
  expiresIn = 3_600
  /** Scopes that were asked for. */
  asked: string[] = []
  refreshes = 0
  /** DIDs as whom requests were made. */
  served: string[] = []
  /** What it answers to a request that is allowed: records by `METHOD NSID`. */
  answers: Record<string, (params: URLSearchParams, body: string) => object> = {}
  companionAway = false
  /** What it answers to every sign-in, where it wants none. */
  refusal: { error: string; error_description: string } | undefined
  url = ''
  #server = createServer()
  #requests = new Map<string, URLSearchParams>()
  #codes = new Map<string, { did: string; scope: string }>()
  #access = new Map<string, Token>()
  #refresh = new Map<string, Token>()

  static async start(): Promise<PdsStandIn> {
    const pds = new PdsStandIn()
    pds.#server.on('request', async (request, response) => {
      const { status = 200, body, headers } = await pds.#answer(request)
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
    })
    pds.#server.listen(0, 'localhost')
    await once(pds.#server, 'listening')
    pds.url = `http://localhost:${(pds.#server.address() as AddressInfo).port}`
    return pds
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** What somebody does on the page that they were brought to. @returns where that page sends them */
  authorize(page: string, { did }: Person): string {
    const code = randomUUID()
    this.#codes.set(code, { did, scope: this.grant(this.#request(page).get('scope')!) })
    return this.sendBack(page, { code })
  }

  /** @param answer such as an error @returns where the page sends somebody with it */
  sendBack(page: string, answer: Record<string, string>): string {
    const asked = this.#request(page)
    const fragment = new URLSearchParams({ ...answer, state: asked.get('state')!, iss: this.url })
    return `${asked.get('redirect_uri')}#${fragment}`
  }

  #request(page: string): URLSearchParams {
    return this.#requests.get(new URL(page).searchParams.get('request_uri')!)!
  }

  /** Somebody ends all sessions of theirs on their account's own pages. */
  revokeAll({ did }: Person): void {
    for (const token of [...this.#access.values(), ...this.#refresh.values()])
      if (token.did === did) token.valid = false
  }

  hasSession({ did }: Person): boolean {
    return [...this.#refresh.values()].some((token) => token.did === did && token.valid)
  }

  #tokens(did: string, scope: string) {
    const token = { did, scope, valid: true }
    const [access, refresh] = [randomUUID(), randomUUID()]
    this.#access.set(access, token)
    this.#refresh.set(refresh, token)
    return {
      body: {
        access_token: access,
        refresh_token: refresh,
        token_type: 'DPoP',
        scope,
        sub: did,
        expires_in: this.expiresIn,
      },
    }
  }

  async #answer(
    request: IncomingMessage,
  ): Promise<{ status?: number; body: object; headers?: Record<string, string> }> {
    const { pathname, searchParams } = new URL(request.url!, this.url)
    const text = await new Response(request as never).text()
    const form = new URLSearchParams(text)
    const { url } = this
    const person = this.people.find(({ did }) => decodeURIComponent(pathname) === `/${did}`)
    if (person)
      return {
        body: {
          id: person.did,
          alsoKnownAs: [`at://${person.handle}`],
          service: [
            { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: person.pds ?? url },
          ],
        },
      }
    switch (pathname) {
      case '/oauth/client-metadata.json':
        return this.companionAway
          ? { status: 503, body: {} }
          : {
              body: buildAtprotoLoopbackClientMetadata({
                scope: this.clientScope,
                redirect_uris: ['http://127.0.0.1:9/oauth/callback'],
              }),
            }
      case '/xrpc/com.atproto.identity.resolveHandle': {
        const found = this.people.find(({ handle }) => handle === searchParams.get('handle'))
        return found ? { body: { did: found.did } } : { status: 400, body: { error: 'HandleNotFound' } }
      }
      case '/.well-known/oauth-protected-resource':
        return { body: { resource: url, authorization_servers: [url] } }
      case '/.well-known/oauth-authorization-server':
        return {
          body: {
            issuer: url,
            authorization_endpoint: `${url}/authorize`,
            token_endpoint: `${url}/token`,
            pushed_authorization_request_endpoint: `${url}/par`,
            revocation_endpoint: `${url}/revoke`,
            require_pushed_authorization_requests: true,
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: true,
            token_endpoint_auth_methods_supported: ['none'],
            dpop_signing_alg_values_supported: ['ES256'],
            response_types_supported: ['code'],
          },
        }
      case '/par': {
        if (this.refusal) return { status: 400, body: this.refusal }
        const uri = `urn:${randomUUID()}`
        this.#requests.set(uri, form)
        this.asked.push(form.get('scope')!)
        return { status: 201, body: { request_uri: uri, expires_in: 300 } }
      }
      case '/token': {
        const code = this.#codes.get(form.get('code') ?? '')
        if (code) return this.#tokens(code.did, code.scope)
        const token = this.#refresh.get(form.get('refresh_token') ?? '')
        this.#refresh.delete(form.get('refresh_token') ?? '')
        if (!token?.valid) return { status: 400, body: { error: 'invalid_grant' } }
        this.refreshes++
        return this.#tokens(token.did, token.scope)
      }
      case '/revoke': {
        const token = this.#access.get(form.get('token')!) ?? this.#refresh.get(form.get('token')!)
        if (token) token.valid = false
        return { body: {} }
      }
      default:
        return this.#serve(request, pathname, searchParams, text)
    }
  }

  #serve({ method, headers }: IncomingMessage, pathname: string, params: URLSearchParams, body: string) {
    const answer = this.answers[`${method} ${pathname.replace('/xrpc/', '')}`]
    if (!answer) return { status: 404, body: { error: 'NotFound' } }
    if (method === 'POST') {
      const token = this.#access.get(headers.authorization?.replace(/^DPoP /, '') ?? '')
      if (!token?.valid)
        return {
          status: 401,
          body: { error: 'InvalidToken', message: 'Token was revoked' },
          headers: { 'www-authenticate': 'DPoP error="invalid_token"' },
        }
      this.served.push(token.did)
      const { collection } = JSON.parse(body) as { collection: string }
      if (!token.scope.split(' ').includes(`repo:${collection}`))
        return {
          status: 403,
          body: { error: 'ScopeMissingError', message: `Missing required scope "repo:${collection}"` },
        }
    }
    return { body: answer(params, body) }
  }
}
