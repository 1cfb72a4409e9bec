/** @jsxImportSource preact */
/** The chart of a poll's page, once it has come into view: it moves with the tally, and says what was when. */
import { pollPath } from '@pollz/engine/api'
import { pollHistory, type PollHistory } from '@pollz/shared/wire'
import type { PollModel } from '@pollz/widget/model'
import type { Texts } from '@pollz/widget/texts'
import { effect, signal } from '@preact/signals'
import { render } from 'preact'
import { Chart, pointsOf } from '../Chart.tsx'

/** The whole of it is asked for again at most this often, in ms: the tally itself is live. */
const EVERY = 30_000

/** @param host what the server has drawn it into */
export function followChart(host: HTMLElement, model: PollModel, texts: Texts, drawn: PollHistory): void {
  const history = signal(drawn)
  const chosen = signal<number | undefined>(undefined)
  let asked = Date.now()

  const renew = async () => {
    asked = Date.now()
    const response = await fetch(`${pollPath(model.uri)}/history`).catch(() => undefined)
    const read = pollHistory.safeParse(
      response?.ok ? await response.json().catch(() => undefined) : undefined,
    )
    if (read.success && read.value.counts.length > 0) history.value = read.value
  }
  effect(() => {
    const poll = model.poll.value
    if (!poll) return
    const points = pointsOf(history.value, poll)
    render(
      <Chart
        points={points}
        poll={poll}
        texts={texts}
        chosen={chosen.value}
        // Whoever looks at the last point goes on with it.
        onChoose={(point) => (chosen.value = point === points.length - 1 ? undefined : point)}
      />,
      host,
    )
    if (Date.now() - asked > EVERY) void renew()
  })
}
