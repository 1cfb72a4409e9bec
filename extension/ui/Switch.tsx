/** Something that is on or off. */
import type { Signal } from '@preact/signals'

type SwitchProps = { on: Signal<boolean>; label: string; onChange?: () => void }

export function Switch({ on, label, onChange }: SwitchProps) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        role="switch"
        checked={on.value}
        onChange={(event) => {
          on.value = event.currentTarget.checked
          onChange?.()
        }}
      />
      {label}
    </label>
  )
}
