/** Reads changes out to people who use a screen reader: politely, seldom, and only where they are. */
import { shareOf } from '@pollz/shared/share'
import type { PollView } from '@pollz/shared/wire'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { PollModel } from './model.ts'
import { useTexts } from './texts.ts'

/** Tallies are read out at most this often, in ms. */
const EVERY = 10_000

export function Announcer({ model, poll }: { model: PollModel; poll: PollView }) {
  const { t, votes, voters, percent, list } = useTexts()
  const [text, setText] = useState('')
  const choices = model.ownChoices.value
  const own = choices.join()
  const attended = model.attended.value
  const results = model.showsResults.value
  /** Somebody asked for them without a vote: a vote is announced with its results anyway. */
  const asked = results && model.asked.value && own === '' && model.chosen.value.length === 0
  const last = useRef({ at: 0, own, total: poll.total, asked })

  useEffect(() => {
    const before = last.current
    const hasAsked = asked && !before.asked && own === before.own
    if (!attended && !hasAsked) {
      last.current = { ...before, own, total: poll.total, asked }
      return undefined
    }
    if (before.own === own && before.total === poll.total && !hasAsked) return undefined
    const say = () => {
      last.current = { at: Date.now(), own, total: poll.total, asked: before.asked || asked }
      const tally = poll.options.map(({ text, count }) => `${text}: ${percent(shareOf(poll, count))}`)
      setText(
        [
          ...(own !== before.own
            ? [
                own === ''
                  ? t('voteRemoved')
                  : t('votedFor', list(choices.map((i) => poll.options[i]?.text ?? ''))),
              ]
            : []),
          poll.voters === undefined ? votes(poll.total) : voters(poll.voters),
          ...(results ? tally : []),
        ].join('. '),
      )
    }
    const wait = own === before.own && !hasAsked ? Math.max(0, before.at + EVERY - Date.now()) : 0
    const timer = setTimeout(say, wait)
    return () => clearTimeout(timer)
  }, [own, poll, attended, results, asked])

  return (
    <p class="unseen" role="status" aria-live="polite">
      {text}
    </p>
  )
}
