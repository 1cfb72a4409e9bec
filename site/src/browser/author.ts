/** The page of one's own polls says which of them were never posted, and offers to do it. */
import type { PageAccount } from '@pollz/shared/engine'
import { pollLink } from '@pollz/shared/links'
import { composeUrl } from '@pollz/shared/network'
import type { Made } from '@pollz/engine/authored'
import type { Texts } from '@pollz/widget/texts'
import { effect, type ReadonlySignal } from '@preact/signals'
import { state } from './state.ts'

/** @param made what an account made, and whether it was posted */
export function followAuthor(
  account: ReadonlySignal<PageAccount | undefined>,
  made: (did: string) => Promise<Made[]>,
  texts: Texts,
): void {
  const list = document.getElementById('by')
  if (!list) return
  effect(() => {
    const did = account.value?.did
    for (const note of list.querySelectorAll('.unposted')) note.remove()
    if (did === undefined || did !== list.dataset['did']) return
    void made(did).then((all) => {
      for (const { uri, posted, options } of all) {
        const item = list.querySelector(`[data-made="${CSS.escape(uri)}"]`)
        if (!item || posted !== false || item.querySelector('.unposted')) continue
        const note = document.createElement('p')
        note.className = 'row unposted'
        const post = document.createElement('a')
        post.href = composeUrl(`${pollLink(uri, state.hosts, state.publicUrl)}?options=${options}`)
        post.textContent = texts.t('postOnBluesky')
        note.append(texts.t('notPosted'), post)
        item.append(note)
      }
    }, console.debug)
  })
}
