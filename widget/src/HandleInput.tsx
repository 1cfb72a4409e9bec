/** Where somebody types a handle. */
import type { Signal } from '@preact/signals'
import type { RefObject } from 'preact'

/** `label`: where nothing else labels it */
type HandleInputProps = {
  handle: Signal<string>
  label?: string
  inputRef?: RefObject<HTMLInputElement | null>
}

export function HandleInput({ handle, label, inputRef }: HandleInputProps) {
  return (
    <input
      ref={inputRef}
      type="text"
      aria-label={label}
      placeholder="alice.bsky.social"
      autocomplete="username"
      autocapitalize="none"
      spellcheck={false}
      value={handle.value}
      onInput={(event) => (handle.value = event.currentTarget.value)}
    />
  )
}

/** What was typed, without what people put around handles; '': nothing. */
export const typedHandle = (handle: Signal<string>) => handle.value.trim().replace(/^@/, '')
