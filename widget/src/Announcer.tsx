/** Reads changes out to people who use a screen reader: politely, seldom, and only where they are. */
import type { PollView } from '@pollz/shared/wire'
import { useEffect, useRef, useState } from 'preact/hooks'
import { shareOf, type PollModel } from './model.ts'
import { useTexts } from './texts.ts'

/** Tallies are read out at most this often, in ms. */
const EVERY = 10_000

export function Announcer({ model, poll }: { model: PollModel; poll: PollView }) {
  const { t, votes, percent } = useTexts()
  const [text, setText] = useState('')
  const own = model.ownOption.value
  const last = useRef({ at: 0, own, total: poll.total })
  const attended = model.attended.value
  const results = model.showsResults.value

  useEffect(() => {
    const before = last.current
    if (!attended) {
      last.current = { ...before, own, total: poll.total }
      return undefined
    }
    if (before.own === own && before.total === poll.total) return undefined
    const say = () => {
      last.current = { at: Date.now(), own, total: poll.total }
      const tally = poll.options.map(({ text, count }) => `${text}: ${percent(shareOf(poll, count))}`)
      setText(
        [
          ...(own !== before.own
            ? [own === null ? t('voteRemoved') : t('votedFor', poll.options[own]?.text ?? '')]
            : []),
          votes(poll.total),
          ...(results ? tally : []),
        ].join('. '),
      )
    }
    const wait = own === before.own ? Math.max(0, before.at + EVERY - Date.now()) : 0
    const timer = setTimeout(say, wait)
    return () => clearTimeout(timer)
  }, [own, poll, attended, results])

  return (
    <p class="unseen" role="status" aria-live="polite">
      {text}
    </p>
  )
}
