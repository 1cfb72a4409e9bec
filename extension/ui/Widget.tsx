/** A poll in a page of the extension's own. */
import { drawPoll } from '@pollz/widget/draw.tsx'
import type { PollModel } from '@pollz/widget/model'
import { useTexts } from '@pollz/widget/texts'
import { useEffect, useRef } from 'preact/hooks'

export function Widget({ model }: { model: PollModel }) {
  const texts = useTexts()
  const host = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = host.current!
    const end = drawPoll(element.attachShadow({ mode: 'open' }), model, texts)
    // Scrolled out of view it is not watched either.
    const observer = new IntersectionObserver((entries) =>
      model.visible(element, entries.at(-1)!.isIntersecting),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      model.visible(element, false)
      end()
    }
  }, [model])
  return <div ref={host} data-pollz={model.uri} data-theme="auto" />
}
