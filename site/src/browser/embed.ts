/**
 * A poll in somebody else's page: live, but nobody votes in it. A page around it could lay it under a click that means
 * something else, so a click opens the poll's own page, which no other can frame.
 */
import { Api } from '@pollz/client/api'
import { Live } from '@pollz/client/live'
import { Pages } from '@pollz/client/pages'
import { showVoters } from '@pollz/client/voters'
import type { ToBackground } from '@pollz/widget/messages'
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
    onMessage({ type: 'settings', hosts, server: publicUrl, on: true, resultsFirst: true, hasVoted: true })
    return (message: ToBackground) => {
      switch (message.type) {
        case 'watch':
          return live.watch(port, message.uri)
        case 'unwatch':
          return live.unwatch(port, message.uri)
        case 'voters':
          return void showVoters({ api, live, pages }, port, message.uri, message.cursor)
        case 'act':
          open(new URL(page, publicUrl), '_blank', 'noopener')
          return onMessage({ type: 'done', act: message.act, uri: '' })
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
