import { oauthClientMetadataSchema } from '@atproto/oauth-types'
import { expect, test } from 'vitest'
import { clientMetadata } from './oauth.ts'

test.each(['https://pollz.example', 'http://127.0.0.1:3000', 'http://[::1]:3000'])(
  'the metadata of %s is valid',
  (publicUrl) => {
    const parsed = oauthClientMetadataSchema.parse(clientMetadata(publicUrl))
    expect(parsed.redirect_uris).toEqual([`${publicUrl}/oauth/callback`])
    expect(parsed.scope?.split(' ')).toEqual([
      'atproto',
      'repo:tech.waow.vote',
      'repo:tech.waow.pollz.vote',
      'repo:tech.waow.poll',
    ])
  },
)

test('a public server is its own client', () => {
  expect(clientMetadata('https://pollz.example').client_id).toBe(
    'https://pollz.example/oauth/client-metadata.json',
  )
})
