/** The page says that votes are public until somebody has voted in this browser. */
import type { ToPage } from '@pollz/shared/engine'

const KEY = 'pollz has voted'

/** @returns what is told of everything that polls hear */
export function followFirstVote(): (message: ToPage) => void {
  const hint = document.getElementById('public-votes')!
  hint.hidden = remembered()
  return (message) => {
    if (hint.hidden) return
    const option =
      message.type === 'own'
        ? message.option
        : message.type === 'done' && message.act.type === 'vote'
          ? message.act.option
          : null
    if (option === null) return
    hint.hidden = true
    remember()
  }
}

// A browser that keeps nothing for this site throws: then it is said on each page.
function remembered(): boolean {
  try {
    return localStorage.getItem(KEY) !== null
  } catch {
    return false
  }
}

function remember(): void {
  try {
    localStorage.setItem(KEY, '')
  } catch {}
}
