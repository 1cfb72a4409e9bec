/** A page to write a poll on, for where the composer has no button for it. What comes next is the composer. */
import { drawEditor } from '@pollz/widget/draw.tsx'
import type { EditorModel } from '@pollz/widget/editor'
import type { PageAccount } from '@pollz/shared/engine'
import { nameOf } from '@pollz/widget/Notice.tsx'
import { useTexts } from '@pollz/widget/texts'
import { useEffect, useRef } from 'preact/hooks'
import { nameOfSite } from '../sites.ts'

/** `site`: whose composer comes next, as its origin */
type NewPollProps = { model: EditorModel; account: PageAccount | undefined; site: string }

export function NewPoll({ model, account, site }: NewPollProps) {
  const texts = useTexts()
  const { t } = texts
  const host = useRef<HTMLDivElement>(null)
  useEffect(() => drawEditor(host.current!.attachShadow({ mode: 'open' }), model, texts), [])
  return (
    <main>
      <h1>pollz</h1>
      <p class="help">
        {account && `${t('publishedBy', nameOf(account.handle ?? account.did))} `}
        {t('thenPost', nameOfSite(site))}
      </p>
      <div ref={host} data-theme="auto" />
    </main>
  )
}
