/**
 * A poll in somebody else's page: live, but nobody votes in it. A page around it could lay it under a click that means
 * something else, so a click opens the poll's own page, which no other can frame.
 */
import { Api } from '@pollz/engine/api'
import { Live } from '@pollz/engine/live'
import { Pages } from '@pollz/engine/pages'
import { showVoters } from '@pollz/engine/voters'
import type { ToEngine } from '@pollz/shared/engine'
import { connectPolls } from '@pollz/widget/polls'
import { SITE } from '@pollz/shared/network'
import { signal as createSignal } from '@preact/signals'
import { textsOf } from '../texts.ts'
import { mountPolls } from './mount.ts'
import { state } from './state.ts'

const { publicUrl, language, messages, hosts } = state
const { signal } = new AbortController()
const pages = new Pages()
const live = new Live(location.origin, pages, signal)
const api = new Api(location.origin)
const page = location.pathname.replace('/embed/', '/poll/')

const polls = connectPolls(
  ({ onMessage }) => {
    const port = { postMessage: onMessage }
    pages.add(port, undefined)
    onMessage({
      type: 'settings',
      hosts,
      server: publicUrl,
      on: true,
      resultsFirst: true,
      hasVoted: true,
      knowsSignIn: true,
    })
    return (message: ToEngine) => {
      switch (message.type) {
        case 'watch':
          return live.watch(port, message.uri)
        case 'unwatch':
          return live.unwatch(port, message.uri)
        case 'voters':
          return void showVoters({ api, live, pages }, port, message.uri, message.cursor)
        case 'act':
          open(new URL(page, publicUrl), '_blank', 'noopener')
          return onMessage({ type: 'done', id: message.id, act: message.act, uri: '' })
        case 'retry':
          return live.retry(message.uri)
        case 'shown':
          return live.wake()
        case 'check':
          open(new URL(page, publicUrl), '_blank', 'noopener')
          return onMessage({ type: 'check', uri: message.uri, check: { name: 'stopped' } })
        case 'stopCheck':
        case 'lastCheck':
        case 'following':
        case 'ask':
        case 'withdraw':
        case 'remind':
        case 'unremind':
        case 'keepalive':
          return
        default:
          message satisfies never
      }
    }
  },
  createSignal(undefined),
  SITE,
  () => {},
  signal,
)
mountPolls(polls, textsOf(messages, language))
