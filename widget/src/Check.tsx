/** Whether a result is right, found out in this browser from the votes that people signed. */
import { parseAtUri } from '@pollz/shared/at-uri'
import type { Check as CheckState } from '@pollz/shared/engine'
import type { PollView } from '@pollz/shared/wire'
import { useSignal } from '@preact/signals'
import { useEffect, useId } from 'preact/hooks'
import type { PollModel } from './model.ts'
import { byPerson, nameOf } from './Notice.tsx'
import { useTexts, type Key } from './texts.ts'

const MINUTE = 60_000

type CheckProps = { model: PollModel; poll: PollView }

export function Check({ model, poll }: CheckProps) {
  const { t } = useTexts()
  const check = model.check.value
  const isRunning = check?.name === 'running'
  return (
    <div class="check">
      <Progress check={check} />
      {/* Read out when it is filled: so it is there before. */}
      <p role="status" class="verdict">
        {check?.name === 'done' && <Verdict check={check} />}
        {check?.name === 'failed' && t('checkFailed', check.detail)}
        {check?.name === 'stopped' && t('checkStopped')}
      </p>
      {check?.name === 'done' && <Found model={model} poll={poll} check={check} />}
      <p class="actions">
        {isRunning ? (
          <button type="button" class="link" onClick={() => model.stopCheck()}>
            {t('stopCheck')}
          </button>
        ) : (
          <button type="button" class="link" onClick={byPerson(() => model.beginCheck())}>
            {t(check?.name === 'done' ? 'checkAgain' : 'checkResult')}
          </button>
        )}
      </p>
      {!isRunning && <Second model={model} />}
    </div>
  )
}

function Progress({ check }: { check: CheckState | undefined }) {
  const { t, number } = useTexts()
  if (check?.name !== 'running') return null
  const text = check.of === 0 ? t('checkBegins') : t('checking', number(check.done), number(check.of))
  return (
    <p class="progress">
      <progress aria-label={text} max={Math.max(1, check.of)} value={check.done} />
      <span class="hint" aria-hidden="true">
        {text}
      </span>
    </p>
  )
}

type Done = CheckState & { name: 'done' }

function Verdict({ check }: { check: Done }) {
  const { t, number, ago, time } = useTexts()
  const { verdict, here, proved, listed, at } = check
  const now = useMinute()
  const proof = t('checkProved', number(proved), number(listed))
  const key = here ? 'checkHere' : (`check_${verdict}` as const)
  return (
    <>
      <span class={here ? 'unknown' : verdict}>
        {proof} {t(key)}
      </span>{' '}
      <time dateTime={new Date(at).toISOString()} title={time(at)}>
        {t('checkedAgo', ago(Math.max(0, now - at)))}
      </time>
    </>
  )
}

/** Passes by itself while it is looked at. */
function useMinute(): number {
  const now = useSignal(Date.now())
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), MINUTE / 2)
    return () => clearInterval(timer)
  }, [])
  return now.value
}

/** What differs, vote by vote, and what could not be told. */
function Found({ model, poll, check }: CheckProps & { check: Done }) {
  const { t, number } = useTexts()
  const { findings, doubts, found, doubted, secondFailed } = check
  const more = found - findings.length + (doubted - doubts.length)
  const items = [
    ...findings.map(({ uri, fault }) => ({ uri, key: `fault_${fault}` as Key, bad: true })),
    ...doubts.map(({ uri, why }) => ({ uri, key: `doubt_${why}` as Key, bad: false })),
  ]
  return (
    <>
      {items.length > 0 && (
        <ul class="found">
          {items.map(({ uri, key, bad }, i) => (
            <li key={i} class={bad ? 'bad' : undefined}>
              {uri !== poll.uri && <Voter model={model} did={parseAtUri(uri)?.repo ?? uri} />} {t(key)}
            </li>
          ))}
          {more > 0 && <li>{t('checkMore', number(more))}</li>}
        </ul>
      )}
      {secondFailed !== undefined && <p class="hint">{t('secondFailed', secondFailed)}</p>}
    </>
  )
}

function Voter({ model, did }: { model: PollModel; did: string }) {
  const handle = model.voters.value?.votes.find(({ voter }) => voter === did)?.handle
  return (
    <a class="link" dir="auto" href={model.around.profileOf(handle ?? did)} target="_blank" rel="noopener">
      {nameOf(handle ?? did)}
    </a>
  )
}

/** Whoever else is asked for votes: what a server leaves out, it does not say. */
function Second({ model }: { model: PollModel }) {
  const { t } = useTexts()
  const id = useId()
  return (
    <details>
      <summary class="link">{t('second')}</summary>
      <input
        type="url"
        spellcheck={false}
        placeholder="https://"
        aria-label={t('second')}
        aria-describedby={id}
        value={model.second.value}
        onInput={(event) => (model.typedSecond.value = event.currentTarget.value)}
      />
      <p id={id} class="hint">
        {t('secondHelp')}
      </p>
    </details>
  )
}
