/** What lies over a page and has to be finished or closed first: Tab goes round in it. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { tabbable } from './focus.ts'

export function Dialog({ label, children }: { label: string; children: ComponentChildren }) {
  const dialog = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const root = dialog.current!.getRootNode() as ShadowRoot
    if (!root.activeElement) tabbable(dialog.current!)[0]?.focus({ preventScroll: true })
  }, [])
  return (
    <div
      ref={dialog}
      role="dialog"
      aria-modal="true"
      aria-label={label}
      onKeyDown={(event) => {
        if (event.key !== 'Tab') return
        const all = tabbable(event.currentTarget)
        const { activeElement } = event.currentTarget.getRootNode() as ShadowRoot
        if (activeElement !== (event.shiftKey ? all[0] : all.at(-1))) return
        event.preventDefault()
        all.at(event.shiftKey ? -1 : 0)?.focus()
      }}
    >
      {children}
    </div>
  )
}
