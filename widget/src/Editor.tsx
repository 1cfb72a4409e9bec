/** Where a poll is written: question, options, a preview that is the real widget. */
import { useEffect, useId, useLayoutEffect, useRef } from 'preact/hooks'
import {
  LASTS,
  lengthOf,
  MAX_OPTION,
  MAX_OPTIONS,
  MAX_TEXT,
  MIN_OPTIONS,
  type EditorModel,
  type End,
  type Problem,
} from './editor.ts'
import { byPerson, formByPerson, Notice } from './Notice.tsx'
import { Poll } from './Poll.tsx'
import { useTexts, type Texts } from './texts.ts'

type EditorProps = { model: EditorModel; onCancel?: () => void }

export function Editor({ model, onCancel }: EditorProps) {
  const { t } = useTexts()
  const form = useRef<HTMLFormElement>(null)
  const heading = useId()
  const busy = model.click.phase.value.name === 'busy'
  const problemOf = (field: Problem['field']) => {
    const problem = model.problems.find((it) => it.field === field)
    // What is too long is said at once; what is not there yet, when somebody thinks that they are done.
    const isMissing = problem?.name === 'empty' || problem?.name === 'noDate'
    return problem && (model.tried.value > 0 || !isMissing) ? problemText(t, problem) : undefined
  }
  /** Fields in the order in which they are read. */
  const fields = () => [
    ...(form.current?.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>(
      'input[type=text], textarea',
    ) ?? []),
  ]
  // To what is to be written next, and at once: whoever types is not to be moved to another field.
  useLayoutEffect(() => {
    const next = fields().find(({ value }) => value === '') ?? fields()[0]
    next?.focus({ preventScroll: true })
  }, [])

  const publish = () => {
    if (busy || model.publish()) return
    const { field } = model.problems[0]!
    // What is wrong with an end is the date, where there is one.
    if (field === 'end')
      [...form.current!.querySelectorAll<HTMLElement>('.end select, .end input')].at(-1)?.focus()
    else fields()[field === 'text' ? 0 : field + 1]?.focus()
  }

  return (
    <form
      ref={form}
      class="poll editor"
      aria-labelledby={heading}
      aria-busy={busy}
      {...formByPerson(publish)}
    >
      <p class="question" id={heading}>
        {t(model.edited ? 'editPoll' : 'newPoll')}
      </p>
      <Field
        label={t('question')}
        value={model.text.value}
        max={MAX_TEXT}
        problem={problemOf('text')}
        multiline
        onInput={(value) => (model.text.value = value)}
      />
      {model.isPostText.value && (
        <label class="check">
          <input
            type="checkbox"
            checked={model.leavesPost.value}
            onChange={(event) => (model.leavesPost.value = event.currentTarget.checked)}
          />
          {t('leavesPost')}
        </label>
      )}
      <Options model={model} problemOf={problemOf} />
      <p class="more-options">
        <button
          type="button"
          class="link"
          disabled={model.options.value.length >= MAX_OPTIONS}
          onClick={() => {
            model.add()
            // The new field is there after this render.
            setTimeout(() => fields().at(-1)?.focus())
          }}
        >
          {t('addOption')}
        </button>
      </p>
      <div class="settings">
        <label class="check">
          <input
            type="checkbox"
            checked={model.multiple.value}
            onChange={(event) => (model.multiple.value = event.currentTarget.checked)}
          />
          {t('allowSeveral')}
        </label>
        <EndField model={model} problem={problemOf('end')} />
      </div>
      {model.willSayEdited.value && (
        <p class="hint">{t(model.willLoseVotes.value ? 'willLoseVotes' : 'willSayEdited')}</p>
      )}
      <Preview model={model} />
      <Notice click={model.click} current={() => model.act()} />
      <div class="footer">
        <span class="actions">
          {onCancel && (
            <button
              type="button"
              class="link"
              onClick={() => {
                model.leave()
                onCancel()
              }}
            >
              {t('cancel')}
            </button>
          )}
          <button type="submit" class="primary" aria-disabled={busy} onClick={byPerson(publish)}>
            {t(busy ? 'publishing' : model.edited ? 'save' : 'publish')}
          </button>
        </span>
      </div>
    </form>
  )
}

type OptionsProps = { model: EditorModel; problemOf: (field: number) => string | undefined }

function Options({ model, problemOf }: OptionsProps) {
  const { t } = useTexts()
  const list = useRef<HTMLOListElement>(null)
  const options = model.options.value
  const moved = model.moved.value
  const rows = () => [...(list.current?.children ?? [])]

  /** By pointer: an option goes where its handle is held. */
  const drag = (event: PointerEvent & { currentTarget: HTMLElement }, key: number) => {
    const handle = event.currentTarget
    handle.setPointerCapture(event.pointerId)
    const follow = ({ clientY }: PointerEvent) => {
      const from = model.options.value.findIndex((it) => it.key === key)
      const to = rows().findIndex((row) => clientY < row.getBoundingClientRect().bottom)
      model.move(from, to === -1 ? rows().length - 1 : to)
    }
    const end = () => {
      handle.removeEventListener('pointermove', follow)
      handle.removeEventListener('lostpointercapture', end)
    }
    handle.addEventListener('pointermove', follow)
    handle.addEventListener('lostpointercapture', end)
  }

  const moveByKey = (event: KeyboardEvent & { currentTarget: HTMLElement }, index: number) => {
    const to = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: options.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    const handle = event.currentTarget
    model.move(index, to)
    // It is the same element in another place, which may have cost it the focus.
    setTimeout(() => handle.focus())
  }

  return (
    <>
      <ol class="fields" ref={list}>
        {options.map(({ key, text }, i) => (
          <li key={key}>
            <button
              type="button"
              class="handle"
              aria-label={t('moveOption', String(i + 1))}
              title={t('moveOption', String(i + 1))}
              onPointerDown={(event) => drag(event, key)}
              onKeyDown={(event) => moveByKey(event, i)}
            >
              <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                <path d="M2 5h12M2 11h12" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />
              </svg>
            </button>
            <Field
              label={t('option', String(i + 1))}
              value={text}
              max={MAX_OPTION}
              problem={problemOf(i)}
              onInput={(value) => model.write(i, value)}
            />
            <button
              type="button"
              class="handle"
              aria-label={t('removeOption', String(i + 1))}
              title={t('removeOption', String(i + 1))}
              disabled={options.length <= MIN_OPTIONS}
              onClick={() => model.remove(i)}
            >
              <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                <path d="m4 4 8 8m0-8-8 8" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />
              </svg>
            </button>
          </li>
        ))}
      </ol>
      <p class="unseen" role="status">
        {moved && t('moved', moved.text || t('option', String(moved.to + 1)), String(moved.to + 1))}
      </p>
    </>
  )
}

type FieldProps = {
  label: string
  value: string
  /** bytes */
  max: number
  problem: string | undefined
  multiline?: boolean
  onInput: (value: string) => void
}

/** One line of input, or several, with how much room is left and what is wrong. */
function Field({ label, value, max, problem, multiline = false, onInput }: FieldProps) {
  const { t, number } = useTexts()
  const help = useId()
  const left = max - lengthOf(value.trim())
  const props = {
    'aria-label': label,
    'aria-invalid': problem !== undefined,
    'aria-describedby': help,
    placeholder: label,
    dir: 'auto' as const,
    value,
    onInput: (event: { currentTarget: { value: string } }) => onInput(event.currentTarget.value),
  }
  return (
    <div class="field">
      {multiline ? <textarea rows={2} {...props} /> : <input type="text" autocomplete="off" {...props} />}
      <span class="left" aria-hidden="true" title={t('lengthHelp')} data-low={left < 20} data-over={left < 0}>
        {number(left)}
      </span>
      <span id={help} class={problem === undefined ? 'unseen' : 'bad'}>
        {problem ?? t('lengthLeft', number(left))}
      </span>
    </div>
  )
}

/** When the poll ends: a menu, and where that is at a date, the date. */
function EndField({ model, problem }: { model: EditorModel; problem: string | undefined }) {
  const { t, after } = useTexts()
  const help = useId()
  const end = model.end.value
  const choices: [End, string][] = [
    ['never', t('endNever')],
    ...LASTS.map((ms): [End, string] => [ms, after(ms)]),
    ['date', t('endOnDate')],
  ]
  const invalid = { 'aria-invalid': problem !== undefined, 'aria-describedby': help }
  return (
    <div class="end">
      <label>
        {t('end')}
        <span class="select">
          <select
            value={end}
            {...(end === 'date' ? {} : invalid)}
            onChange={({ currentTarget }) => model.endAt(choices[currentTarget.selectedIndex]![0])}
          >
            {choices.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path
              d="m4 6 4 4 4-4"
              fill="none"
              stroke="currentColor"
              stroke-width="1.6"
              stroke-linecap="round"
            />
          </svg>
        </span>
      </label>
      {end === 'date' && (
        <input
          type="datetime-local"
          aria-label={t('endDate')}
          max="9999-12-31T23:59"
          {...invalid}
          value={model.endDate.value}
          onInput={({ currentTarget }) => (model.endDate.value = currentTarget.value)}
        />
      )}
      <span id={help} class={problem === undefined ? 'unseen' : 'bad'}>
        {problem}
      </span>
    </div>
  )
}

/** As it will be. Nobody votes in it. */
function Preview({ model }: { model: EditorModel }) {
  const { t } = useTexts()
  const heading = useId()
  const poll = model.previewed((i) => t('option', String(i + 1)), t('question'))
  useEffect(() => {
    model.preview.asked.value = model.edited !== undefined
    model.preview.receive({ type: 'poll', uri: '', poll, tally: 'live' })
  })
  return (
    <div class="preview" role="group" aria-labelledby={heading}>
      <p class="hint" id={heading}>
        {t('preview')}
      </p>
      <div inert>
        <Poll model={model.preview} />
      </div>
    </div>
  )
}

function problemText(t: Texts['t'], problem: Problem): string {
  switch (problem.name) {
    case 'empty':
      return t(problem.field === 'text' ? 'questionEmpty' : 'optionEmpty')
    case 'tooLong':
      return t('tooLong')
    case 'same':
      return t('optionSame', String(problem.as + 1))
    case 'noDate':
      return t('endEmpty')
    case 'past':
      return t('endPast')
    case 'tooFar':
      return t('endTooFar')
    case 'beforeStart':
      return t('endBeforeStart')
    default:
      return problem satisfies never
  }
}
