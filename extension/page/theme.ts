/** bsky.app's theme, followed while it changes. */
import { signal as createSignal } from '@preact/signals'

export const THEMES = ['light', 'dark', 'dim'] as const
export type Theme = (typeof THEMES)[number]

export const theme = createSignal<Theme>('light')

export function followTheme(signal: AbortSignal): void {
  const root = document.documentElement
  const read = () => {
    theme.value = THEMES.find((name) => root.classList.contains(`theme--${name}`)) ?? 'light'
  }
  read()
  const observer = new MutationObserver(read)
  observer.observe(root, { attributeFilter: ['class'] })
  signal.addEventListener('abort', () => observer.disconnect())
}
