import { expect, test } from 'vitest'
import { composeUrl, profileUrl } from './network.ts'

test('profiles and the composer are those of bsky.app, or of a site like it', () => {
  expect(profileUrl('alice.example')).toBe('https://bsky.app/profile/alice.example')
  expect(profileUrl('alice.example', 'https://sister.example')).toBe(
    'https://sister.example/profile/alice.example',
  )
  const text = 'https://pollz.example/poll/alice.example/3k?options=2'
  const query = 'text=https%3A%2F%2Fpollz.example%2Fpoll%2Falice.example%2F3k%3Foptions%3D2'
  expect(composeUrl(text)).toBe(`https://bsky.app/intent/compose?${query}`)
  expect(composeUrl(text, 'https://sister.example')).toBe(`https://sister.example/intent/compose?${query}`)
})
