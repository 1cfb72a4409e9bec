import type { PollView } from '@pollz/shared/wire'
import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import type { PollModel } from './model.ts'

const number = new Intl.NumberFormat()
const percent = new Intl.NumberFormat(undefined, { style: 'percent' })
const plural = new Intl.PluralRules('en')

export function Poll({ model }: { model: PollModel }) {
  const poll = model.shown.value
  const missing = model.missing.value
  if (missing && (!poll || isGone(missing.error))) return <Missing error={missing.error} />
  if (!poll) return model.online.value ? <Skeleton /> : <Missing error="Offline" />
  return (
    <section class="poll" aria-busy={model.phase.value.name === 'voting'}>
      <Options model={model} poll={poll} />
      <Footer model={model} poll={poll} />
      <Notice model={model} />
    </section>
  )
}

function Options({ model, poll }: { model: PollModel; poll: PollView }) {
  const label = useId()
  const chosen = model.chosen.value
  /** The one option that Tab reaches: arrows go on from there without voting. */
  const focused = useSignal(0)
  const reachable = chosen ?? Math.min(focused.value, poll.options.length - 1)

  const move = (event: KeyboardEvent & { currentTarget: HTMLElement }, from: number) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const to = (from + step + poll.options.length) % poll.options.length
    focused.value = to
    const radios = event.currentTarget.parentElement?.querySelectorAll<HTMLElement>('[role=radio]')
    radios?.[to]?.focus()
  }

  return (
    <>
      <p class="question" id={label} dir="auto">
        {poll.text}
      </p>
      <div role="radiogroup" aria-labelledby={label}>
        {poll.options.map(({ text, count }, i) => {
          const share = poll.total === 0 ? 0 : count / poll.total
          return (
            <button
              key={i}
              type="button"
              class="option"
              dir="auto"
              role="radio"
              aria-checked={chosen === i}
              tabIndex={reachable === i ? 0 : -1}
              onClick={() => chosen !== i && model.vote(i)}
              onKeyDown={(event) => move(event, i)}
            >
              <span class="bar" style={{ transform: `scaleX(${share})` }} />
              <span class="mark" aria-hidden="true" />
              <span class="text">{text}</span>
              <span class="share">
                {percent.format(share)}
                <span class="count"> {number.format(count)}</span>
              </span>
            </button>
          )
        })}
      </div>
    </>
  )
}

function Footer({ model, poll }: { model: PollModel; poll: PollView }) {
  const votes = plural.select(poll.total) === 'one' ? 'vote' : 'votes'
  const voting = model.phase.value.name === 'voting'
  return (
    <p class="footer">
      <span role="status" class="total">
        {number.format(poll.total)} {votes}
      </span>
      {poll.edited && <span> · edited after the first vote</span>}
      {!model.online.value && <span> · not live</span>}
      {model.own.value !== null && !voting && (
        <>
          {' · '}
          <button type="button" class="link" onClick={() => model.vote(null)}>
            Remove vote
          </button>
        </>
      )}
    </p>
  )
}

/** What stands between a click and a vote: signing in, or the PDS's refusal. */
function Notice({ model }: { model: PollModel }) {
  const handle = useSignal('')
  const phase = model.phase.value
  switch (phase.name) {
    case 'idle':
    case 'voting':
      return null
    case 'signingIn':
      return (
        <p class="notice" role="status">
          Sign in in the new tab; your vote is cast when you are back.
        </p>
      )
    case 'whoAreYou':
      return (
        <form
          class="notice"
          onSubmit={(event) => {
            event.preventDefault()
            const typed = handle.value.trim().replace(/^@/, '')
            if (typed !== '') model.vote(phase.option, typed)
          }}
        >
          <label>
            Vote as
            <input
              type="text"
              placeholder="alice.bsky.social"
              autocomplete="username"
              autocapitalize="none"
              spellcheck={false}
              value={handle.value}
              onInput={(event) => (handle.value = event.currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary">
            Sign in
          </button>
          <button type="button" class="link" onClick={() => model.dismiss()}>
            Cancel
          </button>
        </form>
      )
    case 'refused':
      return (
        <p class="notice bad" role="alert">
          <span>Not voted: {phase.reason}</span>{' '}
          <button type="button" class="link" onClick={() => model.vote(phase.option)}>
            Try again
          </button>{' '}
          <button type="button" class="link" onClick={() => model.dismiss()}>
            Dismiss
          </button>
        </p>
      )
    default:
      return phase satisfies never
  }
}

/** There is no such poll, and not only no answer. */
const isGone = (error: string) => ['PollNotFound', 'RepoNotFound', 'RepoInactive'].includes(error)

function Missing({ error }: { error: string }) {
  const text =
    error === 'RepoInactive'
      ? 'The account that made this poll is not active.'
      : isGone(error)
        ? 'This poll does not exist any more.'
        : 'This poll can’t be loaded right now.'
  return (
    <section class="poll">
      <p class="footer" role="status">
        {text}
      </p>
    </section>
  )
}

function Skeleton() {
  return (
    <section class="poll skeleton" aria-busy="true" aria-label="Loading the poll">
      <div class="option" />
      <div class="option" />
    </section>
  )
}
