/** Where somebody types a handle. */
import type { Signal } from '@preact/signals'

/** @param label where nothing else labels it */
export function HandleInput({ handle, label }: { handle: Signal<string>; label?: string }) {
  return (
    <input
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
