/** @jsxImportSource preact */
/** How a vote went: a line for each option, drawn by the server and then, live, by the page. */
import type { PollHistory, PollView } from '@pollz/shared/wire'
import type { Texts } from '@pollz/widget/texts'
import { scaleLinear, scaleTime } from 'd3-scale'
import { curveStepAfter, line } from 'd3-shape'

const WIDTH = 560
const HEIGHT = 200
/** Room for what is written at the axes. */
const [LEFT, RIGHT, TOP, BOTTOM] = [40, 8, 8, 24]
/** Rows of the table: of more points some are left out. */
const ROWS = 12

/** What is there at a time, in ms since 1970. */
export type Point = { at: number; counts: readonly number[] }

/** From no votes on to what the poll has now. */
export function pointsOf({ from, step, counts }: PollHistory, poll: PollView): Point[] {
  const none = { at: from, counts: poll.options.map(() => 0) }
  const now = poll.options.map(({ count }) => count)
  const points = counts.map((row, i) => ({ at: from + (i + 1) * step, counts: row }))
  const last = points.at(-1)
  // What has come since it was read is of this moment.
  if (last && last.counts.join() !== now.join())
    points.push({ at: Math.max(Date.now(), last.at), counts: now })
  return [none, ...points]
}

export type ChartProps = {
  points: readonly Point[]
  poll: PollView
  texts: Texts
  /** The point that somebody looks at; undefined: the last. */
  chosen?: number | undefined
  /** Undefined: without a script nobody chooses one. */
  onChoose?: (point: number) => void
}

export function Chart({ points, poll, texts, chosen = points.length - 1, onChoose }: ChartProps) {
  const { t, date, number } = texts
  const most = Math.max(1, ...points.flatMap(({ counts }) => counts))
  const x = scaleTime([points[0]!.at, points.at(-1)!.at], [LEFT, WIDTH - RIGHT])
  const y = scaleLinear([0, most], [HEIGHT - BOTTOM, TOP])
  const at = points[Math.min(chosen, points.length - 1)]!
  const ticks = y.ticks(3).filter(Number.isInteger)
  const pathOf = (option: number) =>
    line<Point>()
      .x((it) => x(it.at))
      .y((it) => y(it.counts[option] ?? 0))
      .curve(curveStepAfter)([...points])!
  const texted = poll.options.map(({ text }, i) => `${text}: ${number(at.counts[i] ?? 0)}`)
  const every = Math.ceil(points.length / ROWS)
  const rows = points.filter((_, i) => i % every === 0 || i === points.length - 1)
  return (
    <>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${t('history')}. ${texted.join('. ')}`}>
        {ticks.map((tick) => (
          <g key={tick} class="tick">
            <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
            <text x={LEFT - 6} y={y(tick) + 4} text-anchor="end">
              {number(tick)}
            </text>
          </g>
        ))}
        <g class="tick">
          <text x={LEFT} y={HEIGHT - 6}>
            {date(points[0]!.at)}
          </text>
          <text x={WIDTH - RIGHT} y={HEIGHT - 6} text-anchor="end">
            {date(points.at(-1)!.at)}
          </text>
        </g>
        {poll.options.map((_, i) => (
          <path key={i} class={`line line-${i}`} d={pathOf(i)} />
        ))}
        {onChoose && <line class="cursor" x1={x(at.at)} x2={x(at.at)} y1={TOP} y2={HEIGHT - BOTTOM} />}
      </svg>
      {onChoose && (
        <label class="time">
          <span class="unseen">{t('historyTime')}</span>
          <input
            type="range"
            min={0}
            max={points.length - 1}
            value={Math.min(chosen, points.length - 1)}
            aria-valuetext={`${date(at.at)}. ${texted.join('. ')}`}
            onInput={(event) => onChoose(Number(event.currentTarget.value))}
          />
        </label>
      )}
      <ul class="legend">
        {poll.options.map(({ text }, i) => (
          <li key={i}>
            <svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true">
              <path class={`line line-${i}`} d="M0 4H24" />
            </svg>
            <span dir="auto">{text}</span> <b>{number(at.counts[i] ?? 0)}</b>
          </li>
        ))}
        <li>
          <time dateTime={new Date(at.at).toISOString()}>{date(at.at)}</time>
        </li>
      </ul>
      <details>
        <summary>{t('asTable')}</summary>
        <div class="wide">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('historyTime')}</th>
                {poll.options.map(({ text }, i) => (
                  <th key={i} scope="col" dir="auto">
                    {text}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.at}>
                  <th scope="row">{date(row.at)}</th>
                  {poll.options.map((_, i) => (
                    <td key={i}>{number(row.counts[i] ?? 0)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  )
}
