/** @jsxImportSource preact */
/** A poll as the widget draws it, before any script runs. */
import { signal } from '@preact/signals'
import { pollLink } from '@pollz/shared/links'
import { profileUrl } from '@pollz/shared/network'
import type { PollHistory, PollView } from '@pollz/shared/wire'
import { PollModel } from '@pollz/widget/model'
import { Poll } from '@pollz/widget/Poll.tsx'
import css from '@pollz/widget/poll.css?inline'
import { TextsContext, type Texts } from '@pollz/widget/texts'
import { renderToString } from 'preact-render-to-string'
import { Chart, pointsOf } from './Chart.tsx'
import type { Frame } from './types.ts'

export { css }

/** What the page's script finds in the element, and takes over. */
export function drawnPoll({ hosts, publicUrl }: Frame, poll: PollView, texts: Texts): string {
  const model = new PollModel(poll.uri, {
    send: () => {},
    account: signal(undefined),
    connection: signal({ online: true, since: 0 }),
    // Without a script nobody could ask for them.
    resultsFirst: signal(true),
    // What is said before the first vote stands in the page, once.
    hasVoted: signal(true),
    knowsSignIn: signal(true),
    linkTo: (uri) => pollLink(uri, hosts, publicUrl),
    profileOf: (person) => profileUrl(person),
    // What only its author and the extension are offered is not drawn here.
    resultLink: () => '',
    compose: () => '',
    reminders: signal(undefined),
    second: signal(''),
  })
  model.receive({ type: 'poll', uri: poll.uri, poll, tally: 'live' })
  return renderToString(
    <TextsContext.Provider value={texts}>
      <Poll model={model} />
    </TextsContext.Provider>,
  )
}

/** The chart, which the page's script goes on with. */
export function drawnChart(history: PollHistory, poll: PollView, texts: Texts): string {
  return renderToString(<Chart points={pointsOf(history, poll)} poll={poll} texts={texts} />)
}
