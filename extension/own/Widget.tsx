/** A poll in a page of the extension's own. */
import { useEffect, useRef } from 'preact/hooks'
import { drawPoll } from '../widget/draw.tsx'
import type { PollModel } from '../widget/model.ts'
import { useTexts } from '../widget/texts.ts'

export function Widget({ model }: { model: PollModel }) {
  const texts = useTexts()
  const host = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = host.current!
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => element.setAttribute('data-theme', dark.matches ? 'dark' : 'light')
    follow()
    dark.addEventListener('change', follow)
    const end = drawPoll(element.attachShadow({ mode: 'open' }), model, texts)
    // Scrolled out of view it is not watched either.
    const observer = new IntersectionObserver((entries) =>
      model.visible(element, entries.at(-1)!.isIntersecting),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      model.visible(element, false)
      dark.removeEventListener('change', follow)
      end()
    }
  }, [model])
  return <div ref={host} data-pollz={model.uri} />
}
