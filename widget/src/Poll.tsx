/** A poll: question, options, what is known about the votes, and what stands between a click and a vote. */
import { leadingOption } from '@pollz/shared/leading'
import type { PollView } from '@pollz/shared/wire'
import { useSignal, type Signal } from '@preact/signals'
import { useId, useMemo } from 'preact/hooks'
import { Announcer } from './Announcer.tsx'
import { Details } from './Details.tsx'
import { Editor } from './Editor.tsx'
import { Manage, ManageButton } from './Manage.tsx'
import { FollowedLine } from './Followed.tsx'
import { FirstClick } from './FirstClick.tsx'
import { isGone } from '@pollz/shared/missing'
import { shareOf } from '@pollz/shared/share'
import { isAskedIn, type Choices, type PollModel, type ShownPost } from './model.ts'
import { byPerson, Notice } from './Notice.tsx'
import { resultPost } from './results.ts'
import { useTexts } from './texts.ts'

/** `post`: that it stands in */
type PollProps = { model: PollModel; post?: ShownPost | undefined }

export function Poll({ model, post }: PollProps) {
  const poll = model.shown.value
  const missing = model.missing.value
  const place = useMemo(() => ({}), [])
  /** Clicked before the first sign-in ever, and not yet confirmed. */
  const first = useSignal<Choices | undefined>(undefined)
  if (missing !== undefined && (!poll || isGone(missing))) return <Missing model={model} error={missing} />
  const editing = model.editing.value
  if (editing) return <Editor model={editing} onCancel={() => (model.editing.value = undefined)} />
  if (!poll) return <Skeleton model={model} asks={!post?.asks} />
  return (
    <section
      class="poll"
      aria-busy={model.click.phase.value.name === 'busy'}
      onFocusIn={() => (model.attended.value = true)}
      onFocusOut={() => (model.attended.value = false)}
    >
      <Options model={model} poll={poll} post={post} place={place} first={first} />
      <Hint model={model} />
      <FirstClick first={first} onContinue={(choices) => model.vote(choices, place)} />
      <Notice click={model.click} place={place} first={!model.around.knowsSignIn.value} />
      <Footer model={model} poll={poll} place={place} />
      <Manage model={model} />
      <Details model={model} poll={poll} />
      <Announcer model={model} poll={poll} />
    </section>
  )
}

/** Said before the first vote ever. */
function Hint({ model }: { model: PollModel }) {
  const { t } = useTexts()
  const { name } = model.click.phase.value
  const quiet = name === 'idle' || name === 'busy'
  return quiet && !model.around.hasVoted.value && !model.ended.value ? (
    <p class="hint">{t('publicVotes')}</p>
  ) : null
}

/** `place`: the widget, among several of the same poll */
type PartProps = { model: PollModel; poll: PollView; place: object }

type OptionsProps = PartProps & { post: ShownPost | undefined; first: Signal<Choices | undefined> }

function Options({ model, poll, post, place, first }: OptionsProps) {
  const { t } = useTexts()
  const label = useId()
  const { multiple = false } = poll
  /** In the post that asks it the question has been read. */
  const asks = poll.text !== '' && !(post && isAskedIn(poll, post))
  const chosen = model.chosen.value
  /** What is marked: of several also what is ticked and not yet cast. */
  const marked = (multiple ? model.ticked.value : undefined) ?? chosen
  const ended = model.ended.value
  const results = model.showsResults.value
  const leading = results ? leadingOption(poll.options) : undefined
  /** The one option that Tab reaches: arrows go on from there without voting. */
  const focused = useSignal(0)
  const reachable = Math.min(chosen[0] ?? focused.value, poll.options.length - 1)
  const isCastable = marked.length > 0 && marked.join() !== chosen.join()

  const cast = (choices: Choices) => {
    const { knowsSignIn, account } = model.around
    // Where no account is known, it is asked for in place, and nothing opens before that.
    const opensTab = !knowsSignIn.value && account.value !== undefined
    if (opensTab && model.click.phase.value.name === 'idle') first.value = choices
    else model.vote(choices, place)
  }

  const choose = (option: number) => {
    if (ended) return
    if (multiple) model.tick(option)
    else if (!chosen.includes(option)) cast([option])
  }

  const move = (event: KeyboardEvent & { currentTarget: HTMLElement }, from: number) => {
    const last = poll.options.length - 1
    const to = {
      ArrowDown: from === last ? 0 : from + 1,
      ArrowRight: from === last ? 0 : from + 1,
      ArrowUp: from === 0 ? last : from - 1,
      ArrowLeft: from === 0 ? last : from - 1,
      Home: 0,
      End: last,
    }[event.key]
    if (to === undefined) return
    event.preventDefault()
    const radios = event.currentTarget.parentElement?.querySelectorAll<HTMLElement>('[role=radio]')
    radios?.[to]?.focus()
  }

  return (
    <>
      {asks && (
        <p class="question" id={label} dir="auto">
          {poll.text}
        </p>
      )}
      <div
        role={multiple ? 'group' : 'radiogroup'}
        {...(asks ? { 'aria-labelledby': label } : { 'aria-label': poll.text || t('vote') })}
        class="options"
      >
        {poll.options.map(({ text, count }, i) => (
          <button
            key={i}
            type="button"
            class={i === leading ? 'option leading' : 'option'}
            dir="auto"
            role={multiple ? 'checkbox' : 'radio'}
            aria-checked={marked.includes(i)}
            aria-disabled={ended}
            tabIndex={multiple || reachable === i ? 0 : -1}
            onClick={byPerson(() => choose(i))}
            onFocus={() => (focused.value = i)}
            onKeyDown={(event) => {
              if (!multiple) move(event, i)
            }}
          >
            <Option
              text={text}
              count={count}
              share={shareOf(poll, count)}
              marked={marked.includes(i)}
              chosen={chosen.includes(i)}
              results={results}
            />
          </button>
        ))}
      </div>
      {multiple && (
        <p class="several">
          {!ended && (
            <button
              type="button"
              class="primary"
              aria-disabled={!isCastable}
              onClick={byPerson(() => {
                if (isCastable) cast(marked)
              })}
            >
              {t('vote')}
            </button>
          )}
          <span class="hint">{t('several')}</span>
        </p>
      )}
    </>
  )
}

type OptionProps = {
  text: string
  count: number
  share: number
  marked: boolean
  chosen: boolean
  results: boolean
}

function Option({ text, count, share, marked, chosen, results }: OptionProps) {
  const { t, percent, number, votes } = useTexts()
  return (
    <>
      <span class="bar" style={{ inlineSize: `${results ? share * 100 : 0}%` }} />
      <span class="mark" aria-hidden="true">
        {marked && (
          <svg viewBox="0 0 16 16" width="10" height="10">
            <path d="m2.5 8.5 3.5 3.5 7.5-8" fill="none" stroke="currentColor" stroke-width="2.6" />
          </svg>
        )}
      </span>
      <span class="text">{text}</span>
      {chosen && <span class="unseen">({t('yourVote')})</span>}
      {results && (
        <span class="share">
          {/* Beside an option that is read from the right, “67 %” would be turned round. */}
          <bdi dir="ltr">{percent(share)}</bdi>
          <span class="count" aria-hidden="true">
            {number(count)}
          </span>
          <span class="unseen"> ({votes(count)})</span>
        </span>
      )}
    </>
  )
}

function Footer({ model, poll, place }: PartProps) {
  const texts = useTexts()
  const { t, votes, voters, number, time, date, ends } = texts
  const { compose, resultLink } = model.around
  const reminded = model.reminded.value
  const voting = model.voting.value !== undefined
  const stale = model.stale.value
  const here = model.countedHere.value
  const check = model.check.value
  const details = model.voters.value !== undefined
  const left = model.left.value
  return (
    <div class="footer">
      <span class="facts">
        {stale === 'unknown' && !here ? (
          <span>{t('tallyUnknown')}</span>
        ) : (
          <span class="total">{poll.voters === undefined ? votes(poll.total) : voters(poll.voters)}</span>
        )}
        {here && <span>{t('countedHere', time(here.at))}</span>}
        {typeof stale === 'number' && !here && <span>{t('asOf', time(stale))}</span>}
        {check?.name === 'running' && check.of > 0 && !details && (
          <span>{t('checking', number(check.done), number(check.of))}</span>
        )}
        {check?.name === 'failed' && !details && <span>{t('checkFailed', check.detail)}</span>}
        {poll.endsAt !== undefined && left !== undefined && left > 0 && (
          <time dateTime={poll.endsAt} title={date(poll.endsAt)}>
            {ends(left, poll.endsAt)}
          </time>
        )}
        {model.ended.value && <span>{t('final')}</span>}
        {/* Read out when it is filled: so it is there before. */}
        {reminded !== undefined && <span role="status">{reminded && t('reminded')}</span>}
        <FollowedLine model={model} poll={poll} />
        {poll.incomplete && <span>{t('incomplete')}</span>}
        {poll.edited && <span class="edited">{t('edited')}</span>}
      </span>
      <span class="actions">
        {stale !== undefined && model.around.second.value !== '' && (
          <button
            type="button"
            class="link"
            onClick={byPerson(() => (check?.name === 'running' ? model.stopCheck() : model.beginCheck(true)))}
          >
            {t(check?.name === 'running' ? 'stopCheck' : 'countHere')}
          </button>
        )}
        {!model.showsResults.value && stale !== 'unknown' && (
          <button type="button" class="link" onClick={() => (model.asked.value = true)}>
            {t('showResults')}
          </button>
        )}
        {reminded !== undefined && (
          <button type="button" class="link" onClick={byPerson(() => model.remind(!reminded))}>
            {t(reminded ? 'unremind' : 'remind')}
          </button>
        )}
        {model.ended.value && model.authored.value && stale === undefined && (
          <a
            class="link"
            href={compose(resultPost(poll, resultLink(poll), texts))}
            target="_blank"
            rel="noopener"
          >
            {t('postResult')}
          </a>
        )}
        {model.ownChoices.value.length > 0 && !voting && !model.ended.value && (
          <button type="button" class="link" onClick={byPerson(() => model.vote([], place))}>
            {t('removeVote')}
          </button>
        )}
        <button type="button" class="link" aria-expanded={details} onClick={() => model.toggleVoters()}>
          {t('details')}
        </button>
        <ManageButton model={model} />
      </span>
    </div>
  )
}

function Missing({ model, error }: { model: PollModel; error: string }) {
  const { t } = useTexts()
  const text =
    error === 'RepoInactive'
      ? 'inactive'
      : error === 'Hidden'
        ? 'hidden'
        : isGone(error)
          ? 'gone'
          : 'unavailable'
  return (
    <section class="poll">
      <div class="notice">
        <span role="status">{t(text)}</span>
        {text === 'unavailable' && (
          <button type="button" class="link" onClick={() => model.retry()}>
            {t('tryAgain')}
          </button>
        )}
      </div>
    </section>
  )
}

/** As high as the poll will be, so that the page does not jump. */
function Skeleton({ model, asks }: { model: PollModel; asks: boolean }) {
  const { t } = useTexts()
  return (
    <section class="poll skeleton" aria-busy="true">
      <p class={asks ? 'question' : 'unseen'}>
        <span class="blank">{t('loading')}</span>
      </p>
      <div class="options">
        {Array.from({ length: model.expectedOptions }, (_, i) => (
          <div key={i} class="option" />
        ))}
      </div>
      {!model.around.hasVoted.value && <p class="hint blank">{t('publicVotes')}</p>}
      <div class="footer">
        <span class="blank">{t('details')}</span>
      </div>
    </section>
  )
}
