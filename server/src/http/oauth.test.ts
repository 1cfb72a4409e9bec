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
      'repo:tech.tokimeki.poll.vote',
      'repo:pub.leaflet.poll.vote',
      'repo:app.reddwarf.poll.vote.a',
      'repo:app.reddwarf.poll.vote.b',
      'repo:app.reddwarf.poll.vote.c',
      'repo:app.reddwarf.poll.vote.d',
      'repo:tech.waow.poll',
    ])
  },
)

test('a public server is its own client', () => {
  expect(clientMetadata('https://pollz.example').client_id).toBe(
    'https://pollz.example/oauth/client-metadata.json',
  )
})
